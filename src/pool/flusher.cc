#include "pool/flusher.h"

#include "base/planted.h"

namespace brindle {

Task<Status> Flusher::flush() { return run(device_.flush()); }

Task<Status> Flusher::run(Task<Status> flushing) {
  if (failed_ && !planted(Plant::flush_error_elsewhere)) co_return *failed_;
  const u64 mine = ++begun_;
  running_.insert(mine);
  Status status = co_await std::move(flushing);
  running_.erase(mine);
  ended_.notify_all();
  if (!status && status.code() != Code::io) co_return status;  // it was refused
  if (!status && planted(Plant::flush_error_forgotten)) co_return status;
  if (status && planted(Plant::flush_error_elsewhere)) co_return status;
  if (!status && !failed_) failed_ = status.error();
  const u64 last = begun_;
  while (!failed_ && !running_.empty() && *running_.begin() <= last) co_await ended_.wait();
  if (failed_) co_return *failed_;
  co_return Status{};
}

}  // namespace brindle
