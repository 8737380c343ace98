#include "serve/attach/served_file.h"

#define FUSE_USE_VERSION 314
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace brindle::attach {

namespace {

constexpr fuse_ino_t folder_number = FUSE_ROOT_ID, file_number = 2;
constexpr double names_stay_s = 3600;      // nobody else changes the folder
constexpr u64 zero_chunk = GiB;            // NBD's lengths have 32 bits
constexpr size_t copy_max = 64 * KiB;      // up to here a copy costs less than a cold receive buffer
constexpr size_t spare_max = 8;
constexpr unsigned turn_max = 64;          // requests taken before replies are looked for

int errno_of(const Error& error) {
  switch (error.code) {
    case Code::no_space: return ENOSPC;
    case Code::invalid: return EINVAL;
    default: return EIO;
  }
}

}  // namespace

/// Answers a read with what NBD brought.
class ReadCommand final : public Command {
 public:
  ReadCommand(fuse_req_t request, u64 offset, u32 length, const Overlay* overlay)
      : Command(Type::read, offset, length),
        request_(request),
        overlay_(overlay),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(length)) {
    data_ = bytes_.get();
  }
  void finish(int error) override {
    if (error == 0 && overlay_ != nullptr) {
      if (auto status = overlay_->patch(offset(), {data_, length()}); !status) error = errno_of(status.error());
    }
    if (error != 0) {
      fuse_reply_err(request_, error);
    } else {
      fuse_reply_buf(request_, reinterpret_cast<const char*>(data_), length());
    }
  }

 private:
  fuse_req_t request_;
  const Overlay* overlay_;
  std::unique_ptr<std::byte[]> bytes_;
};

/// A write, with its bytes until they are acknowledged: after a lost connection they are sent again.
class WriteCommand final : public Command {
 public:
  WriteCommand(fuse_req_t request, ServedFile& file, u64 offset, const char* bytes, u32 length)
      : Command(Type::write, offset, length), request_(request), file_(file) {
    if (length <= copy_max) {
      copy_ = std::make_unique_for_overwrite<std::byte[]>(length);
      std::memcpy(copy_.get(), bytes, length);
      data_ = copy_.get();
    } else {
      kept_ = file.receiving_;
      file.receiving_kept_ = true;
      data_ = reinterpret_cast<std::byte*>(const_cast<char*>(bytes));
    }
  }
  ~WriteCommand() override {
    if (kept_ != nullptr) file_.spare_give(kept_);
  }
  void finish(int error) override {
    if (error != 0) {
      fuse_reply_err(request_, error);
    } else {
      fuse_reply_write(request_, length());
    }
  }

 private:
  fuse_req_t request_;
  ServedFile& file_;
  std::unique_ptr<std::byte[]> copy_;
  void* kept_ = nullptr;
};

class FlushCommand final : public Command {
 public:
  explicit FlushCommand(fuse_req_t request) : Command(Type::flush, 0, 0), request_(request) {}
  void finish(int error) override { fuse_reply_err(request_, error); }

 private:
  fuse_req_t request_;
};

/// Zeroes a range, a chunk after the other. The kernel asks in the same words for a discard and for zeroes, so zeroes are
/// what it gets. On a full pool, where a discard is wanted most, zeroing is refused and a trim may still be done: then the
/// trim is tried, and believed only if the range is a hole afterwards.
class ZeroCommand final : public Command {
 public:
  struct Range {
    fuse_req_t request;
    NbdClient& client;
    u64 offset, left;
  };
  static void next(const Range& range) {
    if (range.left == 0) {
      fuse_reply_err(range.request, 0);
    } else {
      submit(Type::write_zeroes, range);
    }
  }
  ZeroCommand(Type type, const Range& range)
      : Command(type, range.offset, static_cast<u32>(std::min(range.left, zero_chunk))), type_(type), range_(range) {}

  void finish(int error) override {
    const NbdConnection& server = range_.client.connection();
    if (type_ == Type::write_zeroes && error == ENOSPC && server.can_trim() && server.allocation_id != 0) {
      return submit(Type::trim, range_);
    }
    if (type_ == Type::trim && error == 0) return submit(Type::block_status, range_);
    if (type_ == Type::block_status && error == 0 && !all_zero_) error = ENOSPC;
    if (error != 0) {
      fuse_reply_err(range_.request, error);
    } else {
      next({range_.request, range_.client, range_.offset + length(), range_.left - length()});
    }
  }

