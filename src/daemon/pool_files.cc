#include "daemon/pool_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/names.h"
#include "format/name.h"
#include "pool/labels.h"
#include "pool/pool.h"
#include "runtime/remote.h"

namespace brindle::daemon {

namespace {

// A unit is the chunk of a pool of that size, and a layout must be able to have it.
static_assert(unit_min <= chunk_size_min && chunk_size_max <= unit_max);

/// What lies at the path, whatever it is called: two paths of one thing give the same.
std::string identity(const std::string& path) {
  struct stat there {};
  if (stat(path.c_str(), &there) != 0) {
    std::error_code none;
    const auto folder = std::filesystem::weakly_canonical(std::filesystem::path(path).parent_path(), none);
    return (folder / std::filesystem::path(path).filename()).string();
  }
  if (S_ISBLK(there.st_mode)) return fmt::format("block {}", there.st_rdev);
  return fmt::format("{} {}", there.st_dev, there.st_ino);
}

}  // namespace

PoolFiles::~PoolFiles() = default;

Result<std::unique_ptr<PoolFiles>> PoolFiles::open(Reactor& home, const std::vector<std::string>& paths,
                                                   bool is_default, const Options& options) {
  std::unique_ptr<PoolFiles> pool(new PoolFiles(home));
  pool->text_ = fmt::format("pool {}", fmt::join(paths, " + "));
  if (paths.size() > members_max) {
    return Error{Code::invalid, fmt::format("pool {}: a pool lies on at most {} devices: give fewer --pool",
                                            paths[members_max], members_max)};
  }
  if (auto status = pool->refuse_twice(paths); !status) return status.error();
  const PoolFile::Role role = is_default          ? PoolFile::Role::fallback
                              : paths.size() == 1 ? PoolFile::Role::only
                                                  : PoolFile::Role::member;
  for (const std::string& path : paths) {
    auto file = PoolFile::open(home, path, role, options);
    if (!file) return file.error();
    pool->files_.push_back(std::move(file).value());
  }
  if (paths.size() == 1) return pool;
  const auto is_new = [](const auto& file) { return file->is_new(); };
  const auto some = std::ranges::find_if(pool->files_, is_new);
  if (some == pool->files_.end()) {
    if (auto status = pool->join(options); !status) return status.error();
    return pool;
  }
  if (const auto old = std::ranges::find_if_not(pool->files_, is_new); old != pool->files_.end()) {
    return refused(Code::invalid, (*old)->path(), fmt::format("it belongs to a pool, and {} does not", (*some)->path()),
                   "name all devices of that pool and no others, or wipe its first MiB if the pool is given up");
  }
  if (auto status = pool->make_members(options); !status) return status.error();
  return pool;
}

/// The lock would wait for itself.
Status PoolFiles::refuse_twice(const std::vector<std::string>& paths) const {
  std::map<std::string, std::string> seen;
  for (const std::string& path : paths) {
    const auto [at, fresh] = seen.emplace(identity(path), path);
    if (fresh) continue;
    const std::string other = at->second == path ? "" : fmt::format(" (as {} too)", at->second);
    return refused(Code::invalid, path, fmt::format("it is given twice{}", other), "give each device once");
  }
  return {};
}

std::vector<Device*> PoolFiles::devices() const {
  std::vector<Device*> all;
  for (const auto& file : files_) all.push_back(&file->device());
  return all;
}

Task<Status> PoolFiles::write_all_labels(const Layout& layout) {
  MemberLabel label = label_;
  label.layout = layout;
  ++label.generation;
  label.names.clear();
  for (const auto& file : files_) label.names.push_back(file->path());
  Status status = co_await write_labels(devices(), label);
  if (status) label_ = std::move(label);
  co_return status;
}

// --- new ones -------------------------------------------------------------------------------------------------------

/// How many units each gives: a block device all that it has, and the files what is left of --pool-size, evenly; else what their file
/// systems have, by fair shares where several stand on one.
Result<std::vector<u64>> PoolFiles::shares(const Options& options, u64& unit) const {
  std::vector<u64> bytes;
  std::map<dev_t, u64> on_one;
  u64 files = 0;
  const auto host = [](const PoolFile& file) {
    struct stat there {};
    const std::string folder = std::filesystem::path(file.path()).parent_path().string();
    return stat(folder.c_str(), &there) == 0 ? there.st_dev : dev_t{0};
  };
  for (const auto& file : files_) {
    if (file->device().is_block_device()) continue;
    ++files;
    ++on_one[host(*file)];
  }
  u64 of_blocks = 0;
  for (const auto& file : files_) {
    u64 has = file->device().size_max();
    if (!file->device().is_block_device()) has /= on_one[host(*file)];
    bytes.push_back(has - std::min(has, label_area_bytes));
    if (file->device().is_block_device()) of_blocks += bytes.back();
  }
  if (options.pool_size && files == 0) {
    return refused(Code::invalid, files_.front()->path(), "a block device is as large as it is",
                   "leave --pool-size out");
  }
  u64 total = 0;
  for (const u64 one : bytes) total += one;
  if (options.pool_size) total = std::max(*options.pool_size, of_blocks);
  unit = chunk_size_for(total);
  std::vector<u64> units;
  u64 of_files = 0;
  for (const u64 one : bytes) units.push_back(one / unit);
  if (options.pool_size) {
    u64 left = *options.pool_size / unit;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i]->device().is_block_device()) left -= std::min(left, units[i]);
    }
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i]->device().is_block_device()) continue;
      units[i] = left / files + (of_files++ < left % files ? 1 : 0);
    }
  }
  for (size_t i = 0; i < files_.size(); ++i) {
    if (units[i] > 0) continue;
    return refused(Code::invalid, files_[i]->path(),
                   fmt::format("it would give the pool nothing: {} is the least", format_size(unit + label_area_bytes)),
                   options.pool_size ? "leave it out, or give a larger --pool-size" : "leave it out, or make room");
  }
  return units;
}

