#include "runtime/reactor.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace brindle {

namespace {

// Rounds over what is ready within one turn: more than any request needs from its arrival to its first I/O, and few enough
// that coroutines that wake each other without end cannot keep completions away.
constexpr int rounds_a_turn = 16;
// Long work goes on in each round, some 0.1 ms a step: what arrives meanwhile is to wait for one and not for sixteen.
constexpr u64 long_turn_ns = 50'000;

// Each submission wakes the device, which costs more than the request where the machine is a virtual one; but a device that waits for
// many requests is a device that idles. With 32 random reads of 4 KiB under way the engine alone made 75,000 a second where each
// went by itself, 102,000 by two, 110,000 by four, 108,000 by eight, and 87,000 where all of a round went together.
constexpr unsigned prompt_together = 4;

// With 32 random reads under way the disk measured here ended all of them together, every 0.27 ms: a reactor that slept meanwhile and was
// woken for them made 80,000 a second, one that looked made 100,000.
constexpr unsigned many_reads = 8;

// What is resumed between two looks at what other cores have sent.
constexpr size_t resumed_a_look = 4;

u64 clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<u64>(now.tv_sec) * second_ns + static_cast<u64>(now.tv_nsec);
}

/// Keeps the allocator from giving memory back to the kernel and taking it again with every large request: each page comes
/// with a fault, which costs more than the request where the machine is a virtual one.
void calm_allocator() {
#if defined(__GLIBC__)
  static const bool done = [] {
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
    return true;
  }();
  static_cast<void>(done);
#endif
}

thread_local Reactor* running = nullptr;  // on this thread

/// A message of its own, for who has nothing to put one into.
struct Call : Message {
  std::function<void()> work;
  explicit Call(std::function<void()> what) : work(std::move(what)) { run = invoke; }
  static void invoke(Message& message) {
    const std::unique_ptr<Call> call(static_cast<Call*>(&message));
    call->work();
  }
};

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create(ReactorOptions options) {
  calm_allocator();
  std::unique_ptr<Reactor> reactor(new Reactor(options));
  if (auto status = reactor->start(); !status) return status.error();
  return reactor;
}

Status Reactor::start() {
  // Newer kernels bring completions without interrupting the thread, and say in shared memory that there are some, so that
  // polling needs no system call; older ones do without.
  const unsigned attempts[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                                   IORING_SETUP_R_DISABLED,
                               IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
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
  wake_.fill = [](Operation&, io_uring_sqe*) {};
  return {};
}

Reactor::~Reactor() {
  for (Message* message = inbox_.load(); message != nullptr;) {
    Message* const before = message->next;
    if (message->run == Call::invoke) delete static_cast<Call*>(message);  // the others belong to somebody
    message = before;
  }
  if (ring_made_) io_uring_queue_exit(&ring_);
  if (wake_fd_ >= 0) close(wake_fd_);
}

u64 Reactor::now_ns() { return clock_ns(CLOCK_MONOTONIC); }
u64 Reactor::wall_ns() { return clock_ns(CLOCK_REALTIME); }

u64 Reactor::busy_ns() const {
  return running_.load() ? clock_ns(clock_.load()) : ended_busy_ns_.load();
}

// --- messages -------------------------------------------------------------------------------------------------------

void Reactor::post_remote(std::function<void()> work) { send(*new Call(std::move(work))); }

void Reactor::send(Message& message) {
  Reactor* const from = running;
  if (from == nullptr || from == this) {
    message.next = nullptr;
    return deliver(&message, &message);
  }
  for (Outgoing& way : from->outgoing_) {
    if (way.to != this) continue;
    message.next = way.newest;
    way.newest = &message;
    if (way.oldest == nullptr) way.oldest = &message;
    return;
  }
  message.next = nullptr;
  from->outgoing_.push_back({this, &message, &message});
}

void Reactor::deliver(Message* newest, Message* oldest) {
  Message* before = inbox_.load(std::memory_order_relaxed);
  do {
    oldest->next = before;
  } while (!inbox_.compare_exchange_weak(before, newest));
  // The first to find it asleep wakes it; a burst of messages costs one wake.
  if (asleep_.load() && asleep_.exchange(false)) {
    const u64 one = 1;
    static_cast<void>(write(wake_fd_, &one, sizeof one));
  }
}

void Reactor::send_messages() {
  for (Outgoing& way : outgoing_) {
    if (way.newest == nullptr) continue;
    Message* const newest = std::exchange(way.newest, nullptr);
    way.to->deliver(newest, std::exchange(way.oldest, nullptr));
  }
}

void Reactor::stop() {
  post_remote([this] { stopping_.store(true); });
}

// --- the ring -------------------------------------------------------------------------------------------------------

bool Reactor::try_begin(Operation& operation) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return false;
  if (&operation == &wake_) {
    io_uring_prep_read(entry, wake_fd_, &wake_value_, sizeof wake_value_, 0);
  } else {
    operation.fill(operation, entry);
  }
  io_uring_sqe_set_data(entry, &operation);
  if (operation.slow) ++slow_;
  if (operation.prompt) ++reads_under_way_;
  return true;
}