 private:
  static void submit(Type type, const Range& range) {
    range.client.submit(std::make_unique<ZeroCommand>(type, range));
  }
  Type type_;
  Range range_;
};

/// What the kernel calls, by libfuse.
struct Operations {
  static ServedFile& file(fuse_req_t request) { return *static_cast<ServedFile*>(fuse_req_userdata(request)); }

  static struct stat attributes(const ServedFile& self, fuse_ino_t number) {
    struct stat out {};
    out.st_ino = number;
    out.st_nlink = number == folder_number ? 2 : 1;
    out.st_mode = number == folder_number ? S_IFDIR | 0500 : S_IFREG | (self.options_.read_only ? 0400 : 0600);
    out.st_blksize = block_size;
    if (number == file_number) {
      out.st_size = static_cast<off_t>(self.size_);
      out.st_blocks = static_cast<blkcnt_t>(self.size_ / 512);
    }
    return out;
  }

  static void init(void*, fuse_conn_info* connection) {
    // Requests are read straight into buffers of ours; a pipe between would be one copy more.
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    if ((connection->capable & FUSE_CAP_ASYNC_DIO) != 0) connection->want |= FUSE_CAP_ASYNC_DIO;
    connection->max_background = ServedFile::background_max;
    connection->congestion_threshold = ServedFile::background_max;
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    if (parent != folder_number || file(request).options_.file_name != name) {
      fuse_reply_err(request, ENOENT);
      return;
    }
    fuse_entry_param entry{};
    entry.ino = file_number;
    entry.attr = attributes(file(request), file_number);
    entry.entry_timeout = names_stay_s;
    entry.attr_timeout = 0;  // the size may change
    fuse_reply_entry(request, &entry);
  }

  static void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
    const struct stat now = attributes(file(request), number);
    fuse_reply_attr(request, &now, number == folder_number ? names_stay_s : 0);
  }

  static void setattr(fuse_req_t request, fuse_ino_t number, struct stat*, int what, fuse_file_info*) {
    constexpr int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW |
                          FUSE_SET_ATTR_CTIME;
    if ((what & ~times) != 0) {
      fuse_reply_err(request, EPERM);
    } else {
      getattr(request, number, nullptr);
    }
  }

  static void readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
    ServedFile& self = file(request);
    std::string out;
    const std::pair<const char*, fuse_ino_t> entries[] = {
        {".", folder_number}, {"..", folder_number}, {self.options_.file_name.c_str(), file_number}};
    for (off_t i = offset; i < 3; ++i) {
      const auto& [name, number] = entries[i];
      const struct stat about = attributes(self, number);
      const size_t length = fuse_add_direntry(request, nullptr, 0, name, &about, i + 1);
      if (out.size() + length > size) break;
      const size_t at = out.size();
      out.resize(at + length);
      fuse_add_direntry(request, out.data() + at, length, name, &about, i + 1);
    }
    fuse_reply_buf(request, out.data(), out.size());
  }

  static void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    ServedFile& self = file(request);
    if (number != file_number) {
      fuse_reply_err(request, EISDIR);
      return;
    }
    if (self.options_.read_only && (info->flags & O_ACCMODE) != O_RDONLY) {
      fuse_reply_err(request, EROFS);
      return;
    }
    info->direct_io = 1;  // the loop device caches above; a second cache here would only cost
    ++self.handles_;
    if (fuse_reply_open(request, info) != 0) --self.handles_;  // the opener was killed
  }

  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    --file(request).handles_;
    fuse_reply_err(request, 0);
  }

  static void flush(fuse_req_t request, fuse_ino_t, fuse_file_info*) { fuse_reply_err(request, 0); }

  static void read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
    ServedFile& self = file(request);
    const u64 begin = static_cast<u64>(offset);
    const u64 length = begin >= self.size_ ? 0 : std::min<u64>(size, self.size_ - begin);
    if (length == 0) {
      fuse_reply_buf(request, nullptr, 0);
      return;
    }
    self.client_.submit(std::make_unique<ReadCommand>(request, begin, static_cast<u32>(length), self.overlay_.get()));
  }

  static void write(fuse_req_t request, fuse_ino_t, const char* bytes, size_t size, off_t offset, fuse_file_info*) {
    ServedFile& self = file(request);
    if (size == 0) {
      fuse_reply_write(request, 0);
    } else if (self.overlay_ == nullptr) {
      self.client_.submit(
          std::make_unique<WriteCommand>(request, self, static_cast<u64>(offset), bytes, static_cast<u32>(size)));
    } else if (auto status = self.overlay_->write(static_cast<u64>(offset), std::as_bytes(std::span(bytes, size))); !status) {
      fuse_reply_err(request, errno_of(status.error()));
    } else {
      fuse_reply_write(request, size);
    }
  }

  static void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    ServedFile& self = file(request);
    if (self.options_.read_only || self.overlay_ != nullptr || !self.client_.connection().can_flush()) {
      fuse_reply_err(request, 0);
    } else {
      self.client_.submit(std::make_unique<FlushCommand>(request));
    }
  }

  static void fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info*) {
    ServedFile& self = file(request);
    const int what = mode & ~FALLOC_FL_KEEP_SIZE;
    if ((what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) || self.overlay_ != nullptr ||
        !self.client_.connection().can_zero()) {
      fuse_reply_err(request, EOPNOTSUPP);
      return;
    }
    const u64 begin = static_cast<u64>(offset);
    const u64 wanted = static_cast<u64>(length);
    const u64 left = begin >= self.size_ ? 0 : std::min(wanted, self.size_ - begin);
    ZeroCommand::next({request, self.client_, begin, left});
  }

  static void statfs(fuse_req_t request, fuse_ino_t) {
    struct statvfs out {};
    out.f_bsize = out.f_frsize = block_size;  // which is the granularity of discards that the loop device offers
    out.f_blocks = file(request).size_ / block_size;
    out.f_files = 1;
    out.f_namemax = 255;
    fuse_reply_statfs(request, &out);
  }

  static fuse_lowlevel_ops table() {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    ops.lookup = lookup;
    ops.getattr = getattr;
    ops.setattr = setattr;
    ops.readdir = readdir;
    ops.open = open;
    ops.release = release;
    ops.flush = flush;
    ops.read = read;
    ops.write = write;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.statfs = statfs;
    return ops;
  }
};

