// segment_map.h: the segment table as the verifier sees it: where names lead, what is marked live, and what was reached.
//
// Holds:  1. No block of the device holds what lives in two segments, and no chunk holds both segments and tables; what
//            breaks this is reported, and the segment that came second is not used.
//         2. A usable segment's slots lie inside the device.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "check/findings.h"
#include "format/segments.h"

namespace brindle {

struct CheckedSegment {
  SegmentRecord record;
  std::vector<u64> reached;  // bitmap of slots that a map names
};

class SegmentMap {
 public:
  SegmentMap(u64 chunk_size, u64 device_size, u64 segment_limit, Findings& findings);

  /// A table of the checkpoint lies there.
  void claim_table(const Place& place);
  /// Takes over what the table says, in rising order of number.
  void load(SegmentTable& table);
  /// Takes whole blocks for the log; false where one of them belongs to somebody else.
  bool claim(u64 offset, u64 length);

  CheckedSegment* find(u64 number);
  /// The byte address of a slot; nothing where there is none. `run`: how many slots follow in place.
  std::optional<u64> locate(SlotName name, SegmentKind kind, u64* run = nullptr);
  bool is_live(SlotName name);
  /// Marks the slot as reached; false when it was already.
  bool reach(SlotName name);
  void forget_reached();
  /// Reports what is marked live and was not reached.
  void report_leaks();

  u64 count() const { return segments_.size(); }
  u64 live_data_bytes() const { return live_data_bytes_; }
  u64 live_page_bytes() const { return live_page_bytes_; }

 private:
  enum class Use : u8 { none, segments, tables };

  bool add(SegmentRecord record, const Place& place);
  bool pieces_are_sane(const SegmentRecord& record) const;
  bool claim_slots(const CheckedSegment& segment);
  std::optional<u64> locate(const CheckedSegment& segment, u64 slot, u64* run) const;

  u64 chunk_size_;
  u64 device_size_;
  u64 segment_limit_;
  Findings& findings_;
  std::vector<Use> uses_;       // by chunk
  std::vector<u64> claimed_;    // bitmap of blocks of the device
  std::map<u64, std::unique_ptr<CheckedSegment>> segments_;
  u64 live_data_bytes_ = 0;
  u64 live_page_bytes_ = 0;
};

}  // namespace brindle
