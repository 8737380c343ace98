#include "crash/seen.h"

#include <sys/mman.h>

#include "base/check.h"

namespace brindle::crash {

Seen::Seen() {
  void* const at = mmap(nullptr, slots * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(at != MAP_FAILED);
  slots_ = static_cast<Slot*>(at);
}

Seen::~Seen() { munmap(slots_, slots * sizeof(Slot)); }

/// The slot of the state, or the free one where it would be.
Seen::Slot* Seen::at(u64 state) const {
  for (u64 i = 0; i < slots; ++i) {
    Slot* const slot = &slots_[(state + i) % slots];
    const u64 there = slot->state.load(std::memory_order_acquire);
    if (there == state || there == 0) return slot;
  }
  CHECK_NOTE(false, "more crash states than the table has room for");
}

std::optional<u64> Seen::find(u64 state) const {
  const Slot* const slot = at(state);
  if (slot->state.load(std::memory_order_acquire) != state) return std::nullopt;
  const u64 content = slot->content.load(std::memory_order_acquire);
  return content == 0 ? std::nullopt : std::optional(content);
}

bool Seen::claim(u64 state) {
  for (;;) {
    Slot* const slot = at(state);
    u64 none = 0;
    if (slot->state.compare_exchange_strong(none, state)) return true;
    if (none == state) return false;
  }
}

void Seen::settle(u64 state, u64 content) { at(state)->content.store(content, std::memory_order_release); }

}  // namespace brindle::crash
