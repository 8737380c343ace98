#include "serve/attach/loop_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/units.h"

namespace brindle::attach {
namespace {

TEST(LoopDevice, what_was_written_by_one_who_closes_while_it_is_waited_for_reaches_the_file) {
  std::string path = ::testing::TempDir() + "/brindle-loop-XXXXXX";
  const Fd file(::mkstemp(path.data()));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::ftruncate(file.get(), 8 * MiB), 0);
  const auto device = loop_attach(path, false);
  ::unlink(path.c_str());
  if (!device) GTEST_SKIP() << device.error().message;

  const std::vector<char> written(MiB, 'x');
  Fd writer(::open(device->c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(writer.ok());
  ASSERT_EQ(::pwrite(writer.get(), written.data(), written.size(), 0), static_cast<ssize_t>(written.size()));
  Status detached;
  std::thread detaching([&] { detached = loop_detach(*device, 5000, false, false); });
  ::usleep(100'000);
  writer.reset();  // without fsync, and not as the last one that has it open
  detaching.join();
  EXPECT_TRUE(detached);

  std::vector<char> found(written.size());
  ASSERT_EQ(::pread(file.get(), found.data(), found.size(), 0), static_cast<ssize_t>(found.size()));
  EXPECT_EQ(found, written);
}

}  // namespace
}  // namespace brindle::attach
