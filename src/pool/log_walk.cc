#include "pool/log_walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/planted.h"

namespace brindle {

namespace {

// A disk gives half as much again to several reads of this size as to one long one.
constexpr u64 piece_bytes = 512 * KiB;
constexpr u64 read_ahead = 4 * MiB;
constexpr u64 successors_max = 64;  // looked at behind a batch that cannot be read

Task<void> read_into(Device& device, u64 offset, MutBytes into, Status& status) {
  Status read = co_await device.read(offset, into);
  if (!read) status = read;
}

}  // namespace

LogWalk::LogWalk(Runtime& runtime, Device& device, const Superblock& superblock)
    : device_(device), superblock_(superblock), landed_(runtime), reads_(runtime) {
  restart();
}

Task<void> LogWalk::close() { return reads_.close(); }

void LogWalk::restart() {
  at_ = {superblock_.log_segment, superblock_.log_base, 0, 0, superblock_.log_slot, false};
  number_ = superblock_.checkpoint_number;
}

void LogWalk::pass(const SummaryTail& tail, u64 base, u32 slot) {
  at_ = {tail.segment, base, tail.next_segment, tail.next_chunk * superblock_.chunk_size, slot, true};
  number_ = tail.end_number();
}

void LogWalk::accept(const ParsedBatch& batch) {
  at_.slot += batch.header.record_blocks + batch.header.data_blocks;
  number_ = batch.header.number + 1;
  name_successor(batch.header);
}

void LogWalk::name_successor(const BatchHeader& header) {
  if (header.next_segment == 0) return;
  at_.next_segment = header.next_segment;
  at_.next_base = header.next_chunk * superblock_.chunk_size;
}

// --- reading --------------------------------------------------------------------------------------------------------

/// Bytes of the present segment, from its base to the end of its chunk.
u64 LogWalk::size() const {
  const u64 chunk_size = superblock_.chunk_size;
  const u64 end = std::min(round_down(at_.base, chunk_size) + chunk_size, device_.size());
  return end > at_.base ? end - at_.base : 0;
}

/// What is in memory of the segment, from its base on.
Bytes LogWalk::here() const {
  for (const Loaded& loaded : loaded_) {
    if (loaded.base == at_.base && loaded.bytes > 0) return loaded.buffer.span().first(loaded.bytes);
  }
  return {};
}

Task<void> LogWalk::read_piece(Loaded& loaded, u64 from, u64 length) {
  const MutBytes into = loaded.buffer.span().subspan(from, length);
  const Status status = co_await device_.read(loaded.base + from, into);
  if (status) {
    loaded.there[from / piece_bytes] = true;
    while (loaded.bytes < loaded.asked && loaded.there[loaded.bytes / piece_bytes]) {
      loaded.bytes = std::min(loaded.bytes + piece_bytes, loaded.asked);
    }
  } else {
    loaded.status = status;
  }
  --loaded.under_way;
  landed_.notify_all();
}

void LogWalk::ask(Loaded& loaded, u64 from, u64 to) {
  for (; from < to; from += piece_bytes) {
    if (loaded.there[from / piece_bytes]) continue;
    ++loaded.under_way;
    reads_.spawn(read_piece(loaded, from, std::min(piece_bytes, to - from)));
  }
}

/// So many bytes of the segment, or all of it, are in memory then, and what follows is on its way.
Task<Status> LogWalk::load(u64 bytes, u64 ahead) {
  const u64 whole = size();
  const u64 wanted = std::min(whole, round_up(bytes, piece_bytes));
  const u64 coming = std::min(whole, round_up(bytes + ahead, piece_bytes));
  const auto has = [this](const Loaded& loaded) { return loaded.base == at_.base; };
  auto at = std::find_if(loaded_.begin(), loaded_.end(), has);
  if (at == loaded_.end()) {
    unsigned& newest = newest_[listening_ ? 1 : 0];
    newest ^= 1;
    at = loaded_.begin() + newest;
  }
  Loaded& loaded = *at;
  if (loaded.base != at_.base) {
    while (loaded.under_way > 0) co_await landed_.wait();
    loaded.base = at_.base;
    loaded.bytes = loaded.asked = 0;
    loaded.there.assign(div_up(superblock_.chunk_size, piece_bytes), false);
    if (loaded.buffer.size() == 0) loaded.buffer = AlignedBuffer(superblock_.chunk_size);
  }
  if (coming > loaded.asked) {
    const u64 from = std::exchange(loaded.asked, coming);
    ask(loaded, from, coming);
  }
  while (loaded.bytes < wanted && loaded.under_way > 0) co_await landed_.wait();
  if (loaded.bytes >= wanted) co_return Status{};
  // Something on the way to there could not be read: it is tried once more, now that it is wanted.
  ask(loaded, loaded.bytes, wanted);
  while (loaded.bytes < wanted && loaded.under_way > 0) co_await landed_.wait();
  co_return loaded.bytes >= wanted ? Status{} : loaded.status;
}

bool LogWalk::belongs(const BatchHeader& header, u64 slot) const {
  return header.pool == superblock_.uuid && header.epoch == superblock_.epoch && header.segment == at_.segment && header.slot == slot;
}

Task<Result<std::optional<ParsedBatch>>> LogWalk::parse_here() {
  const u64 from = u64{at_.slot} * block_size;
  if (at_.passed || from + block_size > size()) co_return std::optional<ParsedBatch>();
  if (auto status = co_await load(from + block_size); !status) co_return status.error();
  BatchHeader header;
  std::memcpy(&header, here().data() + from, sizeof header);
  if (header.magic != batch_magic) co_return std::optional<ParsedBatch>();
  if (auto status = co_await load(from + u64{header.record_blocks} * block_size); !status) co_return status.error();
  auto batch = parse_batch(here().subspan(from));
  if (!batch || !belongs(batch->header, at_.slot) || batch->header.number != number_) co_return std::optional<ParsedBatch>();
  co_return std::move(*batch);
}

Task<Result<std::optional<ParsedBatch>>> LogWalk::next() {
  auto batch = co_await parse_here();
  if (!batch || *batch) co_return batch;
  if (at_.next_segment == 0 || at_.next_base >= device_.size() || planted(Plant::one_segment)) co_return batch;
  const Position before = at_;
  at_ = {at_.next_segment, at_.next_base, 0, at_.next_base, 1, false};
  batch = co_await parse_here();
  // Where the successor holds nothing of this log yet: stay where the last batch ended.
  if (batch && !*batch) at_ = before;
  co_return batch;
}

Task<Result<bool>> LogWalk::data_is_whole(const ParsedBatch& batch) {
  const u64 at = (u64{batch.header.slot} + batch.header.record_blocks) * block_size;
  const u64 length = u64{batch.header.data_blocks} * block_size;
  if (at + length > size()) co_return false;
  // What follows is most often asked for next, and not known to be flushed either.
  if (auto status = co_await load(at + length, read_ahead); !status) co_return status.error();
  co_return brindle::data_is_whole(batch.records, here().subspan(at, length));
}

Task<Status> LogWalk::hear_behind(u64& flushed, Signal& heard) {
  const u64 first = at_.passed ? at_.next_segment : at_.segment;
  const bool heard_already = std::find(heard_segments_.begin(), heard_segments_.end(), first) != heard_segments_.end();
  if (heard_already) co_return Status{};  // nobody writes meanwhile
  const Position before = at_;
  listening_ = true;
  const Status status = co_await listen(flushed, heard);
  listening_ = false;
  at_ = before;
  co_return status;
}

Task<Status> LogWalk::listen(u64& flushed, Signal& heard) {
  const u64 own = at_.base;
  std::vector<u64> whole;
  Status status;
  u64 segments = 0;
  for (; segments < successors_max && at_.base < device_.size(); ++segments) {
    if (!at_.passed && at_.slot <= 1) whole.push_back(at_.segment);
    for (u64 at = at_.slot; !at_.passed && (at + 1) * block_size <= size(); ++at) {
      const u64 from = at * block_size;
      if (from + block_size > here().size()) {
        // What is told at once lets the caller go on.
        status = co_await load(here().empty() ? from + block_size : size());
        if (!status) break;
      }
      BatchHeader seen;
      std::memcpy(&seen, here().data() + from, sizeof seen);
      if (seen.magic != batch_magic) continue;
      status = co_await load(from + u64{seen.record_blocks} * block_size);
      if (!status) break;
      const auto header = parse_batch_header(here().subspan(from));
      if (!header || !belongs(*header, at) || header->number < number_) continue;
      name_successor(*header);
      if (header->flushed_number > flushed) {
        flushed = header->flushed_number;
        heard.notify_all();
      }
    }
    if (!status || at_.next_segment == 0) break;
    at_ = {at_.next_segment, at_.next_base, 0, 0, 1, false};
  }
  if (status && segments < successors_max) heard_segments_ = std::move(whole);
  // A successor that cannot be read says nothing. Of the segment itself all must be known.
  co_return at_.base == own ? status : Status{};
}

// --- summaries ------------------------------------------------------------------------------------------------------

namespace {

/// Reads the ends of segments, those that probably follow too.
class SummaryReader {
  // Most summaries are shorter than this.
  static constexpr u64 read_first = 32 * KiB;
  static constexpr u64 ahead = 32;

