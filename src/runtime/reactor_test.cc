// reactor_test.cc: the loop itself: time, other threads, the ring when it is full, and rest.
#include "runtime/reactor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "runtime/remote.h"
#include "runtime/sync.h"

namespace brindle {
namespace {

class ReactorTest : public testing::Test {
 protected:
  explicit ReactorTest(ReactorOptions options = {}) : reactor(std::move(Reactor::create(options)).value()) {
    thread = std::thread([this] { reactor->run(); });
  }
  ~ReactorTest() override {
    reactor->stop();
    thread.join();
  }
  template <class T>
  T run(Task<T> (*body)(Reactor&)) {
    return call_blocking(*reactor, [&] { return body(*reactor); });
  }

  std::unique_ptr<Reactor> reactor;
  std::thread thread;
};

/// Both ends of a stream.
struct Pair {
  int fds[2];
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0); }
  ~Pair() {
    close(fds[0]);
    close(fds[1]);
  }
};

Task<void> note_after(Reactor& reactor, u64 ns, int number, std::vector<int>& order) {
  co_await reactor.sleep(ns);
  order.push_back(number);
}

Task<bool> timers_in_order(Reactor& reactor) {
  std::vector<int> order;
  Gate gate(reactor);
  const u64 from = reactor.now_ns();
  gate.spawn(note_after(reactor, 6 * millisecond_ns, 3, order));
  gate.spawn(note_after(reactor, 2 * millisecond_ns, 1, order));
  gate.spawn(note_after(reactor, 4 * millisecond_ns, 2, order));
  co_await gate.close();
  const u64 took = reactor.now_ns() - from;
  co_return order == std::vector<int>{1, 2, 3} && took >= 6 * millisecond_ns && took < 500 * millisecond_ns;
}

TEST_F(ReactorTest, TimersRunInOrderAndNotEarly) { EXPECT_TRUE(run(timers_in_order)); }

TEST_F(ReactorTest, CallsFromManyThreadsAllArriveAndWakeItFromSleep) {
  std::atomic<int> arrived{0};
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it sleeps by now
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        for (int n = 0; n < 500; ++n) reactor->post_remote([&] { ++arrived; });
      });
    }
    for (auto& caller : callers) caller.join();
    const auto nothing = [](Reactor&) -> Task<int> { co_return 0; };
    static_cast<void>(run<int>(nothing));
    EXPECT_EQ(arrived.load(), (round + 1) * 2000);
  }
}

Task<void> receive_one(Reactor& reactor, int fd, int& got, std::array<std::byte, 8>& into) {
  got = co_await reactor.recv(fd, into);
}

Task<bool> send_and_receive(Reactor& reactor) {
  Pair pair;
  int got = 0;
  std::array<std::byte, 8> into{};
  Gate gate(reactor);
  gate.spawn(receive_one(reactor, pair.fds[0], got, into));
  const std::array<std::byte, 3> bytes{std::byte{1}, std::byte{2}, std::byte{3}};
  const int sent = co_await reactor.send(pair.fds[1], bytes);
  co_await gate.close();
  co_return sent == 3 && got == 3 && into[2] == std::byte{3};
}

TEST_F(ReactorTest, SocketsSendAndReceive) { EXPECT_TRUE(run(send_and_receive)); }

Task<int> shut_a_receive(Reactor& reactor) {
  Pair pair;
  int got = -1;
  std::array<std::byte, 8> into{};
  Gate gate(reactor);
  gate.spawn(receive_one(reactor, pair.fds[0], got, into));
  co_await reactor.sleep(millisecond_ns);
  ::shutdown(pair.fds[0], SHUT_RDWR);
  co_await gate.close();
  co_return got;
}

TEST_F(ReactorTest, ShutdownEndsAReceiveAsTheEndOfTheStream) { EXPECT_EQ(run(shut_a_receive), 0); }

Task<void> note(std::vector<int>& order, int number) {
  order.push_back(number);
  co_return;
}
Task<void> late(Reactor& reactor, std::vector<int>& order) {
  co_await reactor.turn_end();
  order.push_back(100);
}
/// Ready again at once; not long work, after which a turn may end (Runtime::yield).
struct Again {
  Reactor& reactor;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const { reactor.post(handle); }
  void await_resume() const noexcept {}
};
Task<void> rounds(Reactor& reactor, std::vector<int>& order) {
  for (int i = 0; i < 3; ++i) {
    co_await Again{reactor};
    co_await note(order, i);
  }
}

