// negotiation_test.cc: what a client may ask before it has a volume.
#include "wire/wire.h"

namespace brindle::wire {
namespace {

class Negotiation : public WireTest {};

TEST_F(Negotiation, GreetsAsFixedNewstyle) {
  Client client(socket);
  const std::string hello = client.receive(18);
  EXPECT_EQ(hello, std::string("NBDMAGICIHAVEOPT\0\3", 18));
}

TEST_F(Negotiation, ExportNameGivesSizeAndFlagsAndZeroesWhereTheyAreWanted) {
  for (const bool zeroes : {false, true}) {
    Client client(socket);
    client.greet(zeroes ? 1 : 3);
    const std::string name = "db";
    client.option(Option::export_name, std::as_bytes(std::span(name)));
    const std::string answer = client.receive(zeroes ? 134 : 10);
    ASSERT_EQ(answer.size(), zeroes ? 134u : 10u);
    const auto* bytes = reinterpret_cast<const std::byte*>(answer.data());
    EXPECT_EQ(get<u64>(bytes), 64 * MiB);
    EXPECT_EQ(get<u16>(bytes + 8), can_flags | can_flush | can_fua | can_trim | can_write_zeroes | can_multi_conn | can_cache |
                                       can_fast_zero);
    client.put(0, "hello");
    EXPECT_EQ(client.get(0, 5), "hello");
  }
}

TEST_F(Negotiation, UnknownExportByNameIsADisconnectAndWithGoAnError) {
  Client client(socket);
  client.greet();
  client.option(Option::go, Client::info_data("nothing").bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::unknown);
  client.option(Option::go, Client::info_data("a b\n").bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::unknown);
  const std::string name = "nothing";
  client.option(Option::export_name, std::as_bytes(std::span(name)));
  EXPECT_TRUE(client.hung_up());
}

TEST_F(Negotiation, TheEmptyNameIsRefusedWhereThereAreSeveralVolumes) {
  Client client(socket);
  client.greet();
  client.option(Option::info, Client::info_data("").bytes());
  const auto answer = client.option_answer();
  EXPECT_EQ(answer.type, OptionReply::unknown);
  EXPECT_NE(answer.data.find("2 volumes"), std::string::npos) << answer.data;
}

TEST(NegotiationAlone, TheEmptyNameIsTheOnlyVolume) {
  const Folder folder;
  Server server(folder / "s", {"only=8M", "only@snap"});
  Client client(folder / "s");
  client.greet();
  client.option(Option::info, Client::info_data("", {static_cast<u16>(Info::name)}).bytes());
  const auto answers = client.option_answers();
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[1].data.substr(2), "only");
}

std::vector<std::string> listed(const std::string& socket) {
  Client client(socket);
  client.greet();
  client.option(Option::list);
  std::vector<std::string> names;
  for (const auto& answer : client.option_answers()) {
    if (answer.type == OptionReply::server) names.push_back(answer.data.substr(4));
  }
  return names;
}

TEST_F(Negotiation, ListsVolumesAndSnapshots) {
  EXPECT_EQ(listed(socket), (std::vector<std::string>{"db", "other", "db@monday"}));
}

TEST_F(Negotiation, ListsVeryManyInSeveralPieces) {
  std::vector<std::string> volumes;
  std::vector<std::string> snapshots;
  std::vector<std::string> made;
  for (int i = 1000; i < 1700; ++i) {
    volumes.push_back("v" + std::to_string(i));
    made.push_back(volumes.back() + "=1M");
    if (i % 2 != 0) continue;
    snapshots.push_back(volumes.back() + "@s");
    made.push_back(snapshots.back());
  }
  const Server many(folder / "many", made);
  std::vector<std::string> all = volumes;
  all.insert(all.end(), snapshots.begin(), snapshots.end());
  EXPECT_EQ(listed(folder / "many"), all);
}

TEST_F(Negotiation, InfoTellsSizeNameDescriptionAndBlockSizes) {
  Client client(socket);
  client.greet();
  client.option(Option::structured_reply);
  EXPECT_EQ(client.option_answer().type, OptionReply::ack);
  client.option(Option::info, Client::info_data("db@monday", {1, 2, 3, 77}).bytes());
  const auto answers = client.option_answers();
  ASSERT_EQ(answers.size(), 5u);
  const auto* exported = reinterpret_cast<const std::byte*>(answers[0].data.data());
  EXPECT_EQ(get<u64>(exported + 2), 64 * MiB);
  const u16 flags = get<u16>(exported + 10);
  EXPECT_NE(flags & is_read_only, 0);
  EXPECT_NE(flags & can_df, 0);
  EXPECT_EQ(flags & (can_trim | can_write_zeroes), 0);
  EXPECT_EQ(answers[1].data.substr(2), "db@monday");
  EXPECT_EQ(answers[2].data.substr(2), "snapshot of db, 64.0 MiB");
  const auto* sizes = reinterpret_cast<const std::byte*>(answers[3].data.data());
  EXPECT_EQ(get<u32>(sizes + 2), 1u);
  EXPECT_EQ(get<u32>(sizes + 6), 4096u);
  EXPECT_EQ(get<u32>(sizes + 10), 32 * MiB);
}

TEST_F(Negotiation, MetaContextsNeedStructuredRepliesAndAreListedAndSet) {
  Client client(socket);
  client.greet();
  const Message all = Client::meta_data("db", {});
  client.option(Option::list_meta_context, all.bytes());
  EXPECT_EQ(client.option_answer().type, OptionReply::invalid);
  client.option(Option::structured_reply);
  EXPECT_EQ(client.option_answer().type, OptionReply::ack);
  client.option(Option::list_meta_context, all.bytes());
  EXPECT_EQ(client.option_answers().size(), 2u);
  client.option(Option::list_meta_context, Client::meta_data("db", {"qemu:"}).bytes());
  EXPECT_EQ(client.option_answers().size(), 1u);
  client.option(Option::set_meta_context, Client::meta_data("db", {"x-a:b", "base:allocation"}).bytes());
  EXPECT_EQ(client.option_answers().size(), 2u);
  client.option(Option::set_meta_context, Client::meta_data("nothing", {"base:allocation"}).bytes());
  EXPECT_EQ(client.option_answers().back().type, OptionReply::unknown);
}

TEST_F(Negotiation, AContextCountsHoweverTheExportIsChosen) {
  for (const std::string chosen : {"db", "other"}) {
    Client client(socket);
    client.greet();
    client.option(Option::structured_reply);
    EXPECT_EQ(client.option_answer().type, OptionReply::ack);
    client.option(Option::set_meta_context, Client::meta_data("db", {"base:allocation"}).bytes());
    EXPECT_EQ(client.option_answers().size(), 2u);
    client.option(Option::export_name, std::as_bytes(std::span(chosen)));
    EXPECT_EQ(client.receive(10).size(), 10u);
    client.ask(Command::block_status, 9, 0, 4096);
    EXPECT_EQ(client.reply().error, chosen == "db" ? 0 : static_cast<u32>(WireError::invalid)) << chosen;
  }
}

TEST_F(Negotiation, AContextOfAnotherExportDoesNotCount) {
  Client client(socket);
  client.greet();
  client.option(Option::structured_reply);
  EXPECT_EQ(client.option_answer().type, OptionReply::ack);
  client.option(Option::set_meta_context, Client::meta_data("other", {"base:allocation"}).bytes());
  EXPECT_EQ(client.option_answers().size(), 2u);
  client.option(Option::go, Client::info_data("db").bytes());
  EXPECT_EQ(client.option_answers().back().type, OptionReply::ack);
  client.ask(Command::block_status, 9, 0, 4096);
  EXPECT_EQ(client.reply().error, static_cast<u32>(WireError::invalid));
}

TEST_F(Negotiation, UnknownOptionsAndTlsAreUnsupportedAndAbortIsAcknowledged) {
  Client client(socket);
  client.greet();
  for (const u32 option : {4u, 5u, 11u, 12345u}) {
    client.raw_option(option, std::as_bytes(std::span("some data")));
    const auto answer = client.option_answer();
    EXPECT_EQ(answer.option, option);
    EXPECT_EQ(answer.type, OptionReply::unsupported);
  }
  client.option(Option::abort);
  EXPECT_EQ(client.option_answer().type, OptionReply::ack);
  EXPECT_TRUE(client.hung_up());
}

}  // namespace
}  // namespace brindle::wire
