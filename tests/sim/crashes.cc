// crashes.cc: which of all moments the pool may go back to, and that it goes to one of them.
#include <algorithm>

#include <fmt/format.h>

#include "sim/book.h"

namespace brindle::sim {

State Book::state_at(u64 number) const {
  const auto at = states_.upper_bound(number);
  return at == states_.begin() ? State() : std::prev(at)->second;
}

void Book::crashed() {
  claims_.doubt_all();
  tidying_ = 0;
  readings_.clear();
}

void Book::killed() {
  if (!replaying_) must_ = marks_.acked;
  crashed();
}

void Book::lost_power() {
  must_ = replaying_ ? std::min(must_, marks_.durable) : marks_.durable;
  crashed();
}

void Book::opening() {
  replaying_ = true;
  without_.clear();
  number_ = 0;
  at_ = 0;
}

void Book::opened(u64 last, bool any, bool read_only) {
  replaying_ = false;
  if (last < must_ && !any) {
    fail_(fmt::format("batches are lost: the pool is open at batch {}, and batch {} was {}", last, must_,
                      must_ == marks_.durable ? "durable" : "acknowledged"));
  }
  if (number_ > last) fail_(fmt::format("batch {} was replayed, and the pool says that it is at {}", number_, last));
  if (number_ == 0) now_ = state_at(last);
  if (read_only) {
    marks_.acked = std::min(marks_.acked, must_);
  } else {
    states_.erase(states_.upper_bound(last), states_.end());
    effects_.erase(effects_.upper_bound(last), effects_.end());
    // Of a batch that was not replayed to its end, nothing may be left over.
    if (number_ != 0 && effects_.count(number_) > 0 && effects_[number_].size() > at_) effects_[number_].resize(at_);
    claims_.clear();
    marks_ = {last, last};
    must_ = last;
  }
  states_[last] = now_;
  number_ = opened_at_ = last;
  ++names_version_;
}

}  // namespace brindle::sim
