#include "serve/attach/nbd_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include "serve/attach/big_endian.h"

namespace brindle::attach {
namespace {

/// What the test keeps of a command that has ended.
struct Outcome {
  int times = 0;
  int error = -1;
  std::string bytes;
  bool all_zero = false;
};

class Probe final : public Command {
 public:
  Probe(Outcome& outcome, Type type, u64 offset, u32 length, char fill = 0)
      : Command(type, offset, length), outcome_(outcome), bytes_(type == Type::read || type == Type::write ? length : 0, fill) {
    data_ = reinterpret_cast<std::byte*>(bytes_.data());
  }
  void finish(int error) override {
    ++outcome_.times;
    outcome_.error = error;
    outcome_.bytes = bytes_;
    outcome_.all_zero = all_zero_;
  }

 private:
  Outcome& outcome_;
  std::string bytes_;
};

struct Asked {
  u16 type = 0;
  u64 cookie = 0, offset = 0;
  u32 length = 0;
  std::string payload;
};

/// The server's end of a connection, under the test's hand.
class Server {
 public:
  explicit Server(NbdClient& client, bool structured = true) : client_(client) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    end_.reset(ends[0]);
    NbdConnection connection;
    connection.socket.reset(ends[1]);
    connection.size = 1 * GiB;
    connection.structured = structured;
    connection.allocation_id = 5;
    client.adopt(std::move(connection));
  }

  Asked next() {
    EXPECT_TRUE(client_.pump().ok());
    std::byte header[28];
    EXPECT_EQ(::recv(end_.get(), header, sizeof header, MSG_WAITALL), 28);
    EXPECT_EQ(load_be<u32>(header), 0x25609513U);
    Asked asked{load_be<u16>(header + 6), load_be<u64>(header + 8), load_be<u64>(header + 16), load_be<u32>(header + 24), {}};
    if (asked.type == 1) {
      asked.payload.resize(asked.length);
      for (size_t done = 0; done < asked.payload.size();) {
        const ssize_t n = ::recv(end_.get(), asked.payload.data() + done, asked.payload.size() - done, MSG_DONTWAIT);
        if (n > 0) {
          done += static_cast<size_t>(n);
        } else if (auto pumped = client_.pump(); !pumped) {
          ADD_FAILURE() << pumped.error().message;
          break;
        }
      }
    }
    return asked;
  }

