// bad_requests_test.cc: requests that cannot be done: each is answered with its error, and the connection goes on.
#include "wire/wire.h"

namespace brindle::wire {
namespace {

constexpr u64 volume = 64 * MiB;

u32 code(WireError error) { return static_cast<u32>(error); }

class BadRequests : public WireTest {
 protected:
  void still_good(Client& client) {
    client.put(4096, "good");
    EXPECT_EQ(client.get(4096, 4), "good");
  }
};

TEST_F(BadRequests, BeyondTheEndReadsAreInvalidAndWritesLackSpace) {
  Client client(socket);
  client.open("db");
  const std::string bytes(4096, 'x');
  client.ask(Command::read, 1, volume - 10, 11);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::read, 2, ~u64{0} - 5, 10);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.write(3, volume - 100, bytes);
  EXPECT_EQ(client.reply().error, code(WireError::no_space));
  client.write(4, ~u64{0} - 100, bytes);
  EXPECT_EQ(client.reply().error, code(WireError::no_space));
  client.ask(Command::write_zeroes, 5, volume, 1);
  EXPECT_EQ(client.reply().error, code(WireError::no_space));
  client.ask(Command::trim, 6, volume - 4096, 8192);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::cache, 7, volume - 4096, 8192);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  still_good(client);
}

TEST_F(BadRequests, OversizeReadsAndWritesAreInvalidAndThePayloadIsSkipped) {
  Client client(socket);
  client.open("db");
  client.ask(Command::read, 1, 0, 33 * MiB);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.put(0, "before");
  client.write(2, 0, std::string(33 * MiB, 'x'));
  const Reply reply = client.reply();
  EXPECT_EQ(reply.cookie, 2u);
  EXPECT_EQ(reply.error, code(WireError::invalid));
  EXPECT_EQ(client.get(0, 6), "before");
  still_good(client);
}

TEST_F(BadRequests, AWriteOfFourGigabytesEndsIt) {
  Client client(socket);
  client.open("db");
  client.ask(Command::write, 1, 0, 0xffffffff);
  EXPECT_TRUE(client.hung_up());
  Client other(socket);
  other.open("db");
  still_good(other);
}

TEST_F(BadRequests, AReadThatMustNotBeSplitAndIsTooLargeOverflows) {
  Client client(socket);
  client.open("db", true);
  client.ask(Command::read, 1, 0, 33 * MiB, flag_df);
  EXPECT_EQ(client.reply().error, code(WireError::overflow));
}

TEST_F(BadRequests, UnknownCommandsAndFlagsAreInvalid) {
  Client client(socket);
  client.open("db");
  client.ask(static_cast<Command>(8), 1, 0, 4096);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(static_cast<Command>(0xffff), 2, 0, 0xffffffff);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::read, 3, 0, 4096, flag_no_hole);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::read, 4, 0, 4096, flag_df);  // without structured replies
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.write(5, 0, "payload", 1 << 9);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::flush, 6, 4096, 0);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  client.ask(Command::block_status, 7, 0, 4096);
  EXPECT_EQ(client.reply().error, code(WireError::invalid));
  still_good(client);
}

TEST_F(BadRequests, ASnapshotRefusesChangesAndReadsOn) {
  Client client(socket);
  client.open("db@monday", true);
  client.write(1, 0, "change");
  Reply reply = client.reply();
  EXPECT_EQ(reply.error, code(WireError::perm));
  EXPECT_NE(reply.data.find("read-only"), std::string::npos);
  client.ask(Command::trim, 2, 0, 4096);
  EXPECT_EQ(client.reply().error, code(WireError::perm));
  client.ask(Command::write_zeroes, 3, 0, 4096);
  EXPECT_EQ(client.reply().error, code(WireError::perm));
  client.ask(Command::flush, 4, 0, 0);
  EXPECT_EQ(client.reply().error, 0u);
  client.ask(Command::read, 5, 0, 4096);
  reply = client.reply();
  EXPECT_EQ(reply.type, chunk_hole);
  EXPECT_EQ(reply.flags, chunk_done);
}

TEST_F(BadRequests, EmptyRequestsAreAnswered) {
  for (const bool structured : {false, true}) {
    Client client(socket);
    client.open("db", structured);
    for (const Command command : {Command::read, Command::write, Command::trim, Command::write_zeroes, Command::cache}) {
      client.ask(command, 7, 4096, 0);
      const Reply reply = client.reply();
      EXPECT_EQ(reply.cookie, 7u);
      EXPECT_EQ(reply.error, 0u) << static_cast<int>(command);
      EXPECT_EQ(reply.structured, structured && command == Command::read);
    }
  }
}

TEST_F(BadRequests, AWrongMagicEndsIt) {
  Client client(socket);
  client.open("db");
  client.put(0, "kept");
  Message message = Client::request(Command::write, 1, 0, 4096);
  std::string bytes(reinterpret_cast<const char*>(message.bytes().data()), message.size());
  bytes[0] = '!';
  bytes += std::string(4096, 'x');
  client.send(std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(client.hung_up());
  Client other(socket);
  other.open("db");
  EXPECT_EQ(other.get(0, 4), "kept");
}

TEST_F(BadRequests, TransmissionGarbageEndsIt) {
  for (u64 seed = 1; seed < 20; ++seed) {
    Client client(socket);
    client.open("db", seed % 2 == 0);
    const std::string garbage = pattern(seed, 4000 * seed);
    client.send(std::as_bytes(std::span(garbage)));
    EXPECT_TRUE(client.hung_up());
  }
}

}  // namespace
}  // namespace brindle::wire
