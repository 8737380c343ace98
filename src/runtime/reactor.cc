#include "runtime/reactor.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

namespace brindle {

namespace {

u64 clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<u64>(now.tv_sec) * second_ns + static_cast<u64>(now.tv_nsec);
}

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create(ReactorOptions options) {
  std::unique_ptr<Reactor> reactor(new Reactor(options));
  if (auto status = reactor->start(); !status) return status.error();
  return reactor;
}

Status Reactor::start() {
  // Newer kernels bring completions without interrupting the thread; older ones do without.
  const unsigned attempts[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
                               IORING_SETUP_COOP_TASKRUN, 0};
  int made = -EINVAL;
  for (unsigned flags : attempts) {
    io_uring_params parameters{};
    parameters.flags = flags | IORING_SETUP_CLAMP;
    made = io_uring_queue_init_params(options_.entries, &ring_, &parameters);
    if (made == 0) {
      deferred_ = (flags & IORING_SETUP_DEFER_TASKRUN) != 0;
      break;
    }
  }
  if (made < 0) {
    return Error{Code::io, fmt::format("io_uring is not to be had ({}): Brindle needs Linux 5.15 or newer, and a container "
                                       "or sysctl (kernel.io_uring_disabled) that allows it",
                                       std::strerror(-made))};
  }
  ring_made_ = true;
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return Error{Code::io, fmt::format("eventfd: {}", std::strerror(errno))};
  return {};
}

Reactor::~Reactor() {
  if (ring_made_) io_uring_queue_exit(&ring_);
  if (wake_fd_ >= 0) close(wake_fd_);
}

u64 Reactor::now_ns() { return clock_ns(CLOCK_MONOTONIC); }
u64 Reactor::wall_ns() { return clock_ns(CLOCK_REALTIME); }

void Reactor::post_remote(std::function<void()> work) {
  {
    const std::lock_guard lock(remote_mutex_);
    remote_.push_back(std::move(work));
  }
  remote_waits_.store(true);
  if (asleep_.load()) {
    const u64 one = 1;
    static_cast<void>(write(wake_fd_, &one, sizeof one));
  }
}

void Reactor::stop() {
  post_remote([this] { stopping_.store(true); });
}

io_uring_sqe* Reactor::entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void Reactor::arm_wake() {
  io_uring_sqe* read = entry();
  io_uring_prep_read(read, wake_fd_, &wake_value_, sizeof wake_value_, 0);
  io_uring_sqe_set_data(read, &wake_);
}

bool Reactor::reap() {
  io_uring_cqe* completion = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_for_each_cqe(&ring_, head, completion) {
    ++count;
    auto* operation = static_cast<Operation*>(io_uring_cqe_get_data(completion));
    operation->result = completion->res;
    if (operation == &wake_) {
      arm_wake();
    } else {
      ready_.push_back(operation->handle);
    }
  }
  if (count > 0) io_uring_cq_advance(&ring_, count);
  return count > 0;
}

bool Reactor::run_ready() {
  const size_t count = ready_.size();  // what becomes ready meanwhile waits for the next turn
  for (size_t i = 0; i < count; ++i) {
    const std::coroutine_handle<> next = ready_.front();
    ready_.pop_front();
    next.resume();
  }
  return count > 0;
}

bool Reactor::run_timers() {
  if (timers_.empty()) return false;
  const u64 now = now_ns();
  bool any = false;
  while (!timers_.empty() && timers_.top().at_ns <= now) {
    ready_.push_back(timers_.top().handle);
    timers_.pop();
    any = true;
  }
  return any;
}

bool Reactor::run_remote() {
  if (!remote_waits_.exchange(false)) return false;
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(remote_mutex_);
    work.swap(remote_);
  }
  for (auto& call : work) call();
  return !work.empty();
}

void Reactor::sleep_in_kernel() {
  asleep_.store(true);
  if (remote_waits_.load()) {  // posted between the last look and the flag
    asleep_.store(false);
    return;
  }
  io_uring_cqe* completion = nullptr;
  if (timers_.empty()) {
    io_uring_submit_and_wait(&ring_, 1);
  } else {
    const u64 now = now_ns();
    const u64 left = timers_.top().at_ns > now ? timers_.top().at_ns - now : 1;
    __kernel_timespec timeout{};
    timeout.tv_sec = static_cast<i64>(left / second_ns);
    timeout.tv_nsec = static_cast<i64>(left % second_ns);
    io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &timeout, nullptr);
  }
  asleep_.store(false);
}

void Reactor::run() {
  if (options_.core >= 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<unsigned>(options_.core), &cores);
    sched_setaffinity(0, sizeof cores, &cores);  // a core that is not ours to have: run anywhere
  }
  // By number: liburing 2.3 declares a call for this, and its shared library does not have it.
  if (deferred_) CHECK(io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
  arm_wake();
  u64 last_work_ns = now_ns();
  while (!stopping_.load() || !ready_.empty()) {
    bool worked = run_remote();
    worked = run_ready() || worked;
    worked = run_timers() || worked;
    if (deferred_) {
      io_uring_submit_and_get_events(&ring_);
    } else if (io_uring_sq_ready(&ring_) > 0) {
      io_uring_submit(&ring_);
    }
    worked = reap() || worked;
    if (!ready_.empty()) continue;
    const u64 now = now_ns();
    if (worked) last_work_ns = now;
    if (stopping_.load() || now - last_work_ns < options_.poll_ns) continue;
    sleep_in_kernel();
    busy_ns_ = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (reap()) last_work_ns = now_ns();
  }
}

}  // namespace brindle
