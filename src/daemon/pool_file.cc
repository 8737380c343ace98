#include "daemon/pool_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/names.h"
#include "daemon/signature.h"

namespace brindle::daemon {

namespace {

std::string pool_text(const std::string& path) { return fmt::format("pool {}", path); }

/// Why the file at `path` cannot be opened for writing, and what to do about it.
Error cannot_open(const std::string& path, int number) {
  const char* what_to_do = "look at the path";
  if (number == EACCES || number == EPERM) what_to_do = "let the user that brindled runs as write it";
  if (number == EROFS) what_to_do = "its file system is read-only, so remount it, or name another";
  if (number == ENOENT || number == ENOTDIR) what_to_do = "make its folder first";
  if (number == ENOSPC || number == EDQUOT) what_to_do = "make room on its file system";
  if (number == EEXIST) what_to_do = "another was made meanwhile, so start again";
  if (number == EBUSY) what_to_do = "unmount it, or stop what uses it";
  return refused(Code::io, path, fmt::format("it cannot be opened for writing: {}", std::strerror(number)), what_to_do);
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Error refused(Code code, const std::string& path, std::string_view why, std::string_view what_to_do) {
  return {code, fmt::format("{}: {}: {}", pool_text(path), why, what_to_do)};
}

std::optional<Superblock> best_superblock(Bytes front, std::optional<Error>& why) {
  std::optional<Superblock> best;
  for (u64 offset : {u64{0}, superblock_b_offset}) {
    if (front.size() < offset + block_size) continue;
    auto parsed = parse_superblock(front.subspan(offset, block_size));
    if (parsed && (!best || parsed->generation > best->generation)) best = *parsed;
    if (!parsed && parsed.code() != Code::invalid) why = parsed.error();
  }
  return best;
}

Result<std::unique_ptr<PoolFile>> PoolFile::open(Reactor& home, const std::string& path, Role role,
                                                 const Options& options) {
  std::unique_ptr<PoolFile> pool(new PoolFile(path, role));
  struct stat there {};
  Status status;
  if (stat(path.c_str(), &there) != 0) {
    if (errno != ENOENT) return cannot_open(path, errno);
    if (role != Role::fallback && !options.create) {
      return refused(Code::not_found, path, "there is no such file", "give --create to make it");
    }
    status = pool->make_file(home, options);
  } else if (S_ISBLK(there.st_mode)) {
    status = pool->open_block(home, options);
  } else if (S_ISREG(there.st_mode)) {
    status = pool->open_file(home, options);
  } else {
    status = refused(Code::invalid, path, "it is neither a file nor a block device", "name one that is");
  }
  if (!status) return status.error();
  return pool;
}

PoolFile::~PoolFile() {
  if (made_) unlink(path_.c_str());
  device_.reset();
  for (int fd : {exclusive_fd_, unnamed_fd_}) {
    if (fd >= 0) close(fd);
  }
}

Status PoolFile::keep() {
  const bool unnamed = unnamed_fd_ >= 0 && !named_;
  if (!unnamed && !made_) return {};
  kept_ = true;
  if (unnamed) {
    const std::string from = fmt::format("/proc/self/fd/{}", unnamed_fd_);
    if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      kept_ = false;
      return cannot_open(path_, errno);
    }
    named_ = true;  // the descriptor stays: closing it would take the device's record lock away
  }
  made_ = false;
  const std::string folder = folder_of(path_);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool durable = fd >= 0 && fsync(fd) == 0;
  const int number = errno;
  if (fd >= 0) close(fd);
  if (durable || number == EINVAL) return {};  // some file systems have no such thing as syncing a folder
  return refused(Code::io, path_, fmt::format("its folder cannot be made durable: {}", std::strerror(number)), "look at the disk");
}

Status PoolFile::open_device(Reactor& home, const std::string& path, FileDeviceOptions options) {
  auto device = FileDevice::open(home, path, options);
  if (!device) {
    if (device.code() != Code::busy) return Error{device.code(), "pool " + device.error().message};
    return refused(Code::busy, path_, "another brindled has it open", "stop that one, or name another pool");
  }
  device_ = std::move(device).value();
  return {};
}

Status PoolFile::make_file(Reactor& home, const Options& options) {
  is_new_ = true;
  FileDeviceOptions device_options;
  if (role_ != Role::member) device_options.size_max = options.pool_size.value_or(0);
  device_options.name = path_;
  unnamed_fd_ = ::open(folder_of(path_).c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  if (unnamed_fd_ >= 0) return open_device(home, fmt::format("/proc/self/fd/{}", unnamed_fd_), device_options);
  // Some file systems have no files without a name.
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return cannot_open(path_, errno);
  close(fd);
  made_ = true;
  return open_device(home, path_, device_options);
}

FoundMember PoolFile::found() const {
  return {path_, device_->size(), !device_->is_block_device(), parse_labels(front_)};
}

/// Whether a label is there. Fails when it should have been named with others.
Status PoolFile::look_for_label(bool& is_pool) {
  const std::vector<FoundMember> alone{found()};
  is_pool = never_taken_ = label_of(alone.front().copies).ok();
  if (role_ == Role::member || !is_pool) return {};
  const auto members = join_members(alone);
  CHECK(!members);
  return Error{members.code(), "pool " + members.error().message};
}

/// Whether a pool is there. Fails when one is there that this build or these options do not go with.
Status PoolFile::look(const Options& options, bool& is_pool) {
  auto bytes = device_->peek(superblock_b_offset + block_size);
  if (!bytes) return Error{Code::io, fmt::format("{}: {}", pool_text(path_), bytes.error().message)};
  front_ = *bytes;
  if (auto status = look_for_label(is_pool); is_pool || !status) return status;
  std::optional<Error> why;
  const std::optional<Superblock> best = best_superblock(front_, why);
  if (best && role_ == Role::member) {
    is_pool = never_taken_ = true;
    return refused(Code::invalid, path_, "it is a pool of its own", "give its --pool alone, or leave it out");
  }
  if (!best) {
    if (!why) return {};
    is_pool = true;
    return Error{why->code, fmt::format("{}: {}", pool_text(path_), why->message)};
  }
  is_pool = true;
  if (device_->size() < superblock_b_offset + block_size) {
    return refused(Code::corrupt, path_, fmt::format("the pool was cut short: {} bytes are left", device_->size()),
                   "restore it from a copy; it was left as it is");
  }
  const u64 size = best->chunk_size > 0 ? round_down(best->size_max, best->chunk_size) : 0;
  if (options.pool_size && *options.pool_size < size) {
    return refused(Code::invalid, path_, fmt::format("it may grow to {} bytes, and --pool-size {} is less", size, *options.pool_size),
                   "a pool does not shrink, so leave --pool-size out or give a larger one");
  }
  return {};
}

Status PoolFile::open_file(Reactor& home, const Options& options) {
  const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return cannot_open(path_, errno);
  close(fd);
  FileDeviceOptions device_options;
  if (role_ != Role::member) device_options.size_max = options.pool_size.value_or(0);
  if (auto status = open_device(home, path_, device_options); !status) return status;
  struct stat there {};
  if (stat(path_.c_str(), &there) == 0 && there.st_size == 0) {
    return refused(Code::invalid, path_, "the file is empty, and a file that is there never becomes a pool",
                   "remove it, or name another and give --create");
  }
  bool is_pool = false;
  if (auto status = look(options, is_pool); !status) return status;
  if (is_pool) return {};
  return refused(Code::invalid, path_, "the file holds something else than a Brindle pool, or was cut short",
                 "it was left as it is; name another, and give --create to make it");
}

Status PoolFile::open_block(Reactor& home, const Options& options) {
  exclusive_fd_ = ::open(path_.c_str(), O_RDWR | O_EXCL | O_CLOEXEC);
  if (exclusive_fd_ < 0) return cannot_open(path_, errno);
  if (options.pool_size && role_ != Role::member) {
    return refused(Code::invalid, path_, "a block device is as large as it is", "leave --pool-size out");
  }
  if (auto status = open_device(home, path_, {}); !status) return status;
  bool is_pool = false;
  const Status looked = look(options, is_pool);
  if (is_pool && looked) return {};
  if (!options.create || never_taken_) {
    if (!looked) return looked;
    return refused(Code::invalid, path_, "the device holds no Brindle pool", "give --create to make one of it: what it holds is lost");
  }
  if (!options.force) {
    if (!looked) return looked;
    auto found = signature_of(path_);
    if (!found) return Error{found.code(), fmt::format("{}: {}", pool_text(path_), found.error().message)};
    if (*found) {
      return refused(Code::invalid, path_, fmt::format("the device carries {}", **found),
                     "give --create --force to make a pool of it all the same: what it holds is lost");
    }
  }
  is_new_ = true;
  return {};
}

}  // namespace brindle::daemon
