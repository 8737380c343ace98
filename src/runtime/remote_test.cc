#include "runtime/remote.h"

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/result.h"
#include "runtime/core_test.h"

namespace brindle {

namespace {

Task<Result<std::string>> say(Reactor& reactor, std::string text, std::thread::id home) {
  EXPECT_EQ(std::this_thread::get_id(), home);
  co_await reactor.sleep(microsecond_ns);
  EXPECT_EQ(std::this_thread::get_id(), home);
  co_return text;
}

}  // namespace

TEST(Remote, a_plain_thread_gets_what_the_task_gave_on_its_home_core) {
  Core home;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = "number " + std::to_string(i) + " is long enough for the heap";
    auto got = call_blocking(home.reactor(), [&] { return say(home.reactor(), text, home.id()); });
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, text);
  }
}

TEST(Remote, a_plain_function_runs_on_the_home_core) {
  Core home;
  EXPECT_EQ(ask_blocking(home.reactor(), [] { return std::this_thread::get_id(); }), home.id());
}

TEST(Remote, many_threads_call_at_once) {
  Core home;
  u64 sum = 0;  // home's alone
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) ask_blocking(home.reactor(), [&sum] { return ++sum; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4000u);
}

TEST(Remote, a_coroutine_goes_on_where_it_was) {
  Core home;
  Core other;
  const auto there_and_back = [](Core* from, Core* to) -> Task<Result<std::string>> {
    const auto make = [to] { return say(to->reactor(), "from over there", to->id()); };
    auto got = co_await on(to->reactor(), from->reactor(), make);
    EXPECT_EQ(std::this_thread::get_id(), from->id());
    co_return got;
  };
  for (Core* to : {&other, &home}) {
    auto got = call_blocking(home.reactor(), [&, to] { return there_and_back(&home, to); });
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, "from over there");
  }
}

}  // namespace brindle
