// The whole verifier over a sound pool with changes in it whose checksums are all right.
#include "fuzz/input.h"
#include "model/image.h"
#include "model/world.h"

namespace {

using namespace brindle;
using namespace brindle::model;

SimDisk make_disk() {
  World world({.verify_one_in = 0});
  must(world.open().ok());
  make_sample(world);
  return world.disk();
}

/// Takes changes off the input: where, and what.
class Changes {
 public:
  explicit Changes(Reader& from) : from_(from) {}
  void to(std::vector<std::byte>& bytes) {
    const auto at = from_.get<u16>();
    const auto value = from_.get<u8>();
    if (!bytes.empty()) bytes[at % bytes.size()] = static_cast<std::byte>(value);
  }

 private:
  Reader& from_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const SimDisk sample = make_disk();
  SimDisk disk = sample;
  Reader from(input_bytes(data, size));
  Changes change(from);
  Image image(disk);
  const u64 pages = from.get<u8>() % 4;
  for (u64 i = 0; i < pages; ++i) {
    u64 skip = from.get<u8>();
    image.edit_page_bytes([&](const PageRef&, std::vector<std::byte>& bytes) {
      if (skip-- != 0) return false;
      change.to(bytes);
      return true;
    });
  }
  image.save([&](std::vector<RawBucket>& buckets) {
    while (from.left() > 0) change.to(buckets[from.get<u8>() % buckets.size()].bytes);
  });
  const auto report = verify_disk(disk, {.read_data = false});
  must(report.ok());
  return 0;
}