 public:
  SummaryReader(Runtime& runtime, Device& device, const Superblock& superblock)
      : runtime_(runtime), device_(device), superblock_(superblock) {}

  /// The summary of the segment of this log that begins at `base`; nothing where there is none, or none that can be read.
  Task<std::optional<FoundSummary>> read(u64 segment, u64 base) {
    const u64 end = round_down(base, superblock_.chunk_size) + superblock_.chunk_size;
    if (end > device_.size()) co_return std::nullopt;
    Ended* ended = find(end);
    if (ended == nullptr) {
      co_await read_ends(end);
      ended = find(end);
    }
    if (!ended->status) co_return std::nullopt;
    FoundSummary found{.tail = {}, .base = base, .blocks = std::move(ended->blocks)};
    u64 wanted = 0;
    auto tail = parse_summary_tail(found.blocks.span(), wanted);
    if (!tail && wanted * block_size > found.blocks.size() && wanted * block_size <= end - base) {
      found.blocks = AlignedBuffer(wanted * block_size);
      const MutBytes into = found.blocks.span();
      if (auto status = co_await device_.read(end - into.size(), into); !status) co_return std::nullopt;
      tail = parse_summary_tail(into, wanted);
    }
    if (!tail || tail->pool != superblock_.uuid || tail->epoch != superblock_.epoch || tail->segment != segment || tail->batches == 0) {
      co_return std::nullopt;
    }
    found.tail = *tail;
    co_return found;
  }

