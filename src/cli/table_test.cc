#include "cli/table.h"

#include <gtest/gtest.h>

namespace brindle::cli {

TEST(Table, columns_align_and_empty_ones_are_left_out) {
  Table table({{"NAME"}, {"SIZE", Align::right}, {"LABELS"}, {"KIND"}, {"CLIENTS", Align::right}});
  table.add({"db", "4.0 KiB", "", "x", "-"});
  table.add({"├─ web", "10 B", "", "", "-"});
  EXPECT_EQ(table.text(),
            "NAME       SIZE  KIND\n"
            "db      4.0 KiB  x\n"
            "├─ web     10 B\n");
}

TEST(Table, values_align_behind_their_keys) {
  EXPECT_EQ(key_values({{"name", "db"}, {"origin", ""}, {"referenced", "0 B"}}), "name        db\nreferenced  0 B\n");
}

}  // namespace brindle::cli
