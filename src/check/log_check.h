// log_check.h: the log from the checkpoint on, batch by batch, as a replay would read it.
//
// Holds:  1. A batch that cannot be read although it was durable is damage; behind all flushed positions it is the tail,
//            where the log ends.
//         2. Of a durable batch a block of data that is damaged costs that block alone.
#pragma once

#include <optional>

#include "check/disk_reader.h"
#include "check/findings.h"
#include "check/holders.h"
#include "check/segment_map.h"
#include "format/superblock.h"

namespace brindle {

class LogCheck {
 public:
  LogCheck(DiskReader& disk, const Superblock& superblock, SegmentMap& segments, Findings& findings, Holders& holders,
           bool names_known, bool read_data)
      : disk_(disk),
        superblock_(superblock),
        segments_(segments),
        findings_(findings),
        holders_(holders),
        names_known_(names_known),
        read_data_(read_data) {}

  Task<void> run();
  u64 batches() const { return batches_; }
  u64 last_batch() const { return at_.number - 1; }

 private:
  struct Position {
    u64 number = 0;
    u64 segment = 0;
    u64 base = 0;          // byte address of slot 0
    u64 slot = 0;
    u64 next_segment = 0;  // the successor, where one was named
    u64 next_base = 0;
    u64 offset() const { return base + slot * block_size; }
  };

  Task<bool> load();
  Task<std::optional<ParsedBatch>> next();
  Task<u64> flushed_behind();
  std::optional<ParsedBatch> parse_here() const;
  bool belongs(const BatchHeader& header, u64 slot) const;
  void name_successor(const BatchHeader& header);
  Bytes data_of(const ParsedBatch& batch) const;
  bool data_is_whole(const ParsedBatch& batch) const;
  void accept(const ParsedBatch& batch);
  void check_end();

  DiskReader& disk_;
  const Superblock& superblock_;
  SegmentMap& segments_;
  Findings& findings_;
  Holders& holders_;
  bool names_known_;
  bool read_data_;
  Position at_;
  std::vector<std::byte> loaded_;  // of the segment's chunk, from `base` on
  u64 flushed_ = 0;                // all batches below it were durable
  u64 batches_ = 0;
  unsigned looks_ = 0;
};

}  // namespace brindle
