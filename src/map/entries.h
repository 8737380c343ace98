// entries.h: what the 512 blocks of a leaf are, in memory.
//
//   wide     names and checksums as they are      6 KiB   the only form that can be changed
//   narrow   32 bits for a name, beside its sum   4 KiB   any leaf whose names lie within some TiB of log
//   folded   the sums, and a word for each run    2 KiB   a leaf of a few runs, as sequential writes make it
//
// Holds:  1. All three say the same.
//         2. A look at an entry touches two lines of memory: the head and the entry. (Wide and folded, three.)
#pragma once

#include <new>
#include <optional>
#include <utility>

#include "base/check.h"
#include "format/page.h"

namespace brindle {

/// What a map says of one block.
struct BlockAt {
  SlotName name;  // none: a hole
  u32 crc = 0;
};

class Entries {
 public:
  /// None at all: nothing may be asked of them.
  Entries() = default;
  /// Holes, wide.
  static Entries holes();
  /// As few bytes as can be.
  static Entries packed(const LeafData& data);
  Entries(Entries&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}
  Entries& operator=(Entries&& other) noexcept {
    std::swap(head_, other.head_);
    return *this;
  }
  ~Entries();

  explicit operator bool() const { return head_ != nullptr; }
  bool is_wide() const { return head_->form == Form::wide; }
  bool is_folded() const { return head_->form == Form::folded; }
  BlockAt at(u32 entry) const {
    switch (head_->form) {
      case Form::narrow: {
        const Narrow& narrow = narrows()[entry];
        return {widened(narrow.name), narrow.crc};
      }
      case Form::wide: return {wide().names[entry], wide().crcs[entry]};
      case Form::folded: break;
    }
    return {folded_name(entry), folded_crcs()[entry]};
  }
  /// Of wide ones, to be changed.
  LeafData& data() {
    CHECK(is_wide());
    return const_cast<LeafData&>(wide());
  }
  /// Has the processor fetch what a look at the entry touches.
  void fetch(u32 entry) const {
    __builtin_prefetch(head_);
    __builtin_prefetch(content<LeafData>()->names.data() + entry);  // of wide and narrow ones alike
    __builtin_prefetch(content<LeafData>()->crcs.data() + entry);
  }
  void copy_to(LeafData& to) const;
  /// Of wide ones, which change no more.
  void pack();
  /// What they take in memory.
  u64 bytes() const;

 private:
  enum class Form : u8 { wide, narrow, folded };
  struct Head {
    Form form;
    u8 slot_bits = 0;  // of a narrow name: the rest is how many segments after `first`
    u16 words = 0;     // of folded ones
    SlotName first{};  // slot 0 of the segment that narrow names count from
  };
  struct Narrow {
    u32 name;  // 0: a hole
    u32 crc;
  };
  struct Run;
  class Runs;

  Entries(Form form, u64 content_bytes);
  template <class T>
  T* content() const {
    return reinterpret_cast<T*>(head_ + 1);
  }
  const LeafData& wide() const { return *content<LeafData>(); }
  Narrow* narrows() const { return content<Narrow>(); }
  u32* folded_crcs() const { return content<u32>(); }
  u32* folded_words() const { return content<u32>() + leaf_blocks; }
  SlotName widened(u32 narrow) const {
    if (narrow == 0) return {};
    const u64 segments = narrow >> head_->slot_bits;
    const u64 slot = narrow & ((u64{1} << head_->slot_bits) - 1);
    return {head_->first.raw + SlotName::of(segments, slot).raw};
  }
  SlotName folded_name(u32 entry) const;
  /// Than wide ones; none where they are not to be had.
  static Entries smaller(const LeafData& data);
  static Entries folded(const LeafData& data);
  static Entries narrow(const LeafData& data);

  Head* head_ = nullptr;  // what it heads follows it
};

}  // namespace brindle
