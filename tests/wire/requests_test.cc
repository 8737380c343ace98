// requests_test.cc: what each request does, byte by byte.
#include <set>
#include <thread>

#include "wire/wire.h"

namespace brindle::wire {
namespace {

class Requests : public WireTest {};

TEST_F(Requests, StructuredReadsSendDataAndTellHoles) {
  Client client(socket);
  client.open("db", true);
  const std::string block = pattern(1, 4096);
  client.put(8192, block);
  client.ask(Command::read, 5, 0, 5 * 4096);
  Reply reply = client.reply();
  EXPECT_EQ(reply.type, chunk_hole);
  EXPECT_EQ(reply.flags, 0);
  EXPECT_EQ(nbd::get<u32>(reinterpret_cast<const std::byte*>(reply.data.data()) + 8), 8192u);
  reply = client.reply();
  EXPECT_EQ(reply.type, chunk_data);
  EXPECT_EQ(nbd::get<u64>(reinterpret_cast<const std::byte*>(reply.data.data())), 8192u);
  EXPECT_EQ(reply.data.substr(8), block);
  reply = client.reply();
  EXPECT_EQ(reply.type, chunk_hole);
  EXPECT_EQ(reply.flags, chunk_done);
  EXPECT_EQ(reply.cookie, 5u);
}

TEST_F(Requests, AReadThatMustNotBeSplitIsOneChunk) {
  Client client(socket);
  client.open("db", true);
  client.put(8192, pattern(1, 4096));
  client.ask(Command::read, 5, 4000, 3 * 4096, flag_df);
  const Reply reply = client.reply();
  EXPECT_EQ(reply.type, chunk_data);
  EXPECT_EQ(reply.flags, chunk_done);
  EXPECT_EQ(reply.data.size(), 8u + 3 * 4096);
  EXPECT_EQ(reply.data.substr(8 + 8192 - 4000, 4096), pattern(1, 4096));
}

TEST_F(Requests, AnyAlignmentReadsBackWhatWasWritten) {
  Client client(socket);
  client.open("db");
  std::string model(1 * MiB, '\0');
  u64 at = 3;
  for (u64 seed = 1; seed < 60; ++seed) {
    at = (at * 7919 + 13) % (1 * MiB - 70'000);
    const size_t size = 1 + (seed * 5003) % 65'000;
    const std::string bytes = pattern(seed, size);
    client.put(at, bytes);
    model.replace(at, size, bytes);
    EXPECT_EQ(client.get(at > 5 ? at - 5 : 0, static_cast<u32>(size)), model.substr(at > 5 ? at - 5 : 0, size));
  }
  EXPECT_EQ(client.get(0, 1 * MiB), model);
}

TEST_F(Requests, TheLargestRequestsWork) {
  Client client(socket);
  client.open("db");
  const std::string much = pattern(3, 32 * MiB);
  client.put(4097, much);
  EXPECT_EQ(client.get(4097, 32 * MiB), much);
}

TEST_F(Requests, BytesThatArriveOneByOneAreTheSameRequest) {
  Client client(socket);
  client.open("db");
  Message message = Client::request(Command::write, 1, 100, 10);
  message.put_text("0123456789");
  for (size_t i = 0; i < message.size(); ++i) {
    client.send(message.bytes().subspan(i, 1));
    if (i % 7 == 0) usleep(1000);
  }
  EXPECT_EQ(client.reply().error, 0u);
  EXPECT_EQ(client.get(100, 10), "0123456789");
}

TEST_F(Requests, ManyInOneSendAreAllAnsweredInAnyOrder) {
  Client client(socket);
  client.open("db");
  Message all;
  constexpr u64 count = 3000;  // more than may be under way at once
  for (u64 n = 0; n < count; ++n) {
    all.put(request_magic).put(u16{0}).put(static_cast<u16>(Command::write)).put(n).put(n * 512).put(u32{512});
    all.put_text(pattern(n, 512));
  }
  std::set<u64> cookies;
  std::thread sender([&] { client.send(all); });
  for (u64 n = 0; n < count; ++n) {
    const Reply reply = client.reply();
    EXPECT_EQ(reply.error, 0u);
    cookies.insert(reply.cookie);
  }
  sender.join();
  EXPECT_EQ(cookies.size(), count);
  for (const u64 n : {u64{0}, u64{7}, count - 1}) EXPECT_EQ(client.get(n * 512, 512), pattern(n, 512));
}

TEST_F(Requests, GoodbyeAnswersWhatCameBefore) {
  Client client(socket);
  client.open("db");
  Message all;
  for (u64 n = 0; n < 20; ++n) {
    all.put(request_magic).put(flag_fua).put(static_cast<u16>(Command::write)).put(n).put(n * 4096).put(u32{4096});
    all.put_text(pattern(n, 4096));
  }
  all.put(request_magic).put(u16{0}).put(static_cast<u16>(Command::disconnect)).put(u64{0}).put(u64{0}).put(u32{0});
  client.send(all);
  for (u64 n = 0; n < 20; ++n) EXPECT_EQ(client.reply().error, 0u);
  EXPECT_TRUE(client.reply().none);
}

TEST_F(Requests, ZeroesAndTrimsMakeHolesAndNoHoleMakesData) {
  Client client(socket);
  client.open("db", true);
  client.put(0, pattern(1, 256 * KiB));
  client.ask(Command::write_zeroes, 1, 4096, 8192, flag_fua | flag_fast_zero);
  EXPECT_EQ(client.reply().error, 0u);
  client.ask(Command::trim, 2, 65536, 65536);
  EXPECT_EQ(client.reply().error, 0u);
  client.ask(Command::write_zeroes, 3, 131072, 65536, flag_no_hole);
  EXPECT_EQ(client.reply().error, 0u);
  client.ask(Command::write_zeroes, 4, 131072, 65536, flag_no_hole | flag_fast_zero);
  EXPECT_EQ(client.reply().error, static_cast<u32>(WireError::not_supported));
  client.ask(Command::block_status, 5, 0, 256 * KiB);
  const Reply reply = client.reply();
  ASSERT_EQ(reply.type, chunk_block_status);
  std::vector<std::pair<u32, u32>> extents;
  const auto* bytes = reinterpret_cast<const std::byte*>(reply.data.data());
  EXPECT_EQ(nbd::get<u32>(bytes), allocation_context_id);
  for (size_t at = 4; at < reply.data.size(); at += 8) {
    extents.emplace_back(nbd::get<u32>(bytes + at), nbd::get<u32>(bytes + at + 4));
  }
  const std::vector<std::pair<u32, u32>> expected{{4096, 0}, {8192, 3}, {53248, 0}, {65536, 3}, {131072, 0}};
  EXPECT_EQ(extents, expected);
  client.ask(Command::block_status, 6, 4096, 256 * KiB - 4096, flag_req_one);
  EXPECT_EQ(client.reply().data.size(), 12u);
  client.ask(Command::cache, 7, 0, 64 * MiB);
  EXPECT_EQ(client.reply().error, 0u);
}

TEST_F(Requests, ZeroesOfPartsOfBlocksKeepTheRest) {
  Client client(socket);
  client.open("db");
  const std::string bytes = pattern(1, 20'000);
  for (const u16 flags : {u16{0}, flag_no_hole}) {
    client.put(0, bytes);
    client.ask(Command::write_zeroes, 1, 100, 9000, flags);
    EXPECT_EQ(client.reply().error, 0u);
    std::string expected = bytes;
    expected.replace(100, 9000, 9000, '\0');
    EXPECT_EQ(client.get(0, 20'000), expected);
  }
}

TEST_F(Requests, WhatOneConnectionWasToldTheOthersSee) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(socket));
    clients.back()->open("db");
  }
  for (u64 round = 0; round < 40; ++round) {
    clients[round % 8]->put(round * 4096, pattern(round, 4096));
    clients[(round + 1) % 8]->ask(Command::flush, 1, 0, 0);
    EXPECT_EQ(clients[(round + 1) % 8]->reply().error, 0u);
    EXPECT_EQ(clients[(round + 3) % 8]->get(round * 4096, 4096), pattern(round, 4096));
  }
}

TEST_F(Requests, WritesOfPartsOfOneBlockFromManyConnectionsAllStay) {
  constexpr size_t each = 64;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Client client(socket);
      client.open("db");
      for (size_t n = i; n < each; n += 8) client.put(n * 64, pattern(n, 64));
    });
  }
  for (auto& thread : threads) thread.join();
  Client client(socket);
  client.open("db");
  std::string expected;
  for (size_t n = 0; n < each; ++n) expected += pattern(n, 64);
  EXPECT_EQ(client.get(0, 4096), expected);
}

}  // namespace
}  // namespace brindle::wire
