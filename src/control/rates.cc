#include "control/rates.h"

#include <thread>

namespace brindle::control {

namespace {

constexpr auto young = std::chrono::seconds(1);    // a sample from which a rate would jump about
constexpr auto old = std::chrono::seconds(10);     // a sample that says nothing about now
constexpr auto wait = std::chrono::milliseconds(100);

}  // namespace

RateMeter::Sample RateMeter::sample(const PoolStatus& status) {
  return {Clock::now(), status.reads, status.writes, status.read_bytes, status.write_bytes};
}

Rates RateMeter::between(const Sample& from, const Sample& to) {
  const double seconds = std::chrono::duration<double>(to.at - from.at).count();
  if (seconds <= 0) return {};
  const auto rate = [&](u64 a, u64 b) { return static_cast<u64>(static_cast<double>(b - a) / seconds + 0.5); };
  return {rate(from.reads, to.reads), rate(from.writes, to.writes), rate(from.read_bytes, to.read_bytes),
          rate(from.write_bytes, to.write_bytes)};
}

Rates RateMeter::rates(const std::function<PoolStatus()>& ask, PoolStatus& status) {
  status = ask();
  Sample now = sample(status);
  std::optional<Sample> from;
  {
    const std::lock_guard lock(mutex_);
    if (!newer_ || now.at - newer_->at >= young) {
      older_ = newer_;
      newer_ = now;
    }
    if (older_ && now.at - older_->at <= old) from = older_;
    const bool still = older_ && older_->reads == now.reads && older_->writes == now.writes;
    if (!from && still) return {};
    if (!from) from = now;
  }
  if (now.at - from->at < wait) {
    std::this_thread::sleep_for(wait);
    status = ask();
    now = sample(status);
  }
  return between(*from, now);
}

}  // namespace brindle::control