  bool is_quiet() {
    EXPECT_TRUE(client_.pump().ok());
    char byte;
    return ::recv(end_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
  }

  void send(const std::string& bytes) { EXPECT_EQ(::send(end_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size())); }
  void send_by_bytes(const std::string& bytes) {
    for (char byte : bytes) {
      send(std::string(1, byte));
      ASSERT_TRUE(client_.pump().ok());
    }
  }
  void end() { end_.reset(); }

 private:
  NbdClient& client_;
  Fd end_;
};

template <class T>
std::string be(T value) {
  std::string out(sizeof value, 0);
  store_be(reinterpret_cast<std::byte*>(out.data()), value);
  return out;
}
std::string simple(u64 cookie, u32 error) { return be(u32{0x67446698}) + be(error) + be(cookie); }
std::string chunk(u64 cookie, u16 kind, const std::string& payload, bool last) {
  return be(u32{0x668e33ef}) + be(static_cast<u16>(last ? 1 : 0)) + be(kind) + be(cookie) + be(static_cast<u32>(payload.size())) + payload;
}

TEST(NbdClient, a_read_is_put_together_from_chunks_in_any_order_and_any_pieces) {
  NbdClient client;
  Server server(client);
  Outcome read, other;
  client.submit(std::make_unique<Probe>(read, Command::Type::read, 1000, 30));
  client.submit(std::make_unique<Probe>(other, Command::Type::read, 0, 4));
  const Asked one = server.next();
  const Asked two = server.next();
  server.send_by_bytes(chunk(one.cookie, 1, be(u64{1020}) + "0123456789", false));
  server.send_by_bytes(chunk(two.cookie, 1, be(u64{0}) + "abcd", true));
  server.send_by_bytes(chunk(one.cookie, 2, be(u64{1010}) + be(u32{10}), false));
  server.send_by_bytes(chunk(one.cookie, 1, be(u64{1000}) + "ABCDEFGHIJ", false));
  EXPECT_EQ(read.times, 0);
  server.send_by_bytes(chunk(one.cookie, 0, "", true));
  EXPECT_EQ(read.times, 1);
  EXPECT_EQ(read.error, 0);
  EXPECT_EQ(read.bytes, "ABCDEFGHIJ" + std::string(10, 0) + "0123456789");
  EXPECT_EQ(other.bytes, "abcd");
  EXPECT_EQ(client.unanswered(), 0U);
}

TEST(NbdClient, what_was_not_answered_is_sent_again_and_only_that) {
  NbdClient client;
  Outcome first, second, third;
  {
    Server server(client);
    client.submit(std::make_unique<Probe>(first, Command::Type::write, 0, 4096, 'a'));
    client.submit(std::make_unique<Probe>(second, Command::Type::write, 4096, 300000, 'b'));
    const Asked one = server.next();
    server.send(simple(one.cookie, 0));
    ASSERT_TRUE(client.pump().ok());
    EXPECT_EQ(first.times, 1);
  }
  auto lost = client.pump();
  while (lost.ok()) lost = client.pump();
  EXPECT_EQ(lost.code(), Code::stopping);
  EXPECT_FALSE(client.connected());
  client.submit(std::make_unique<Probe>(third, Command::Type::flush, 0, 0));  // while there is no connection
  EXPECT_EQ(second.times, 0);

  Server server(client);
  const Asked again = server.next();
  EXPECT_EQ(again.offset, 4096U);
  EXPECT_EQ(again.payload, std::string(300000, 'b'));
  const Asked flush = server.next();
  EXPECT_EQ(flush.type, 3);
  EXPECT_TRUE(server.is_quiet());
  server.send(simple(flush.cookie, 0) + simple(again.cookie, 0));
  ASSERT_TRUE(client.pump().ok());
  EXPECT_EQ((std::pair(second.error, third.error)), (std::pair(0, 0)));
  EXPECT_EQ(first.times, 1);
}

TEST(NbdClient, a_server_that_shuts_down_has_answered_nothing) {
  NbdClient client;
  Outcome outcome;
  {
    Server server(client);
    client.submit(std::make_unique<Probe>(outcome, Command::Type::flush, 0, 0));
    server.send(simple(server.next().cookie, 108));
    EXPECT_EQ(client.pump().code(), Code::stopping);
    EXPECT_EQ(outcome.times, 0);
  }
  Server server(client);
  server.send(chunk(server.next().cookie, 0x8001, be(u32{28}) + be(u16{0}), true));
  ASSERT_TRUE(client.pump().ok());
  EXPECT_EQ(outcome.error, ENOSPC);
}

TEST(NbdClient, an_answer_before_the_last_byte_was_sent_ends_the_command_when_it_is_sent) {
  NbdClient client;
  Server server(client);
  Outcome outcome;
  constexpr u32 length = 4 * MiB;  // more than the socket takes
  client.submit(std::make_unique<Probe>(outcome, Command::Type::write, 0, length, 'w'));
  ASSERT_TRUE(client.pump().ok());
  ASSERT_TRUE(client.wants_to_send());
  server.send(simple(1, 1));  // EPERM, by a server that has seen the header
  ASSERT_TRUE(client.pump().ok());
  EXPECT_EQ(outcome.times, 0);
  EXPECT_EQ(server.next().payload.size(), length);
  ASSERT_TRUE(client.pump().ok());
  EXPECT_EQ(outcome.times, 1);
  EXPECT_EQ(outcome.error, EPERM);
}

TEST(NbdClient, block_status_is_all_zero_only_if_all_of_it_is_told_to_be) {
  NbdClient client;
  Server server(client);
  const auto ask = [&](const std::string& extents) {
    Outcome outcome;
    client.submit(std::make_unique<Probe>(outcome, Command::Type::block_status, 0, 8192));
    server.send(chunk(server.next().cookie, 5, extents, true));
    EXPECT_TRUE(client.pump().ok());
    EXPECT_EQ(outcome.error, 0);
    return outcome.all_zero;
  };
  EXPECT_TRUE(ask(be(u32{5}) + be(u32{8192}) + be(u32{3})));
  EXPECT_TRUE(ask(be(u32{5}) + be(u32{4096}) + be(u32{3}) + be(u32{4096}) + be(u32{2})));
  EXPECT_FALSE(ask(be(u32{5}) + be(u32{4096}) + be(u32{3})));
  EXPECT_FALSE(ask(be(u32{5}) + be(u32{4096}) + be(u32{3}) + be(u32{4096}) + be(u32{0})));
  EXPECT_FALSE(ask(be(u32{6}) + be(u32{8192}) + be(u32{3})));
}

TEST(NbdClient, a_server_that_breaks_the_protocol_is_left_and_loses_nothing) {
  const std::string broken[] = {
      simple(99, 0),                                                  // to nothing that was asked
      be(u32{0x12345678}) + std::string(20, 0),                       // no reply at all
      chunk(1, 1, be(u64{100}) + "abcd", true),                       // data outside
      chunk(1, 2, be(u64{0}) + be(u32{5}), true),                     // a hole that is too long
      chunk(1, 77, "", true),                                         // a kind that nobody knows
      simple(1, 0),                                                   // a simple reply to a read
  };
  for (const auto& bytes : broken) {
    NbdClient client;
    Server server(client);
    Outcome outcome;
    client.submit(std::make_unique<Probe>(outcome, Command::Type::read, 0, 4));
    ASSERT_TRUE(client.pump().ok());
    server.send(bytes);
    EXPECT_EQ(client.pump().code(), Code::invalid);
    EXPECT_FALSE(client.connected());
    EXPECT_EQ(outcome.times, 0);
    EXPECT_EQ(client.unanswered(), 1U);
    client.fail_all(EIO);
    EXPECT_EQ(outcome.error, EIO);
  }
}

TEST(NbdClient, reads_without_structured_replies_work_too) {
  NbdClient client;
  Server server(client, false);
  Outcome outcome;
  client.submit(std::make_unique<Probe>(outcome, Command::Type::read, 0, 4));
  server.send_by_bytes(simple(server.next().cookie, 0) + "wxyz");
  EXPECT_EQ(outcome.bytes, "wxyz");
  client.submit(std::make_unique<Probe>(outcome, Command::Type::read, 0, 4));
  server.send(simple(server.next().cookie, 5));
  ASSERT_TRUE(client.pump().ok());
  EXPECT_EQ(outcome.error, EIO);
}

}  // namespace
}  // namespace brindle::attach