Status PoolFiles::make_members(const Options& options) {
  u64 unit = 0;
  auto units = shares(options, unit);
  if (!units) return units.error();
  label_ = {fresh_uuid(), 0, 0, Layout(unit, static_cast<u32>(files_.size())), {}};
  if (auto status = label_.layout.extend(std::move(units).value()); !status) {
    return Error{status.code(), fmt::format("{}: {}", text_, status.error().message)};
  }
  const u64 least = chunks_min * chunk_size_for(label_.layout.size());
  if (label_.layout.size() < least) {
    return Error{Code::invalid, fmt::format("{}: a pool needs at least {} bytes, and this one could have {}", text_,
                                            least, label_.layout.size())};
  }
  if (auto status = make_set(); !status) return status;
  const Status cleared = call_blocking(home_, [this] { return clear_label_areas(devices()); });
  return cleared ? Status{} : Error{cleared.code(), fmt::format("pool {}", cleared.error().message)};
}

Status PoolFiles::make_set() {
  std::vector<DeviceSet::Member> all;
  for (u32 i = 0; i < files_.size(); ++i) {
    FileDevice& device = files_[i]->device();
    const u64 bytes = label_.layout.bytes_of(i);
    all.push_back({&device, !device.is_block_device()});
    if (device.is_block_device()) continue;
    const Status raised = call_blocking(home_, [&device, bytes] { return device.set_size_max(bytes); });
    if (!raised) return raised;
  }
  const auto keep = [this](const Layout& layout) { return write_all_labels(layout); };
  set_ = std::make_unique<DeviceSet>(home_, label_.layout, std::move(all), keep);
  return {};
}

// --- those that are there -------------------------------------------------------------------------------------------

Status PoolFiles::join(const Options& options) {
  std::vector<FoundMember> found;
  for (const auto& file : files_) found.push_back(file->found());
  auto members = join_members(found);
  if (!members) return Error{members.code(), "pool " + members.error().message};
  std::vector<std::unique_ptr<PoolFile>> in_order;
  for (const size_t at : members->order) in_order.push_back(std::move(files_[at]));
  files_ = std::move(in_order);
  std::vector<std::string> paths;
  for (const auto& file : files_) paths.push_back(file->path());
  text_ = fmt::format("pool {}", fmt::join(paths, " + "));
  label_ = members->label;
  const u64 size = label_.layout.size();
  if (auto status = check_size(options); !status) return status;
  // A block device that has become larger gives what it has.
  std::vector<u64> more;
  Layout layout = label_.layout;
  for (u32 i = 0; i < files_.size(); ++i) {
    const FileDevice& device = files_[i]->device();
    const u64 fits = (device.size() - std::min(device.size(), label_area_bytes)) / layout.unit();
    more.push_back(device.is_block_device() && fits > layout.rows_of(i) ? fits - layout.rows_of(i) : 0);
  }
  const bool longer = std::ranges::any_of(more, [](u64 rows) { return rows > 0; });
  if (longer) {
    const Status extended = layout.extend(std::move(more));
    if (!extended) spdlog::warn("{}: {}", text_, extended.error().message);
  }
  if (members->stale || layout.size() > size) {
    if (members->stale)
      spdlog::warn("{}: the labels of its devices are not all whole or the newest: they are written anew", text_);
    const Status written = call_blocking(home_, [this, layout] { return write_all_labels(layout); });
    if (!written) return Error{written.code(), fmt::format("pool {}", written.error().message)};
  }
  return make_set();
}

Status PoolFiles::check_size(const Options& options) const {
  if (!options.pool_size) return {};
  if (std::ranges::all_of(files_, [](const auto& file) { return file->device().is_block_device(); })) {
    return refused(Code::invalid, files_.front()->path(), "a block device is as large as it is",
                   "leave --pool-size out");
  }
  // The layout may be a little larger than what was asked for: the superblock tells, where the first member's addresses begin.
  auto front = files_.front()->device().peek(label_area_bytes + superblock_b_offset + block_size);
  if (!front) return Error{Code::io, fmt::format("pool {}", front.error().message)};
  std::optional<Error> why;
  const auto superblock = best_superblock(Bytes(*front).subspan(std::min<u64>(front->size(), label_area_bytes)), why);
  const u64 size = superblock ? round_down(superblock->size_max, superblock->chunk_size) : 0;
  if (*options.pool_size >= size) return {};
  return Error{Code::invalid,
               fmt::format("{}: it may grow to {} bytes, and --pool-size {} is less: a pool does not shrink, so leave "
                           "--pool-size out or give a larger one",
                           text_, size, *options.pool_size)};
}

Status PoolFiles::keep() {
  if (set_ && is_new()) {
    const Status written = call_blocking(home_, [this] { return write_all_labels(label_.layout); });
    if (!written) return Error{written.code(), fmt::format("pool {}", written.error().message)};
  }
  for (const auto& file : files_) {
    Status status = file->keep();
    if (status) continue;
    if (set_) {
      for (const auto& one : files_) one->take_back();
    }
    return status;
  }
  return {};
}

}  // namespace brindle::daemon
