#include "scale/real_pool.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "device/file_device.h"
#include "device/memory_device.h"
#include "engine/hollow_device.h"

namespace brindle {

RealPool::RealPool(RealPoolOptions options) : options_(options) {
  std::string name = (std::filesystem::temp_directory_path() / "brindle-scale-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) std::abort();
  folder_ = name;
  path_ = folder_ + "/pool";
  open();
}

RealPool::~RealPool() {
  if (engine_) close();
  std::filesystem::remove_all(folder_);
}

void RealPool::open() {
  auto reactor = Reactor::create({});
  ASSERT_TRUE(reactor) << reactor.error().message;
  reactor_ = std::move(reactor).value();
  thread_ = std::thread([this] { reactor_->run(); });
  device_ = make_device();
  ASSERT_TRUE(device_);
  const EngineOptions options{.create = !made_, .memory_max = options_.memory_max};
  engine_ = std::make_unique<EngineCore>(*reactor_, *device_, options);
  const Status status = run([&] { return engine_->open(); });
  ASSERT_TRUE(status) << status.error().message;
  made_ = true;
}

std::unique_ptr<Device> RealPool::make_device() {
  if (options_.hollow) {
    return std::make_unique<bench::HollowDevice>(std::make_unique<MemoryDevice>(options_.pool_size), nullptr);
  }
  auto device = FileDevice::open(*reactor_, path_, {.create = !made_, .size_max = options_.pool_size});
  EXPECT_TRUE(device) << device.error().message;
  return device ? std::move(device).value() : nullptr;
}

void RealPool::close() {
  const Status status = run([&] { return engine_->close(); });
  EXPECT_TRUE(status) << status.error().message;
  reactor_->stop();
  thread_.join();
  engine_.reset();
  device_.reset();
  reactor_.reset();
}

u64 RealPool::resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  u64 pages = 0;
  u64 resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<u64>(sysconf(_SC_PAGESIZE));
}

u64 RealPool::allocated_bytes() const {
  struct stat what {};
  if (stat(path_.c_str(), &what) != 0) return 0;
  return static_cast<u64>(what.st_blocks) * 512;
}

}  // namespace brindle