Result<std::unique_ptr<ServedFile>> ServedFile::mount(const ServedFileOptions& options, NbdClient& client,
                                                      std::unique_ptr<Overlay> overlay) {
  std::unique_ptr<ServedFile> self(new ServedFile(options, client, std::move(overlay)));
  std::string program = "brindle", dash_o = "-o";
  std::string mount_options = fmt::format("fsname={},subtype=brindle,nosuid,nodev,noexec", options.label);
  char* words[] = {program.data(), dash_o.data(), mount_options.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, words);
  const fuse_lowlevel_ops ops = Operations::table();
  self->session_ = fuse_session_new(&args, &ops, sizeof ops, self.get());
  fuse_opt_free_args(&args);
  if (self->session_ == nullptr) return Error{Code::io, "libfuse refuses to start"};
  if (fuse_session_mount(self->session_, options.folder.c_str()) != 0) {
    return Error{Code::io, fmt::format("{}: FUSE cannot be mounted: {}", options.folder, std::strerror(errno))};
  }
  self->mounted_ = true;
  const int fd = self->fd();
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  return self;
}

ServedFile::~ServedFile() {
  client_.fail_all(EIO);  // they hold requests and buffers of ours
  if (mounted_) fuse_session_unmount(session_);
  if (session_ != nullptr) fuse_session_destroy(session_);
  std::free(receiving_);
  for (void* buffer : spare_) std::free(buffer);
}

int ServedFile::fd() const { return fuse_session_fd(session_); }
bool ServedFile::ended() const { return fuse_session_exited(session_) != 0; }

bool ServedFile::pump() {
  unsigned taken = 0;
  while (taken < turn_max && !ended()) {
    fuse_buf buffer{};
    buffer.mem = receiving_;  // libfuse allocates the first ones, with the size that it wants
    const int got = fuse_session_receive_buf(session_, &buffer);
    receiving_ = buffer.mem;
    if (got <= 0) break;      // nothing more for now, or the end
    fuse_session_process_buf(session_, &buffer);
    ++taken;
    if (receiving_kept_) {
      receiving_kept_ = false;
      receiving_ = spare_take();
    }
  }
  return taken > 0;
}

void* ServedFile::spare_take() {
  if (spare_.empty()) return nullptr;
  void* buffer = spare_.back();
  spare_.pop_back();
  return buffer;
}

void ServedFile::spare_give(void* buffer) {
  if (spare_.size() < spare_max) {
    spare_.push_back(buffer);
  } else {
    std::free(buffer);
  }
}

}  // namespace brindle::attach
