#include "cli/tree_drawing.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace brindle::cli {

namespace {

struct Node {
  const char* name;
  unsigned depth;
};

Json entries(const std::vector<Node>& nodes) {
  Json out = Json::array();
  for (const auto& node : nodes) out.push_back({{"name", node.name}, {"depth", node.depth}, {"size", 4096}});
  return out;
}

/// The drawing alone, without the other columns and the title line.
std::string names_of(const std::string& drawn) {
  std::string out;
  size_t begin = drawn.find('\n') + 1;
  while (begin < drawn.size()) {
    const std::string line = drawn.substr(begin, drawn.find('\n', begin) - begin);
    out += line.substr(0, line.find("  4.0 KiB")).append("\n");
    begin += line.size() + 1;
  }
  for (size_t at = out.find(" \n"); at != std::string::npos; at = out.find(" \n")) out.erase(at, 1);
  return out;
}

}  // namespace

TEST(TreeDrawing, a_volume_stays_at_one_depth_and_clones_hang_from_their_snapshot) {
  const Json family =
      entries({{"db@monday", 0}, {"dev@x", 1}, {"dev", 2}, {"db@tuesday", 1}, {"test1", 2}, {"test2", 2}, {"db", 2}});
  EXPECT_EQ(names_of(draw_families(family, true)),
            "db@monday\n"
            "│  └─ dev@x\n"
            "│     └─ dev\n"
            "├─ db@tuesday\n"
            "│  ├─ test1\n"
            "│  └─ test2\n"
            "└─ db\n");
  EXPECT_EQ(names_of(draw_families(family, false)),
            "db@monday\n"
            "|  `- dev@x\n"
            "|     `- dev\n"
            "|- db@tuesday\n"
            "|  |- test1\n"
            "|  `- test2\n"
            "`- db\n");
}

TEST(TreeDrawing, after_a_rollback_the_volume_goes_on_and_what_it_left_branches_off) {
  EXPECT_EQ(names_of(draw_families(entries({{"db@a", 0}, {"db@b", 1}, {"db@before-rollback-1", 2}, {"db", 1}}), true)),
            "db@a\n"
            "│  └─ db@b\n"
            "│     └─ db@before-rollback-1\n"
            "└─ db\n");
}

TEST(TreeDrawing, families_stand_side_by_side_and_nothing_is_drawn_of_nothing) {
  EXPECT_EQ(names_of(draw_families(entries({{"a", 0}, {"b@x", 0}, {"b", 1}}), true)), "a\nb@x\n└─ b\n");
  EXPECT_EQ(draw_families(Json::array(), true), "");
}

TEST(TreeDrawing, a_chain_of_ten_thousand_is_drawn_without_running_out_of_stack_or_memory) {
  Json snapshots = Json::array();
  Json clones = Json::array();
  for (unsigned i = 0; i < 10000; ++i) {
    snapshots.push_back({{"name", fmt::format("db@{}", i)}, {"depth", i}});
    clones.push_back({{"name", fmt::format("c{}@s", i)}, {"depth", 2 * i}});
    clones.push_back({{"name", fmt::format("c{}", i)}, {"depth", 2 * i + 1}});
  }
  EXPECT_LT(draw_families(snapshots, true).size(), size_t{2'000'000});
  EXPECT_LT(draw_families(clones, true).size(), size_t{20'000'000});
}

}  // namespace brindle::cli
