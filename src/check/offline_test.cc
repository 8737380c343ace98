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
    put_disk(name, world.disk());
  }
  /// The sample on several files, each named as `name` and its number.
  std::vector<std::string> put_members(const std::string& name, u32 count) const {
    World world({.seed = 7 + count, .verify_one_in = 0, .members = count});
    EXPECT_TRUE(world.open());
    make_sample(world);
    std::vector<std::string> paths;
    for (u32 i = 0; i < count; ++i) {
      put_disk(name + std::to_string(i), world.disk(i));
      paths.push_back(path(name + std::to_string(i)));
    }
    return paths;
  }
  void put_disk(const std::string& name, const SimDisk& disk) const {
    std::string bytes(disk.size, '\0');
    for (const auto& [block, content] : disk.blocks) {
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
  const auto report = verify_files({path("pool")}, {}, [&](u64, u64) {
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
  const auto sound = verify_files({path("pool")}, {}, {});
  ASSERT_TRUE(sound && sound->clean());
  bytes[100] ^= 1;
  put("pool", bytes);
  const auto report = verify_files({path("pool")}, {}, {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_EQ(report->damage[0].kind, "superblock");
}

TEST_F(OfflineTest, SaysWhatIsWrongWithOtherFiles) {
  put("empty", "");
  EXPECT_EQ(verify_files({path("empty")}, {}, {}).code(), Code::invalid);
  put("text", std::string(1 << 20, 'x'));
  EXPECT_EQ(verify_files({path("text")}, {}, {}).code(), Code::invalid);
  EXPECT_EQ(verify_files({path("missing")}, {}, {}).code(), Code::io);
  EXPECT_FALSE(verify_files({folder}, {}, {}));
}

TEST_F(OfflineTest, RefusesAPoolThatSomebodyHasOpen) {
  put_sample("pool");
  auto reactor = Reactor::create({});
  ASSERT_TRUE(reactor);
  const auto device = FileDevice::open(**reactor, path("pool"), {});
  ASSERT_TRUE(device);
  const auto report = verify_files({path("pool")}, {}, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.code(), Code::busy);
  EXPECT_NE(report.error().message.find("brindle check"), std::string::npos);
}

TEST_F(OfflineTest, ReadsTheDevicesOfAPoolInAnyOrderAndLeavesThemAsTheyWere) {
  std::vector<std::string> paths = put_members("m", 3);
  std::vector<std::string> before;
  for (u32 i = 0; i < 3; ++i) before.push_back(bytes_of("m" + std::to_string(i)));
  for (int round = 0; round < 6; ++round) {
    std::next_permutation(paths.begin(), paths.end());
    const auto report = verify_files(paths, {}, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->clean());
    EXPECT_EQ(report->volumes, 4u);
  }
  for (u32 i = 0; i < 3; ++i) EXPECT_TRUE(bytes_of("m" + std::to_string(i)) == before[i]);
}

TEST_F(OfflineTest, SaysWhichDevicesMakeNoPool) {
  const std::vector<std::string> paths = put_members("m", 2);
  const std::vector<std::string> others = put_members("o", 3);
  put_sample("whole");
  const auto says = [&](std::vector<std::string> all, const std::string& words) {
    const auto report = verify_files(all, {}, {});
    ASSERT_FALSE(report) << words;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
  };
  says({paths[0]}, "member 2 is missing");
  says({paths[1], others[0]}, "belongs to pool");
  says({paths[0], path("whole")}, "it is a pool of its own");
  says({paths[0], paths[0]}, "named twice");
  std::filesystem::copy_file(paths[0], path("copy"));
  says({paths[0], path("copy"), paths[1]}, "one is a copy of the other");
  std::filesystem::resize_file(path("copy"), 4096);
  says({path("copy"), paths[1]}, "cut short");
}

TEST_F(OfflineTest, TellsOfALabelThatIsDamagedAndOfASuperblockOfAnotherPool) {
  const std::vector<std::string> paths = put_members("m", 2);
  const std::vector<std::string> others = put_members("o", 2);
  std::string bytes = bytes_of("m1");
  bytes[65536 + 100] ^= 1;
  put("m1", bytes);
  auto report = verify_files(paths, {}, {});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_EQ(report->damage[0].kind, "superblock");
  EXPECT_NE(report->damage[0].note.find("copy B of the label of " + paths[1]), std::string::npos)
      << report->damage[0].note;
  // All of its units, but not its label.
  const std::string label = bytes_of("m0").substr(0, label_area_bytes);
  put("m0", label + bytes_of("o0").substr(label_area_bytes));
  report = verify_files(paths, {}, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(std::ranges::any_of(report->damage,
                                  [](const auto& one) { return one.note.find("another pool") != std::string::npos; }));
}

TEST_F(OfflineTest, TheWatcherCanEndIt) {
  put_sample("pool");
  const auto report = verify_files({path("pool")}, {}, [](u64, u64) { return false; });
  ASSERT_TRUE(report.ok() || report.code() == Code::cancelled);
}

}  // namespace
}  // namespace brindle::model
