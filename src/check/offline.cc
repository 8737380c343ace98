#include "check/offline.h"

#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "device/device_set.h"
#include "device/file_device.h"
#include "format/members.h"
#include "format/superblock.h"

namespace brindle {

namespace {

constexpr u64 watch_ns = 20 * millisecond_ns;

/// Runs as long as the check does, and ends the reactor behind it.
Task<void> watch_it(Reactor& reactor, VerifyProgress& progress, const CheckWatcher& watch, const bool& done) {
  while (!done) {
    if (watch && !watch(progress.done, progress.total)) progress.stop = true;
    co_await reactor.sleep(watch_ns);
  }
  reactor.stop();
}

Task<void> verify_it(Reactor& reactor, Device& device, VerifyOptions options, VerifyProgress& progress,
                     std::optional<Result<CheckReport>>& out, bool& done) {
  auto report = co_await verify(reactor, device, options, &progress);
  out.emplace(std::move(report));
  done = true;
}

struct OpenPool {
  std::vector<std::unique_ptr<FileDevice>> files;
  std::unique_ptr<DeviceSet> set;   // of several
  std::vector<CheckDamage> damage;  // of their labels
  std::optional<Uuid> uuid;         // that they tell

  Device& device() { return set ? static_cast<Device&>(*set) : *files.front(); }
};

Result<std::unique_ptr<FileDevice>> open_file(Reactor& reactor, const std::string& path) {
  auto device = FileDevice::open(reactor, path, {.read_only = true});
  if (device || device.code() != Code::busy) return device;
  return Error{Code::busy, fmt::format("{}: a daemon has this pool open: use `brindle check` without --offline, or "
                                       "stop the daemon first",
                                       path)};
}

/// A copy of a label that is not whole costs nothing as long as another is.
void tell_label(OpenPool& pool, const FoundMember& member) {
  for (size_t copy = 0; copy < member.copies.size(); ++copy) {
    if (member.copies[copy]) continue;
    pool.damage.push_back({"", copy * superblock_b_offset, label_bytes, "superblock",
                           fmt::format("copy {} of the label of {}: {}", copy == 0 ? "A" : "B", member.name,
                                       member.copies[copy].error().message)});
  }
}

Result<OpenPool> open_pool(Reactor& reactor, const std::vector<std::string>& paths) {
  CHECK(!paths.empty());
  OpenPool pool;
  std::vector<FoundMember> found;
  for (size_t i = 0; i < paths.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      std::error_code none;
      if (!std::filesystem::equivalent(paths[i], paths[j], none)) continue;
      return Error{Code::invalid, fmt::format("{}: it is named twice: leave one out", paths[i])};
    }
    auto file = open_file(reactor, paths[i]);
    if (!file) return file.error();
    auto front = (*file)->peek(superblock_b_offset + block_size);
    if (!front) return front.error();
    const bool grows = !(*file)->is_block_device();
    found.push_back({paths[i], (*file)->size(), grows, parse_labels(*front)});
    pool.files.push_back(std::move(file).value());
  }
  if (found.size() == 1 && !label_of(found.front().copies)) return pool;  // a pool on one device, or none
  auto members = join_members(found);
  if (!members) return members.error();
  std::vector<DeviceSet::Member> all;
  std::vector<std::unique_ptr<FileDevice>> in_order;
  for (const size_t at : members->order) {
    tell_label(pool, found[at]);
    all.push_back({pool.files[at].get(), found[at].grows});
    in_order.push_back(std::move(pool.files[at]));
  }
  pool.files = std::move(in_order);
  pool.uuid = members->label.pool;
  pool.set = std::make_unique<DeviceSet>(reactor, members->label.layout, std::move(all), DeviceSet::Keep());
  return pool;
}

}  // namespace

Result<CheckReport> verify_files(const std::vector<std::string>& paths, VerifyOptions options, CheckWatcher watch) {
  auto reactor = Reactor::create({.entries = 256});
  if (!reactor) return reactor.error();
  auto pool = open_pool(**reactor, paths);
  if (!pool) return pool.error();
  options.uuid = pool->uuid;
  VerifyProgress progress;
  std::optional<Result<CheckReport>> report;
  bool done = false;
  start(verify_it(**reactor, pool->device(), options, progress, report, done));
  start(watch_it(**reactor, progress, watch, done));
  (*reactor)->run();
  const std::string name = pool->device().name();
  if (!report) return Error{Code::io, fmt::format("{}: the check did not come to its end", name)};
  if (!report->ok()) return Error{report->code(), fmt::format("{}: {}", name, report->error().message)};
  // What belongs to no volume comes first.
  (*report)->damage.insert((*report)->damage.begin(), pool->damage.begin(), pool->damage.end());
  return std::move(*report);
}

}  // namespace brindle
