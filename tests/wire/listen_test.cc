// listen_test.cc: sockets, the end of the server, several cores, and rest.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "wire/wire.h"

namespace brindle::wire {
namespace {

u64 now_ms() {
  return static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::steady_clock::now().time_since_epoch())
                              .count());
}

TEST(Listen, TheSocketIsForItsOwnerAndGroupAndGoesWithTheServer) {
  const Folder folder;
  const std::string socket = folder / "s";
  Server server(socket, {"db=1M"});
  struct stat what {};
  ASSERT_EQ(stat(socket.c_str(), &what), 0);
  EXPECT_EQ(what.st_mode & 0777, 0660u);
  EXPECT_EQ(server.stop(), 0);
  EXPECT_NE(stat(socket.c_str(), &what), 0);
}

TEST(Listen, ASocketLeftBehindIsReplacedAndALiveOneIsNot) {
  const Folder folder;
  Server killed(folder / "s", {"db=1M"});
  killed.kill();
  Server next(folder / "s", {"db=1M"});
  ASSERT_TRUE(next.runs());
  Server second(folder / "s", {"db=1M"});
  EXPECT_FALSE(second.runs());
  Client client(folder / "s");
  client.open("db");
  client.put(0, "here");
}

TEST(Listen, OneThatIsAboutToLetGoIsWaitedFor) {
  const Folder folder;
  const std::string path = folder / "s";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 8), 0);
  std::thread dying([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    close(listening);
  });
  Server next(path, {"db=1M"});
  dying.join();
  EXPECT_TRUE(next.runs());
}

TEST(Listen, WhatIsNotASocketIsLeftAlone) {
  const Folder folder;
  fclose(fopen((folder / "s").c_str(), "w"));
  Server server(folder / "s", {"db=1M"});
  EXPECT_FALSE(server.runs());
  struct stat what {};
  EXPECT_EQ(stat((folder / "s").c_str(), &what), 0);
}

TEST(Listen, APathTooLongForASocketIsRefused) {
  const Folder folder;
  Server server(folder / std::string(120, 'x'), {"db=1M"});
  EXPECT_FALSE(server.runs());
}

TEST(Listen, TcpAddressesAreRefusedWhenTheyMakeNoSense) {
  const Folder folder;
  for (const char* address : {"localhost", "127.0.0.1:", "nowhere.invalid:1", "127.0.0.1:99999999", "192.0.2.1:0"}) {
    Server server(folder / "s", {"--tcp", address, "db=1M"});
    EXPECT_FALSE(server.runs()) << address;
  }
}

TEST(Listen, TwoTcpAddressesAreBoundAndToldWithTheirPorts) {
  const Folder folder;
  Server server(folder / "s", {"--tcp", "127.0.0.1:0", "--tcp", "[::1]:0", "db=1M"});
  ASSERT_TRUE(server.runs());
  std::istringstream words(server.ready());
  std::string ready, path, four, six;
  words >> ready >> path >> four >> six;
  EXPECT_EQ(path, folder / "s");
  EXPECT_EQ(four.rfind("127.0.0.1:", 0), 0u) << four;
  EXPECT_NE(four, "127.0.0.1:0");
  EXPECT_EQ(six.rfind("[::1]:", 0), 0u) << six;
}

TEST(Close, AnswersWhatIsUnderWayAndEnds) {
  const Folder folder;
  Server server(folder / "s", {"db=64M"});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(folder / "s"));
    clients.back()->open("db");
    clients.back()->put(0, "idle");
  }
  Client negotiating(folder / "s");
  negotiating.greet();
  const u64 from = now_ms();
  EXPECT_EQ(server.stop(), 0);
  EXPECT_LT(now_ms() - from, 2000u);
  for (auto& client : clients) EXPECT_TRUE(client->hung_up());
  EXPECT_TRUE(negotiating.hung_up());
}

TEST(Close, WithIoUnderWayEveryReplyIsWholeAndTheServerEnds) {
  const Folder folder;
  Server server(folder / "s", {"db=64M"});
  std::vector<std::thread> threads;
  std::atomic<u64> answered{0};
  for (u64 t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Client client(folder / "s");
      client.open("db");
      for (u64 n = 0;; ++n) {
        client.write(n, (t * 1000 + n % 1000) * 4096, pattern(n, 4096));
        const Reply reply = client.reply();
        if (reply.none || reply.error != 0) break;
        EXPECT_EQ(reply.cookie, n);
        ++answered;
      }
    });
  }
  while (answered < 300) std::this_thread::yield();
  EXPECT_EQ(server.stop(), 0);
  for (auto& thread : threads) thread.join();
}

TEST(Close, DoesNotWaitLongForAClientThatDoesNotRead) {
  const Folder folder;
  Server server(folder / "s", {"--limit", "close_ms=300", "db=64M"});
  Client client(folder / "s");
  client.open("db");
  for (u64 n = 0; n < 50; ++n) client.ask(Command::read, n, 0, 1 * MiB);
  usleep(100'000);
  const u64 from = now_ms();
  EXPECT_EQ(server.stop(), 0);
  EXPECT_LT(now_ms() - from, 8000u);
}

TEST(Cores, ConnectionsOfTwoCoresUseBothAndSeeTheSameBytes) {
  const Folder folder;
  Server server(folder / "s", {"--cores", "2", "a=16M", "b=16M"});
  std::vector<std::thread> threads;
  for (u64 t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Client client(folder / "s");
      client.open(t % 2 == 0 ? "a" : "b", t > 1);
      for (u64 n = 0; n < 500; ++n) client.put((t * 500 + n) * 4096, pattern(t * 1000 + n, 4096));
      client.ask(Command::flush, 1, 0, 0);
      EXPECT_EQ(client.reply().error, 0u);
      client.ask(Command::trim, 1, 8 * MiB + t * 4096, 4096, flag_fua);
      EXPECT_EQ(client.reply().error, 0u);
    });
  }
  for (auto& thread : threads) thread.join();
  Client one(folder / "s");
  Client two(folder / "s");
  one.open("a");
  two.open("a");
  for (u64 n = 0; n < 500; ++n) {
    const std::string expected = pattern(n, 4096);
    EXPECT_EQ((n % 2 == 0 ? one : two).get(n * 4096, 4096), expected);
  }
  EXPECT_EQ(server.stop(), 0);
  std::istringstream lines(server.output());
  std::string word;
  for (int core = 0; core < 2; ++core) {
    u64 busy_ms = 0;
    u64 sleeps = 0;
    lines >> word >> busy_ms >> word >> sleeps;
    EXPECT_GT(busy_ms, 5u) << server.output();
  }
}

TEST(Idle, OpenConnectionsCostNoProcessor) {
  const Folder folder;
  Server server(folder / "s", {"db=64M"});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(folder / "s"));
    clients.back()->open("db");
    clients.back()->put(0, "now rest");
  }
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const u64 before = server.processor_ns();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  EXPECT_LE(server.processor_ns() - before, 30'000'000u);  // 1 % of a core
}

}  // namespace
}  // namespace brindle::wire
