#include "runtime/frames.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace brindle {
namespace {

TEST(Frames, OfAllSizesAreWholeAndApart) {
  std::vector<std::pair<unsigned char*, std::size_t>> taken;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t size = 1; size < 20'000; size += 97) {
      taken.emplace_back(static_cast<unsigned char*>(frames::take(size)), size);
      std::memset(taken.back().first, static_cast<int>(size % 251), size);
    }
    for (const auto& [bytes, size] : taken) {
      EXPECT_EQ(bytes[0], size % 251);
      EXPECT_EQ(bytes[size - 1], size % 251);
      frames::give_back(bytes, size);
    }
    taken.clear();
  }
}

TEST(Frames, MayEndOnAnotherThread) {
  void* frame = frames::take(300);
  std::thread([&] { frames::give_back(frame, 300); }).join();
  std::thread([&] { frame = frames::take(300); }).join();
  frames::give_back(frame, 300);
}

}  // namespace
}  // namespace brindle