void Reactor::begin(Operation& operation) {
  if (parked_.empty()) {
    if (try_begin(operation)) {
      if (operation.prompt && ++prompt_ == prompt_together) submit_prompt();
      return;
    }
    io_uring_submit(&ring_);  // what it cannot take now (its completions are to be reaped first) it takes in a later turn
    if (try_begin(operation)) return;
  }
  parked_.push_back(&operation);
}

void Reactor::submit_prompt() {
  prompt_ = 0;
  io_uring_submit(&ring_);
}

void Reactor::unpark() {
  while (!parked_.empty() && try_begin(*parked_.front())) parked_.pop_front();
}

void Reactor::submit() {
  if (!deferred_) {
    if (io_uring_sq_ready(&ring_) > 0) io_uring_submit(&ring_);
    return;
  }
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  if (io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
    io_uring_submit_and_get_events(&ring_);
  }
}

bool Reactor::reap() {
  io_uring_cqe* completion = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  bool woken = false;
  io_uring_for_each_cqe(&ring_, head, completion) {
    ++count;
    auto* operation = static_cast<Operation*>(io_uring_cqe_get_data(completion));
    operation->result = completion->res;
    if (operation->slow) --slow_;
    if (operation->prompt) --reads_under_way_;
    if (operation == &wake_) {
      woken = true;
    } else {
      ready_.push_back(operation->handle);
    }
  }
  if (count > 0) io_uring_cq_advance(&ring_, count);
  if (woken) begin(wake_);
  return count > 0;
}

// --- a turn ---------------------------------------------------------------------------------------------------------

bool Reactor::run_ready() {
  const size_t count = ready_.size();  // what becomes ready meanwhile waits for the next round
  for (size_t i = 0; i < count; ++i) {
    // Another core that waits for an answer does nothing meanwhile, and a round may be long.
    if (i % resumed_a_look == resumed_a_look - 1 && run_messages()) send_messages();
    const std::coroutine_handle<> next = ready_.front();
    ready_.pop_front();
    next.resume();
  }
  if (prompt_ > 0) submit_prompt();
  return count > 0;
}

bool Reactor::run_late() {
  if (late_.empty()) return false;
  late_now_.swap(late_);
  for (const std::coroutine_handle<> next : late_now_) next.resume();
  late_now_.clear();
  return true;
}

void Reactor::run_timers() {
  while (!timers_.empty() && timers_.top().at_ns <= turn_ns_) {
    ready_.push_back(timers_.top().handle);
    timers_.pop();
  }
}

/// Was anything found?
bool Reactor::run_looks(bool again) {
  if (looking_.empty()) return false;
  found_ = false;
  looking_now_.swap(looking_);
  for (Look* const look : looking_now_) {
    look->again = again;
    look->handle.resume();
  }
  looking_now_.clear();
  return found_;
}

