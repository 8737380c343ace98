// bad_clients_test.cc: clients that stop reading, vanish in the midst, or hold on to what others need.
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "wire/wire.h"

namespace brindle::wire {
namespace {

// The thread sanitizer keeps several bytes for each that is used.
#if defined(__SANITIZE_THREAD__)
constexpr u64 bytes_for_each = 5;
#else
constexpr u64 bytes_for_each = 1;
#endif

/// For a server that lets go of memory when it says so: the address sanitizer would keep 256 MiB of it.
std::vector<std::string> letting_go(std::vector<std::string> arguments) {
  const char* const before = getenv("ASAN_OPTIONS");
  setenv("ASAN_OPTIONS", ((before != nullptr ? before + std::string(":") : std::string()) + "quarantine_size_mb=4").c_str(), 1);
  return arguments;
}

class BadClients : public WireTest {
 protected:
  BadClients() : WireTest(letting_go({"--limit", "stall_ms=500"})) {}
};

TEST_F(BadClients, OneThatStopsReadingCostsBoundedMemoryAndOthersGoOn) {
  Client other(socket);
  other.open("db");
  other.put(0, pattern(1, 4 * MiB));
  const u64 before = server.resident_bytes();
  std::vector<std::unique_ptr<Client>> greedy;
  for (int i = 0; i < 4; ++i) {
    greedy.push_back(std::make_unique<Client>(socket));
    greedy.back()->open("db");
    Message requests;
    for (u64 n = 0; n < 2000; ++n) {  // 500 MiB of replies that nobody takes
      requests.put(request_magic).put(u16{0}).put(static_cast<u16>(Command::read)).put(n).put(u64{0}).put(u32{256 * KiB});
    }
    greedy.back()->send(requests);
  }
  for (int i = 0; i < 50; ++i) {
    other.put(static_cast<u64>(i) * 4096, pattern(2, 4096));
    EXPECT_EQ(other.get(static_cast<u64>(i) * 4096, 4096), pattern(2, 4096));
  }
  EXPECT_LT(server.resident_bytes(), before + bytes_for_each * (64 * MiB + 4 * 2 * MiB + 32 * MiB));
}

TEST_F(BadClients, OneThatHoldsWhatOthersWaitForIsHungUpOn) {
  Client greedy(socket);
  greedy.open("db");
  for (u64 n = 0; n < 3; ++n) greedy.ask(Command::read, n, 0, 32 * MiB);  // all of the shared memory, and never taken
  usleep(100'000);
  Client other(socket);
  other.open("db");
  other.ask(Command::read, 1, 0, 32 * MiB);
  const Reply reply = other.reply(32 * MiB);
  EXPECT_EQ(reply.error, 0u);
  EXPECT_EQ(reply.data.size(), 32 * MiB);
  EXPECT_TRUE(greedy.hung_up());
}

TEST_F(BadClients, OneThatStopsInTheMidstOfAPayloadIsHungUpOnWhenItsMemoryIsWanted) {
  std::vector<std::unique_ptr<Client>> halves;
  for (int i = 0; i < 2; ++i) {
    halves.push_back(std::make_unique<Client>(socket));
    halves.back()->open("db");
    halves.back()->ask(Command::write, 1, 0, 32 * MiB);
  }
  usleep(100'000);
  Client other(socket);
  other.open("db");
  other.put(0, pattern(1, 32 * MiB));
  EXPECT_EQ(other.get(0, 8), pattern(1, 8));
}

TEST_F(BadClients, OneThatTricklesAPayloadIsHungUpOnWhenItsMemoryIsWanted) {
  std::vector<std::unique_ptr<Client>> drips;
  for (int i = 0; i < 2; ++i) {
    drips.push_back(std::make_unique<Client>(socket));
    drips.back()->open("db");
    drips.back()->ask(Command::write, 1, 0, 32 * MiB);
  }
  std::atomic<bool> done = false;
  std::thread dripping([&] {
    while (!done) {
      for (const auto& client : drips) static_cast<void>(::send(client->fd(), "n", 1, MSG_NOSIGNAL));
      usleep(20'000);
    }
  });
  usleep(100'000);
  Client other(socket);
  other.open("db");
  other.put(0, pattern(1, 32 * MiB));
  EXPECT_EQ(other.get(0, 8), pattern(1, 8));
  done = true;
  dripping.join();
}

TEST_F(BadClients, OneThatIsSlowAndMovesIsWaitedFor) {
  Client slow(socket);
  slow.open("db");
  Client second(socket);
  second.open("db");
  const std::string payload = pattern(3, 32 * MiB);
  for (Client* client : {&slow, &second}) client->ask(Command::write, 1, 0, 32 * MiB);  // all of the shared memory
  usleep(100'000);
  Client other(socket);
  other.open("db");
  other.ask(Command::read, 1, 32 * MiB, 32 * MiB);
  const auto all = std::as_bytes(std::span(payload));
  for (u64 sent = 0; sent < all.size(); sent += 4 * MiB) {  // four times as long as one may stand still
    usleep(250'000);
    for (Client* client : {&slow, &second}) client->send(all.subspan(sent, 4 * MiB));
  }
  for (Client* client : {&slow, &second}) EXPECT_EQ(client->reply().error, 0u);
  EXPECT_EQ(other.reply(32 * MiB).data.size(), 32 * MiB);
}

TEST_F(BadClients, AWriteWhosePayloadDidNotArriveWholeChangesNothing) {
  Client other(socket);
  other.open("db");
  const std::string old = pattern(1, 1 * MiB);
  other.put(0, old);
  for (const size_t arrives : {size_t{1}, size_t{4096}, size_t{65536}, size_t{1 * MiB - 1}}) {
    Client client(socket);
    client.open("db");
    Message message = Client::request(Command::write, 1, 0, 1 * MiB);
    client.send(message.put_text(std::string(arrives, 'n')));
    client.close();
  }
  usleep(50'000);
  EXPECT_EQ(other.get(0, 1 * MiB), old);
}

TEST_F(BadClients, OneThatVanishesWithRequestsUnderWayHarmsNobody) {
  Client other(socket);
  other.open("db");
  for (u64 round = 0; round < 30; ++round) {
    Client client(socket);
    client.open("db", round % 2 == 0);
    Message requests;
    for (u64 n = 0; n < 100; ++n) {
      requests.put(request_magic).put(u16{0}).put(static_cast<u16>(Command::read)).put(n).put(n * 4096).put(u32{65536});
      requests.put(request_magic).put(u16{0}).put(static_cast<u16>(Command::write)).put(n).put(n * 4096 + 8 * MiB);
      requests.put(u32{4096}).put_text(pattern(n + 1, 4096));
    }
    client.send(requests.bytes().first(requests.size() - round * 97));
    client.close();
    other.put(0, "on");
    EXPECT_EQ(other.get(0, 2), "on");
  }
}

TEST_F(BadClients, EveryCutOfAConversationIsSurvived) {
  Message all;
  all.put(u32{3}).put(option_magic).put(static_cast<u32>(Option::go));
  const Message go = Client::info_data("db");
  all.put(static_cast<u32>(go.size()));
  std::string bytes(reinterpret_cast<const char*>(all.bytes().data()), all.size());
  bytes.append(reinterpret_cast<const char*>(go.bytes().data()), go.size());
  Message write = Client::request(Command::write, 1, 0, 100);
  write.put_text(std::string(100, 'x'));
  bytes.append(reinterpret_cast<const char*>(write.bytes().data()), write.size());
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    Client client(socket);
    client.send(std::as_bytes(std::span(bytes.data(), cut)));
  }
  Client other(socket);
  other.open("db");
  EXPECT_EQ(other.get(0, 4), std::string(4, '\0'));
}

TEST(TooMany, ConnectionsBeyondTheLimitAreClosedAndThoseBelowGoOn) {
  const Folder folder;
  Server server(folder / "s", {"--limit", "connections=4", "db=1M"});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(folder / "s"));
    clients.back()->open("db");
  }
  Client one_more(folder / "s");
  EXPECT_TRUE(one_more.hung_up());
  clients[0]->put(0, "fine");
  clients.pop_back();
  usleep(50'000);
  Client again(folder / "s");
  again.open("db");
  EXPECT_EQ(again.get(0, 4), "fine");
}

}  // namespace
}  // namespace brindle::wire
