#include "device/file_device.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include <gtest/gtest.h>

namespace brindle {
namespace {

class FileLock : public testing::Test {
 protected:
  FileLock() : path_(std::filesystem::temp_directory_path() / ("brindle-lock-" + std::to_string(getpid()))) {
    auto reactor = Reactor::create({});
    EXPECT_TRUE(reactor.ok());
    reactor_ = std::move(reactor).value();
    EXPECT_TRUE(FileDevice::open(*reactor_, path_, {.create = true, .size_max = MiB}).ok());
  }
  ~FileLock() override { std::filesystem::remove(path_); }

  /// A process that has the file as a daemon has, and dies after `lives_ms`; its ring (here a child) `ring_ms` after the start.
  pid_t daemon(int lives_ms, int ring_ms) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      const int fd = ::open(path_.c_str(), O_RDWR);
      struct flock whole {};
      whole.l_type = F_WRLCK;
      whole.l_whence = SEEK_SET;
      if (fcntl(fd, F_SETLK, &whole) != 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) _exit(1);
      if (fork() == 0) {
        usleep(static_cast<useconds_t>(ring_ms) * 1000);
        _exit(0);
      }
      static_cast<void>(!write(ready[1], "x", 1));
      usleep(static_cast<useconds_t>(lives_ms) * 1000);
      _exit(0);
    }
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
  }

  std::string path_;
  std::unique_ptr<Reactor> reactor_;
};

using Clock = std::chrono::steady_clock;

TEST_F(FileLock, WaitsForWhatADeadProcessHadAskedOfTheDisk) {
  const auto began = Clock::now();
  const pid_t pid = daemon(0, 600);
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(FileDevice::open(*reactor_, path_, {}).ok());
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(500));
}

TEST_F(FileLock, IsRefusedAtOnceWhileTheOtherProcessLives) {
  const pid_t pid = daemon(3000, 3000);
  const auto began = Clock::now();
  EXPECT_EQ(FileDevice::open(*reactor_, path_, {}).code(), Code::busy);
  EXPECT_LT(Clock::now() - began, std::chrono::milliseconds(800));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace brindle
