#include "control/json.h"

#include <gtest/gtest.h>

namespace brindle::control {

TEST(Json, commas_stand_between_values_and_nowhere_else) {
  JsonWriter to;
  to.begin_object().member("a", u64{1}).key("b").begin_array().value(true).null().begin_object().end_object().end_array();
  to.member("c", "x").end_object();
  EXPECT_EQ(to.take(), R"({"a":1,"b":[true,null,{}],"c":"x"})");
}

TEST(Json, a_piece_that_was_taken_is_followed_by_a_comma_where_one_is_due) {
  JsonWriter to;
  to.begin_array().value(u64{1});
  EXPECT_EQ(to.take(), "[1");
  to.value(u64{2}).end_array();
  EXPECT_EQ(to.take(), ",2]");
}

TEST(Json, strings_are_quoted_and_what_is_no_utf8_is_replaced) {
  JsonWriter to;
  to.value(std::string_view("a\"b\\c\n\x01\xc3\xa9\xff\xe2\x82", 12));
  EXPECT_EQ(to.take(), "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  to.value("\xed\xa0\x80");  // a surrogate is no character
  EXPECT_EQ(to.take(), ",\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(Json, the_largest_number_is_written_whole) {
  JsonWriter to;
  to.value(~u64{0});
  EXPECT_EQ(to.take(), "18446744073709551615");
}

TEST(Json, times_are_utc_with_milliseconds) {
  EXPECT_EQ(time_text(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time_text(1'700'000'000'123'456'789), "2023-11-14T22:13:20.123Z");
}

TEST(Json, an_unknown_size_is_null) {
  EntryInfo entry;
  entry.name = "db@s";
  entry.is_snapshot = true;
  entry.volume = "db";
  entry.referenced = 4096;
  entry.labels["k"] = "v";
  JsonWriter to;
  write_entry(to, entry);
  EXPECT_EQ(to.take(),
            R"({"name":"db@s","uuid":"","size":0,"origin":"","created":"1970-01-01T00:00:00.000Z","referenced":4096,)"
            R"("exclusive":null,"clients":0,"volume":"db","protected":false,"labels":{"k":"v"}})");
}

}  // namespace brindle::control
