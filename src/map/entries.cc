#include "map/entries.h"

#include <algorithm>
#include <array>
#include <bit>
#include <new>

namespace brindle {

namespace {

// A run takes one word: its first entry, how many there are, and how far its name is behind the last one of the run before (some slots, in
// which the records of a batch lie). Where it is further away, or before that, two words with the name follow.
constexpr u32 runs_max = 32;  // a look at an entry goes through those before it
constexpr u32 gap_bits = 14;
constexpr u32 count_bits = 9;
constexpr u32 gap_elsewhere = (1U << gap_bits) - 1;
constexpr u32 count_mask = (1U << count_bits) - 1;
constexpr u32 words_a_run_max = 3;
static_assert(leaf_blocks == 1U << count_bits);

constexpr int narrow_bits = 32;

}  // namespace

struct Entries::Run {
  u32 first = 0;  // entry
  u32 count = 0;
  SlotName name;  // of the first
};

/// The runs of folded ones, by entry.
class Entries::Runs {
 public:
  explicit Runs(const Entries& entries) : at_(entries.folded_words()), end_(at_ + entries.head_->words) {}
  std::optional<Run> next() {
    if (at_ == end_) return std::nullopt;
    const u32 word = *at_++;
    const u32 gap = word & gap_elsewhere;
    if (gap == gap_elsewhere) {
      behind_.raw = u64{at_[0]} << 32 | at_[1];
      at_ += 2;
    } else {
      behind_ = behind_.plus(gap);
    }
    const Run run{word >> (count_bits + gap_bits), (word >> gap_bits & count_mask) + 1, behind_};
    behind_ = behind_.plus(run.count);
    return run;
  }

 private:
  const u32* at_;
  const u32* end_;
  SlotName behind_;
};

Entries::Entries(Form form, u64 content_bytes) : head_(new (::operator new(sizeof(Head) + content_bytes)) Head{.form = form}) {}

Entries::~Entries() { ::operator delete(head_); }

Entries Entries::holes() {
  Entries made(Form::wide, sizeof(LeafData));
  new (made.content<LeafData>()) LeafData();
  return made;
}

Entries Entries::smaller(const LeafData& data) {
  Entries made = folded(data);
  return made ? std::move(made) : narrow(data);
}

Entries Entries::packed(const LeafData& data) {
  if (Entries made = smaller(data)) return made;
  Entries made(Form::wide, sizeof(LeafData));
  new (made.content<LeafData>()) LeafData(data);
  return made;
}

void Entries::pack() {
  if (Entries made = smaller(wide())) *this = std::move(made);
}

u64 Entries::bytes() const {
  if (head_ == nullptr) return 0;
  switch (head_->form) {
    case Form::wide: return sizeof(Head) + sizeof(LeafData);
    case Form::narrow: return sizeof(Head) + leaf_blocks * sizeof(Narrow);
    case Form::folded: break;
  }
  return sizeof(Head) + (leaf_blocks + head_->words) * sizeof(u32);
}

void Entries::copy_to(LeafData& to) const {
  switch (head_->form) {
    case Form::wide: to = wide(); return;
    case Form::narrow:
      for (u32 entry = 0; entry < leaf_blocks; ++entry) {
        to.names[entry] = widened(narrows()[entry].name);
        to.crcs[entry] = narrows()[entry].crc;
      }
      return;
    case Form::folded: break;
  }
  to.names = {};
  for (Runs runs(*this); const auto run = runs.next();) {
    for (u32 i = 0; i < run->count; ++i) to.names[run->first + i] = run->name.plus(i);
  }
  std::copy_n(folded_crcs(), leaf_blocks, to.crcs.begin());
}

// --- narrow ---------------------------------------------------------------------------------------------------------

/// None: the names lie too far apart.
Entries Entries::narrow(const LeafData& data) {
  u64 lowest = segment_number_max;
  u64 highest = 0;
  u64 slots = 0;  // the bits that any has
  for (SlotName name : data.names) {
    if (!name) continue;
    lowest = std::min(lowest, name.segment());
    highest = std::max(highest, name.segment());
    slots |= name.slot();
  }
  const int slot_bits = std::bit_width(slots);
  if (lowest > highest || slot_bits + std::bit_width(highest - lowest) > narrow_bits) return {};
  Entries made(Form::narrow, leaf_blocks * sizeof(Narrow));
  made.head_->slot_bits = static_cast<u8>(slot_bits);
  made.head_->first = SlotName::of(lowest, 0);
  for (u32 entry = 0; entry < leaf_blocks; ++entry) {
    const SlotName name = data.names[entry];
    const u64 told = name ? (name.segment() - lowest) << slot_bits | name.slot() : 0;
    if (name && told == 0) return {};  // it would be a hole
    new (made.narrows() + entry) Narrow{static_cast<u32>(told), data.crcs[entry]};
  }
  return made;
}

// --- folded ---------------------------------------------------------------------------------------------------------

/// None: there are too many runs.
Entries Entries::folded(const LeafData& data) {
  std::array<u32, runs_max * words_a_run_max> words;
  u32 made = 0;
  u32 runs = 0;
  SlotName behind;  // the last run
  for (u32 entry = 0; entry < leaf_blocks;) {
    const SlotName name = data.names[entry];
    if (!name) {
      ++entry;
      continue;
    }
    u32 length = 1;
    while (entry + length < leaf_blocks && data.names[entry + length] == name.plus(length)) ++length;
    if (runs++ == runs_max) return {};
    const u64 gap = std::min<u64>(name.raw - behind.raw, gap_elsewhere);
    words[made++] = entry << (count_bits + gap_bits) | (length - 1) << gap_bits | static_cast<u32>(gap);
    if (gap == gap_elsewhere) {
      words[made++] = static_cast<u32>(name.raw >> 32);
      words[made++] = static_cast<u32>(name.raw);
    }
    behind = name.plus(length);
    entry += length;
  }
  Entries folded(Form::folded, (leaf_blocks + made) * sizeof(u32));
  folded.head_->words = static_cast<u16>(made);
  std::copy(data.crcs.begin(), data.crcs.end(), folded.folded_crcs());
  std::copy_n(words.begin(), made, folded.folded_words());
  return folded;
}

SlotName Entries::folded_name(u32 entry) const {
  for (Runs runs(*this); const auto in = runs.next();) {
    if (entry < in->first) break;
    if (entry - in->first < in->count) return in->name.plus(entry - in->first);
  }
  return {};
}

}  // namespace brindle
