#include "pool/releases.h"

#include <algorithm>

#include "base/check.h"

namespace brindle {

u64 Releases::enter() {
  if (readers_.empty() || readers_.back().generation != generation_) readers_.push_back({generation_, 0});
  ++readers_.back().inside;
  return generation_;
}

void Releases::leave(u64 generation) {
  const auto at = std::find_if(readers_.begin(), readers_.end(), [&](const Readers& readers) { return readers.generation == generation; });
  CHECK(at != readers_.end());
  if (--at->inside == 0) readers_.erase(at);
}

bool Releases::read_from_before_seal(u64 own) const {
  return std::any_of(readers_.begin(), readers_.end(), [&](const Readers& readers) {
    return readers.generation < sealed_generation_ && readers.inside > (readers.generation == own ? 1u : 0u);
  });
}

std::optional<Releases::Release> Releases::next() {
  if (waiting_.empty() || (!readers_.empty() && readers_.front().generation <= waiting_.front().generation)) return std::nullopt;
  Release release = std::move(waiting_.front().release);
  waiting_.pop_front();
  return release;
}

u64 Releases::chunks() const {
  u64 chunks = 0;
  for (const Waiting& each : waiting_) chunks += each.release.chunks.size();
  return chunks;
}

}  // namespace brindle