Task<bool> end_of_turn(Reactor& reactor) {
  std::vector<int> order;
  Gate gate(reactor);
  gate.spawn(late(reactor, order));
  gate.spawn(rounds(reactor, order));
  co_await gate.close();
  co_return order == std::vector<int>{0, 1, 2, 100};
}

TEST_F(ReactorTest, TheEndOfATurnComesAfterEverythingThatIsReady) { EXPECT_TRUE(run(end_of_turn)); }

/// Work of many steps, each a tenth of a millisecond.
Task<void> work_long(Reactor& reactor, int& steps) {
  for (; steps < 64; ++steps) {
    const u64 end_ns = reactor.now_ns() + 100'000;
    while (reactor.now_ns() < end_ns) {
    }
    co_await reactor.yield();
  }
}

Task<int> steps_before_a_timer(Reactor& reactor) {
  int steps = 0;
  Gate gate(reactor);
  gate.spawn(work_long(reactor, steps));
  co_await reactor.sleep(1);
  const int before = steps;
  co_await gate.close();
  co_return before;
}

TEST_F(ReactorTest, WhatComesWaitsForAFewStepsOfLongWorkOnly) { EXPECT_LE(run(steps_before_a_timer), 6); }

class SmallRingTest : public ReactorTest {
 protected:
  SmallRingTest() : ReactorTest(ReactorOptions{.entries = 4}) {}
};

Task<void> nothing(Reactor& reactor, int& done) {
  const int result = co_await reactor.request([](io_uring_sqe* e) { io_uring_prep_nop(e); });
  if (result == 0) ++done;
}

Task<int> many_at_once(Reactor& reactor) {
  int done = 0;
  Gate gate(reactor);
  for (int i = 0; i < 1000; ++i) gate.spawn(nothing(reactor, done));
  co_await gate.close();
  co_return done;
}

TEST_F(SmallRingTest, AFullRingParksRequestsAndLosesNone) { EXPECT_EQ(run(many_at_once), 1000); }

Task<void> write_after_turns(Reactor& reactor, int turns, int fd) {
  while (turns-- > 0) co_await reactor.look();
  EXPECT_EQ(write(fd, "x", 1), 1);
}

Task<bool> look_until_there(Reactor& reactor) {
  Pair pair;
  Gate gate(reactor);
  gate.spawn(write_after_turns(reactor, 3, pair.fds[1]));
  int looks = 0;
  char byte = 0;
  while (recv(pair.fds[0], &byte, 1, MSG_DONTWAIT) < 0) {
    const bool again = co_await reactor.look();
    if (!again) break;
    ++looks;
  }
  reactor.found();
  co_await gate.close();
  co_return byte == 'x' && looks >= 3;
}
/// One that does not stop polling when the machine is busy.
class PatientTest : public ReactorTest {
 protected:
  PatientTest() : ReactorTest({.poll_ns = 5 * second_ns, .poll_max_ns = 5 * second_ns}) {}
};
TEST_F(PatientTest, WhoLooksForSomethingGoesOnEachTurnUntilItIsThere) { EXPECT_TRUE(run(look_until_there)); }

Task<u64> look_for_nothing(Reactor& reactor) {
  u64 looks = 0;
  for (;;) {
    const bool again = co_await reactor.look();
    if (!again) break;
    ++looks;
  }
  co_return looks;
}
TEST_F(ReactorTest, WhoLooksForNothingIsToldBeforeItSleeps) {
  EXPECT_GT(run(look_for_nothing), 0);
  const u64 busy = reactor->busy_ns();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(reactor->busy_ns() - busy, 20 * millisecond_ns);
}

