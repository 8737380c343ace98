#include "control/body.h"

#include <gtest/gtest.h>

namespace brindle::control {

namespace {

std::string refusal(std::string_view text) {
  auto body = Body::parse(text);
  return body ? "" : body.error().message;
}

}  // namespace

TEST(Body, each_kind_of_value_is_read) {
  auto body = Body::parse(R"({"f": true, "n": "x", "l": ["a", "b"], "o": {"k": "v"}, "s": 8192, "t": "10G"})");
  ASSERT_TRUE(body.ok());
  EXPECT_TRUE(body->flag("f"));
  EXPECT_EQ(body->text("n"), "x");
  EXPECT_EQ(body->texts("l"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(body->labels("o"), (Labels{{"k", "v"}}));
  EXPECT_EQ(body->size("s"), 8192u);
  EXPECT_EQ(body->size("t"), 10 * GiB);
  EXPECT_TRUE(body->finish().ok());
}

TEST(Body, what_is_absent_has_its_default_and_no_body_is_an_empty_one) {
  auto body = Body::parse("");
  ASSERT_TRUE(body.ok());
  EXPECT_FALSE(body->flag("f"));
  EXPECT_EQ(body->text("n"), "");
  EXPECT_TRUE(body->texts("l").empty());
  EXPECT_TRUE(body->finish().ok());
  body->require("n");
  EXPECT_EQ(body->finish().code(), Code::invalid);
}

TEST(Body, a_field_that_nobody_asked_for_is_refused) {
  auto body = Body::parse(R"({"name": "a", "sise": 1})");
  ASSERT_TRUE(body.ok());
  body->text("name");
  EXPECT_NE(body->finish().error().message.find("sise"), std::string::npos);
}

TEST(Body, a_value_of_another_kind_is_refused) {
  auto body = Body::parse(R"({"name": ["a"]})");
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->text("name"), "");
  EXPECT_EQ(body->finish().error().message, "name must be a string");
}

TEST(Body, sizes_are_checked_whichever_way_they_are_written) {
  for (const char* text : {"0", "4097", "\"4097\"", "\"-1\"", "\"1Q\"", "true", "[\"4096\"]", "1125899906846977"}) {
    auto body = Body::parse(std::string(R"({"size": )") + text + "}");
    ASSERT_TRUE(body.ok()) << text;
    EXPECT_EQ(body->size("size"), 0u) << text;
    EXPECT_EQ(body->finish().code(), Code::invalid) << text;
  }
}

TEST(Body, what_is_no_flat_object_is_refused_with_a_reason) {
  EXPECT_NE(refusal("{").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("{} x").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("[]").find("array"), std::string::npos);
  EXPECT_NE(refusal("\"a\"").find("not an object"), std::string::npos);
  EXPECT_NE(refusal("1").find("not an object"), std::string::npos);
  EXPECT_NE(refusal("null").find("null"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": null})").find("null"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": -1})").find("negative"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": 1.5})").find("whole number"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": 99999999999999999999999})").find("whole number"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": 1, "a": 2})").find("twice"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": {"k": "1", "k": "2"}})").find("twice"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": [1]})").find("only strings"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": [["b"]]})").find("list or object in"), std::string::npos);
  EXPECT_NE(refusal(R"({"a": {"k": {}}})").find("list or object in"), std::string::npos);
  EXPECT_NE(refusal("{\"a\": \"\xff\"}").find("not JSON"), std::string::npos);
}

TEST(Body, deep_nesting_ends_at_the_third_level) {
  std::string deep;
  for (int i = 0; i < 200'000; ++i) deep += R"({"a":)";
  EXPECT_NE(refusal(deep).find("list or object in"), std::string::npos);
}

TEST(Body, more_fields_and_strings_than_any_call_has_are_refused) {
  std::string fields = "{";
  for (int i = 0; i < 100; ++i) fields += "\"f" + std::to_string(i) + "\": 1, ";
  EXPECT_NE(refusal(fields + R"("last": 1})").find("too many"), std::string::npos);
  std::string strings = R"({"names": ["")";
  for (int i = 0; i < 200'000; ++i) strings += R"(,"")";
  EXPECT_NE(refusal(strings + "]}").find("more than"), std::string::npos);
}

}  // namespace brindle::control
