#include "device/staging_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/names.h"

namespace brindle {

namespace {

// Some ten milliseconds of what a fast disk writes.
constexpr u64 staging_bytes = 16 * MiB;

std::string path_of(const std::string& folder, const StagingOwner& owner) {
  return fmt::format("{}/brindle-{:x}-{:x}.staging", folder, owner.device, owner.inode);
}

Error unusable(Code code, const std::string& path, std::string_view why, std::string_view what_to_do) {
  return {code, fmt::format("staging memory {}: {}: {}", path, why, what_to_do)};
}

}  // namespace

Result<Uuid> boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  std::erase(text, '-');
  Uuid id{};
  if (text.size() != 2 * id.size() || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return Error{Code::io, "the kernel does not tell which start of the machine this is (/proc/sys/kernel/random/boot_id): mount /proc"};
  }
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<u8>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return id;
}

bool StagingFile::is_there(const std::string& folder, const StagingOwner& owner) {
  return access(path_of(folder, owner).c_str(), F_OK) == 0;
}

Result<std::unique_ptr<StagingFile>> StagingFile::open(const std::string& folder, const StagingOwner& owner) {
  static constexpr std::string_view other = "name another folder with --staging, or leave --ack staged out";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  struct statfs system {};
  if (error || statfs(folder.c_str(), &system) != 0) {
    return unusable(Code::invalid, folder, error ? error.message() : std::strerror(errno), other);
  }
  if (system.f_type != TMPFS_MAGIC) {
    return unusable(Code::invalid, folder, "it is not on tmpfs, and what a disk keeps over a power loss would be wrong then", other);
  }
  const std::string path = path_of(folder, owner);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return unusable(Code::invalid, path, std::strerror(errno), other);
  std::unique_ptr<StagingFile> file(new StagingFile(path, fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return unusable(Code::busy, path, "another process has it", "stop that one");
  struct stat there {};
  if (fstat(fd, &there) != 0) return unusable(Code::io, path, std::strerror(errno), other);
  // In a folder that everybody may write to, somebody else may have made it, to read along.
  if (there.st_uid != geteuid() || !S_ISREG(there.st_mode)) return unusable(Code::invalid, path, "it is not this user's own file", other);
  // Without this, a tmpfs that is full would end the process in the middle of a write.
  if (const int why = posix_fallocate(fd, 0, staging_bytes); why != 0) {
    if (there.st_size == 0) file->remove();
    return unusable(Code::no_space, path, std::strerror(why), fmt::format("free {} there, or {}", format_size(staging_bytes), other));
  }
  const u64 bytes = std::max(staging_bytes, round_down(static_cast<u64>(there.st_size), block_size));
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (at == MAP_FAILED) return unusable(Code::io, path, std::strerror(errno), other);
  file->memory_ = {static_cast<std::byte*>(at), bytes};
  return file;
}

StagingFile::~StagingFile() {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
  close(fd_);
}

void StagingFile::remove() { unlink(path_.c_str()); }

}  // namespace brindle