Task<bool> look_in_a_crowd(Reactor& reactor) {
  Gate gate(reactor);
  std::vector<u64> looks;
  const auto one = [&]() -> Task<void> { looks.push_back(co_await look_for_nothing(reactor)); };
  for (int i = 0; i < 6; ++i) gate.spawn(one());
  co_await gate.close();
  std::sort(looks.begin(), looks.end());
  co_return looks.size() == 6 && looks[0] == 0 && looks[1] == 0 && looks[2] > 0;
}
TEST_F(ReactorTest, OnlyAFewLookAtOnce) { EXPECT_TRUE(run(look_in_a_crowd)); }

TEST_F(ReactorTest, AtRestItUsesNoProcessor) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const u64 busy = reactor->busy_ns();
  const u64 sleeps = reactor->sleeps();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(reactor->busy_ns() - busy, millisecond_ns);
  EXPECT_EQ(reactor->sleeps(), sleeps);
}

Task<int> wait_for_flush(Reactor& reactor) {
  char path[] = "/tmp/brindle-reactor-XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  const std::vector<std::byte> bytes(1 << 20);
  const iovec one{const_cast<std::byte*>(bytes.data()), bytes.size()};
  const std::span<const iovec> from(&one, 1);
  int result = co_await reactor.writev(fd, from, 0);
  Gate gate(reactor);
  const auto flush = [&]() -> Task<void> { result = co_await reactor.fdatasync(fd); };
  if (result > 0) gate.spawn(flush());
  const bool looked = co_await reactor.look();
  EXPECT_FALSE(looked);
  co_await gate.close();
  close(fd);
  co_return result;
}

TEST_F(ReactorTest, AFlushCompletesThoughItDoesNotPollMeanwhile) { EXPECT_EQ(run(wait_for_flush), 0); }

class ReadingTest : public ReactorTest {
 protected:
  ReadingTest() : ReactorTest({.poll_ns = 100 * microsecond_ns, .poll_max_ns = 100 * microsecond_ns, .poll_reads_ns = 5 * second_ns}) {}
  /// So many reads at a time, all of which end together after some milliseconds: how often it slept in the second half of the rounds.
  u64 sleeps_with(size_t reads) {
    Pair pair;
    std::thread device([&] {
      const std::vector<char> bytes(reads);
      for (int round = 0; round < 2 * rounds; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        EXPECT_EQ(write(pair.fds[1], bytes.data(), reads), static_cast<ssize_t>(reads));
      }
    });
    const u64 slept = call_blocking(*reactor, [&] { return read_in_rounds(*reactor, pair.fds[0], reads); });
    device.join();
    return slept;
  }
  static constexpr int rounds = 20;

 private:
  static Task<void> read_one(Reactor& reactor, int fd) {
    char byte = 0;
    const iovec into{&byte, 1};
    const int got = co_await reactor.readv(fd, {&into, 1}, 0);
    EXPECT_EQ(got, 1);
  }
  static Task<u64> read_in_rounds(Reactor& reactor, int fd, size_t reads) {
    u64 before = 0;
    for (int round = 0; round < 2 * rounds; ++round) {
      if (round == rounds) before = reactor.sleeps();
      Gate gate(reactor);
      for (size_t i = 0; i < reads; ++i) gate.spawn(read_one(reactor, fd));
      co_await gate.close();
    }
    co_return reactor.sleeps() - before;
  }
};

TEST_F(ReadingTest, ItLooksForLongerWhereManyReadsAreUnderWay) {
  EXPECT_LT(sleeps_with(8), 5u);
  EXPECT_GT(sleeps_with(7), 10u);
}

TEST(ReactorBetweenTwo, CallsGoToTheOtherReactorAndComeBack) {
  auto home = std::move(Reactor::create({})).value();
  auto other = std::move(Reactor::create({})).value();
  std::thread a([&] { home->run(); });
  std::thread b([&] { other->run(); });
  std::thread::id seen[2];
  const auto there = [&]() -> Task<int> {
    seen[0] = std::this_thread::get_id();
    co_return 7;
  };
  const auto here = [&]() -> Task<int> {
    const int value = co_await on(*home, *other, there);
    seen[1] = std::this_thread::get_id();
    co_return value;
  };
  EXPECT_EQ(call_blocking(*other, here), 7);
  EXPECT_EQ(seen[0], a.get_id());
  EXPECT_EQ(seen[1], b.get_id());
  home->stop();
  other->stop();
  a.join();
  b.join();
}

}  // namespace
}  // namespace brindle
