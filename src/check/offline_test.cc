// offline_test.cc: the verifier on real files.
#include "check/offline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "device/file_device.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class OfflineTest : public testing::Test {
 protected:
  OfflineTest() : folder("/tmp/brindle-offline-" + std::to_string(getpid())) { std::filesystem::create_directory(folder); }
  ~OfflineTest() override { std::filesystem::remove_all(folder); }

  std::string path(const std::string& name) const { return folder + "/" + name; }
  void put(const std::string& name, const std::string& bytes) const { std::ofstream(path(name), std::ios::binary) << bytes; }
  std::string bytes_of(const std::string& name) const {
    std::ifstream from(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(from), {}};
  }
  /// The sample as a file.
  void put_sample(const std::string& name) const {
    World world({.verify_one_in = 0});
    ASSERT_TRUE(world.open());
    make_sample(world);
    std::string bytes(world.disk().size, '\0');
    for (const auto& [block, content] : world.disk().blocks) {
      if (!content.empty()) std::memcpy(bytes.data() + block * block_size, content.data(), block_size);
    }
    put(name, bytes);
  }
  std::string folder;
};

TEST_F(OfflineTest, ReadsAPoolFileAndLeavesItAsItWas) {
  put_sample("pool");
  const std::string before = bytes_of("pool");
  u64 calls = 0;
  const auto report = verify_file(path("pool"), {}, [&](u64, u64) {
    ++calls;
    return true;
  });
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->clean());
  EXPECT_EQ(report->volumes, 4u);
  EXPECT_EQ(report->snapshots, 2u);
  EXPECT_GT(report->blocks, 300u);
  EXPECT_GE(calls, 1u);
  EXPECT_TRUE(bytes_of("pool") == before);
}

TEST_F(OfflineTest, FindsADamagedByte) {
  put_sample("pool");
  std::string bytes = bytes_of("pool");
  const auto sound = verify_file(path("pool"), {}, {});
  ASSERT_TRUE(sound && sound->clean());
  bytes[100] ^= 1;
  put("pool", bytes);
  const auto report = verify_file(path("pool"), {}, {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_EQ(report->damage[0].kind, "superblock");
}

TEST_F(OfflineTest, SaysWhatIsWrongWithOtherFiles) {
  put("empty", "");
  EXPECT_EQ(verify_file(path("empty"), {}, {}).code(), Code::invalid);
  put("text", std::string(1 << 20, 'x'));
  EXPECT_EQ(verify_file(path("text"), {}, {}).code(), Code::invalid);
  EXPECT_EQ(verify_file(path("missing"), {}, {}).code(), Code::io);
  EXPECT_FALSE(verify_file(folder, {}, {}));
}

TEST_F(OfflineTest, RefusesAPoolThatSomebodyHasOpen) {
  put_sample("pool");
  auto reactor = Reactor::create({});
  ASSERT_TRUE(reactor);
  const auto device = FileDevice::open(**reactor, path("pool"), {});
  ASSERT_TRUE(device);
  const auto report = verify_file(path("pool"), {}, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.code(), Code::busy);
  EXPECT_NE(report.error().message.find("brindle check"), std::string::npos);
}

TEST_F(OfflineTest, TheWatcherCanEndIt) {
  put_sample("pool");
  const auto report = verify_file(path("pool"), {}, [](u64, u64) { return false; });
  ASSERT_TRUE(report.ok() || report.code() == Code::cancelled);
}

}  // namespace
}  // namespace brindle::model