 private:
  struct Ended {
    u64 end = 0;
    AlignedBuffer blocks;
    Status status;
  };

  Ended* find(u64 end) {
    const auto at = std::find_if(ended_.begin(), ended_.end(), [end](const Ended& ended) { return ended.end == end; });
    return at != ended_.end() && (at->blocks.size() > 0 || !at->status) ? &*at : nullptr;
  }

  /// Reads before `end` and, as a log takes chunks in ascending order while it can, before the ends of the chunks behind.
  Task<void> read_ends(u64 end) {
    const u64 chunk_size = superblock_.chunk_size;
    ended_.clear();
    ended_.resize(std::min(ahead, 1 + (device_.size() - end) / chunk_size));
    Gate gate(runtime_);
    for (Ended& ended : ended_) {
      ended.end = end;
      ended.blocks = AlignedBuffer(std::min(read_first, chunk_size));
      const MutBytes into = ended.blocks.span();
      gate.spawn(read_into(device_, end - into.size(), into, ended.status));
      end += chunk_size;
    }
    co_await gate.close();
  }

  Runtime& runtime_;
  Device& device_;
  const Superblock& superblock_;
  std::vector<Ended> ended_;
};

}  // namespace

Task<std::vector<FoundSummary>> read_summaries(Runtime& runtime, Device& device, const Superblock& superblock) {
  SummaryReader reader(runtime, device, superblock);
  std::vector<FoundSummary> all;
  u64 segment = superblock.log_segment;
  u64 base = superblock.log_base;
  u64 number = superblock.checkpoint_number;
  while (segment != 0) {
    auto found = co_await reader.read(segment, base);
    if (!found) break;
    const SummaryTail& tail = found->tail;
    const bool follows = all.empty() ? tail.first_number <= number && number <= tail.end_number() : tail.first_number == number;
    if (!follows) break;
    number = tail.end_number();
    segment = planted(Plant::one_segment) ? 0 : tail.next_segment;
    base = tail.next_chunk * superblock.chunk_size;
    all.push_back(std::move(*found));
  }
  co_return all;
}

Status entries_of(const FoundSummary& found, const Superblock& superblock, std::vector<SummaryEntry>& entries) {
  if (auto status = parse_summary_entries(found.blocks.span(), found.tail, entries); !status) return status;
  const SummaryEntry& last = entries.back();
  const u64 slots = u64{last.slot} + last.record_blocks + last.data_blocks + found.tail.blocks;
  if (slots * block_size > superblock.chunk_size - found.base % superblock.chunk_size) {
    return Error{Code::corrupt, "a summary tells of more than its segment holds"};
  }
  return {};
}

}  // namespace brindle
