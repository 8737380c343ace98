// bad_negotiation_test.cc: clients that make no sense before they have a volume. The server goes on for the others.
#include "wire/wire.h"

namespace brindle::wire {
namespace {

class BadNegotiation : public WireTest {
 protected:
  BadNegotiation() : WireTest({"--limit", "negotiation_ms=400"}) {}
  void TearDown() override {
    Client other(socket);
    other.open("db");
    other.put(0, "still there");
    EXPECT_EQ(other.get(0, 11), "still there");
  }
};

TEST_F(BadNegotiation, UnknownClientFlagsEndIt) {
  Client client(socket);
  client.greet(0x80000003);
  EXPECT_TRUE(client.hung_up());
}

TEST_F(BadNegotiation, GarbageEndsIt) {
  Client client(socket);
  client.greet();
  const std::string garbage = pattern(1, 100'000);
  client.send(std::as_bytes(std::span(garbage)));
  EXPECT_TRUE(client.hung_up());
}

TEST_F(BadNegotiation, AnHttpRequestEndsIt) {
  Client client(socket);
  const std::string http = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send(std::as_bytes(std::span(http)));
  EXPECT_TRUE(client.hung_up());
}

TEST_F(BadNegotiation, AnOptionThatIsTooLongIsSkippedAndRefused) {
  Client client(socket);
  client.greet();
  const std::string much(200'000, 'x');
  client.option(Option::go, std::as_bytes(std::span(much)));
  EXPECT_EQ(client.option_answer().type, OptionReply::too_big);
  client.option(Option::go, Client::info_data("db").bytes());
  EXPECT_EQ(client.option_answers().back().type, OptionReply::ack);
}

TEST_F(BadNegotiation, AnOptionOfFourGigabytesEndsIt) {
  Client client(socket);
  client.greet();
  Message message;
  client.send(message.put(option_magic).put(static_cast<u32>(Option::info)).put(u32{0xffffffff}));
  EXPECT_TRUE(client.hung_up());
}

TEST_F(BadNegotiation, OptionDataThatContradictsItselfIsInvalid) {
  Client client(socket);
  client.greet();
  Message name_too_long;
  name_too_long.put(u32{100}).put_text("db").put(u16{0});
  client.option(Option::go, name_too_long.bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
  Message too_few;
  too_few.put(u32{2}).put_text("db").put(u16{9}).put(u16{1});
  client.option(Option::info, too_few.bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
  Message rest;
  rest.put(u32{2}).put_text("db").put(u16{0}).put_text("and more");
  client.option(Option::info, rest.bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
  Message huge_count;
  huge_count.put(u32{2}).put_text("db").put(u32{0xffffffff});
  client.option(Option::structured_reply);
  EXPECT_EQ(client.option_answer().type, OptionReply::ack);
  client.option(Option::set_meta_context, huge_count.bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
  client.option(Option::list, std::as_bytes(std::span("x")));
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
}

TEST_F(BadNegotiation, SilenceAndSlownessEndAtTheTimeLimit) {
  Client silent(socket);
  Client half(socket);
  half.greet();
  Message message;
  half.send(message.put(option_magic).put(u16{0}));
  EXPECT_TRUE(silent.hung_up());
  EXPECT_TRUE(half.hung_up());
}

TEST_F(BadNegotiation, TheTimeLimitIsForTheNegotiationAlone) {
  Client client(socket);
  client.open("db");
  usleep(900'000);
  client.put(0, "later");
  EXPECT_EQ(client.get(0, 5), "later");
}

TEST_F(BadNegotiation, AThousandThatConnectAndGo) {
  for (int i = 0; i < 1000; ++i) {
    Client client(socket);
    if (i % 3 == 1) client.greet();
  }
}

}  // namespace
}  // namespace brindle::wire
