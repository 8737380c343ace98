#include "engine/rig.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "base/aligned.h"
#include "device/file_device.h"
#include "device/memory_device.h"

namespace brindle::bench {

void fail(const std::string& message) {
  std::fprintf(stderr, "engine_bench: %s\n", message.c_str());
  std::fflush(stdout);
  _exit(1);
}

void expect(const Status& status, std::string_view what) {
  if (!status) fail(fmt::format("{}: {}", what, status.error().message));
}

namespace {

Task<Status> fill_with_payload(Device& device) {
  AlignedBuffer piece(MiB);
  for (u64 at = 0; at < piece.size(); at += block_size) std::memcpy(piece.data() + at, HollowDevice::payload().data(), block_size);
  for (u64 at = 0; at < device.size_max(); at += piece.size()) {
    const Bytes from = piece.span();
    if (auto status = co_await device.write(at, from); !status) co_return status;
  }
  co_return co_await device.flush();
}

Task<Status> touch(Device& device) {
  AlignedBuffer zeroes(2 * MiB);
  zeroes.clear();
  for (u64 at = 0; at + zeroes.size() <= device.size_max(); at += zeroes.size()) {
    const Bytes from = zeroes.span();
    if (auto status = co_await device.write(at, from); !status) co_return status;
  }
  co_return Status{};
}

}  // namespace

Rig::Rig(RigOptions options) : options_(std::move(options)) {
  for (int i = 0; i < (options_.second ? 2 : 1); ++i) {
    ReactorOptions reactor_options;
    if (options_.core >= 0) reactor_options.core = options_.core + i;
    reactors_.push_back(expect(Reactor::create(reactor_options), "the reactor"));
  }
  std::unique_ptr<Device> device;
  if (options_.path.empty()) {
    device = std::make_unique<MemoryDevice>(options_.pool_size);
  } else {
    const FileDeviceOptions file{.create = options_.create, .size_max = options_.pool_size};
    device = expect(FileDevice::open(home(), options_.path, file), "the pool's file");
  }
  for (auto& reactor : reactors_) threads_.emplace_back([core = reactor.get()] { core->run(); });
  if (options_.hollow) {
    auto hollow = std::make_unique<HollowDevice>(std::move(device), make_payload_file());
    hollow_ = hollow.get();
    device = std::move(hollow);
  } else if (options_.path.empty()) {
    Device& memory = *device;
    expect(run([&] { return touch(memory); }), "the memory");
  }
  device_ = std::make_unique<CountingDevice>(std::move(device));
  open_engine(options_.create || options_.path.empty());
}

/// None where nothing was said of it. It is opened twice, since only an opening tells the device how long its file is.
std::unique_ptr<Device> Rig::make_payload_file() {
  if (options_.payload_path.empty()) return nullptr;
  FileDeviceOptions file{.create = true, .size_max = round_up(options_.payload_size, MiB)};
  {
    const auto made = expect(FileDevice::open(home(), options_.payload_path, file), "the payload's file");
    expect(run([&] { return fill_with_payload(*made); }), "the payload");
  }
  file.create = false;
  return expect(FileDevice::open(home(), options_.payload_path, file), "the payload's file");
}

Rig::~Rig() {
  if (engine_) close_engine();
  for (auto& reactor : reactors_) reactor->stop();
  for (auto& thread : threads_) thread.join();
}

void Rig::open_engine(bool create) {
  const EngineOptions engine_options{.create = create, .memory_max = options_.memory_max};
  engine_ = std::make_unique<EngineCore>(home(), *device_, engine_options);
  expect(run([&] { return engine_->open(); }), "opening the pool");
}

void Rig::close_engine() {
  if (before_close_) std::exchange(before_close_, {})();
  expect(run([&] { return engine_->close(); }), "closing the pool");
  const auto drop = [&]() -> Task<Status> {
    engine_.reset();
    co_return Status{};
  };
  expect(run(drop), "the engine's end");
}

void Rig::reopen() {
  close_engine();
  open_engine(false);
}

std::unique_ptr<Handle> Rig::open(const std::string& name, bool read_only) {
  const auto open = [&]() -> Task<Result<std::unique_ptr<Handle>>> { co_return engine_->open_handle(name, read_only); };
  return expect(run(open), name);
}

void Rig::close(std::vector<std::unique_ptr<Handle>> handles) {
  const auto drop = [&]() -> Task<Status> {
    handles.clear();
    co_return Status{};
  };
  expect(run(drop), "handles");
}

u64 resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  u64 pages = 0;
  u64 resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<u64>(sysconf(_SC_PAGESIZE));
}

}  // namespace brindle::bench
