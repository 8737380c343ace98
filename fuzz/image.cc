// The whole verifier over a sound pool with changes in it whose checksums are all right.
#include <map>

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

/// One byte somewhere, taken off the input.
struct Slip {
  explicit Slip(Reader& from) : at(from.get<u16>()), value(from.get<u8>()) {}
  void make(std::vector<std::byte>& bytes) const {
    if (!bytes.empty()) bytes[at % bytes.size()] = static_cast<std::byte>(value);
  }
  u16 at;
  u8 value;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const SimDisk sample = make_disk();
  SimDisk disk = sample;
  Reader from(input_bytes(data, size));
  Image image(disk);
  // All pages in one pass: one that was changed may not be a page any more.
  std::multimap<u64, Slip> pages;
  for (u64 left = from.get<u8>() % 4; left > 0; --left) {
    const u64 page = from.get<u8>();
    pages.emplace(page, Slip(from));
  }
  u64 page = 0;
  image.edit_page_bytes([&](const PageRef&, std::vector<std::byte>& bytes) {
    const auto [first, last] = pages.equal_range(page++);
    for (auto at = first; at != last; ++at) at->second.make(bytes);
    return first != last;
  });
  image.save([&](std::vector<RawBucket>& buckets) {
    while (from.left() > 0 && from.ok()) {
      const u64 bucket = from.get<u8>() % buckets.size();
      Slip(from).make(buckets[bucket].bytes);
    }
  });
  const auto report = verify_disk(disk, {.read_data = false});
  must(report.ok());
  return 0;
}