bool Reactor::run_messages() {
  if (inbox_.load(std::memory_order_relaxed) == nullptr) return false;
  Message* newest = inbox_.exchange(nullptr);
  Message* oldest = nullptr;
  while (newest != nullptr) {
    Message* const before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  while (oldest != nullptr) {
    Message& message = *oldest;
    oldest = message.next;  // once it has run it may be gone, or on its way again
    message.run(message);
  }
  return true;
}

void Reactor::turn(bool& worked) {
  yielded_ = false;
  run_timers();
  worked = run_looks(true);
  // Other cores wait for what they asked, so each round takes in what came from them, and lets go of what is for them.
  for (int round = 0; round < rounds_a_turn; ++round) {
    const bool asked = run_messages();
    const bool ran = run_ready();
    send_messages();
    if (!asked && !ran) break;
    worked = true;
    if (yielded_ && now_ns() > turn_ns_ + long_turn_ns) break;
  }
  if (run_late()) {
    worked = true;
    send_messages();
  }
  submit();
  worked = reap() || worked;
  unpark();
}

void Reactor::sleep_in_kernel() {
  asleep_.store(true);
  if (inbox_.load() != nullptr) {  // sent between the last look and the flag
    asleep_.store(false);
    return;
  }
  sleeps_.fetch_add(1, std::memory_order_relaxed);
  if (timers_.empty()) {
    io_uring_submit_and_wait(&ring_, 1);
  } else {
    io_uring_cqe* completion = nullptr;
    const u64 now = now_ns();
    const u64 left = timers_.top().at_ns > now ? timers_.top().at_ns - now : 1;
    __kernel_timespec timeout{};
    timeout.tv_sec = static_cast<i64>(left / second_ns);
    timeout.tv_nsec = static_cast<i64>(left % second_ns);
    io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &timeout, nullptr);
  }
  asleep_.store(false);
}

u64 Reactor::poll_max_ns() const { return reads_under_way_ >= many_reads ? options_.poll_reads_ns : options_.poll_max_ns; }

/// It slept, and something came this long after the last event: would polling a little longer have met it?
void Reactor::adapt(u64 waited_ns, u64 most_ns) {
  poll_ns_ = waited_ns < most_ns ? std::min(2 * poll_ns_, most_ns) : options_.poll_ns;
}

void Reactor::run() {
  if (options_.core >= 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<unsigned>(options_.core), &cores);
    sched_setaffinity(0, sizeof cores, &cores);  // a core that is not ours to have: run anywhere
  }
  clockid_t clock{};
  pthread_getcpuclockid(pthread_self(), &clock);
  clock_.store(clock);
  running_.store(true);
  running = this;
  // By number: liburing 2.3 declares a call for this, and its shared library does not have it.
  if (deferred_) CHECK(io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
  begin(wake_);
  turn_ns_ = now_ns();
  u64 last_work_ns = turn_ns_;
  while (!stopping_.load(std::memory_order_relaxed) || !ready_.empty() || !late_.empty()) {
    bool worked = false;
    turn(worked);
    turn_ns_ = now_ns();
    if (worked) last_work_ns = turn_ns_;
    if (!ready_.empty() || !late_.empty() || !parked_.empty()) continue;
    if (slow_ == 0 && turn_ns_ - last_work_ns < std::min(poll_ns_, poll_max_ns())) {
      pause_briefly();
      continue;
    }
    if (stopping_.load(std::memory_order_relaxed)) continue;
    if (!looking_.empty()) {
      run_looks(false);
      continue;
    }
    const bool polled = slow_ == 0;
    const u64 most_ns = poll_max_ns();
    sleep_in_kernel();
    const bool event = reap() || inbox_.load(std::memory_order_relaxed) != nullptr;
    turn_ns_ = now_ns();
    if (event) {
      if (polled) adapt(turn_ns_ - last_work_ns, most_ns);
      last_work_ns = turn_ns_;
    }
  }
  running = nullptr;
  ended_busy_ns_.store(clock_ns(CLOCK_THREAD_CPUTIME_ID));
  running_.store(false);
}

}  // namespace brindle
