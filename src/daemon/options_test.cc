#include "daemon/options.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace brindle::daemon {

namespace {

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "brindled");
  return parse_options(static_cast<int>(words.size()), words.data());
}

/// A configuration file for as long as it lives, of its own: tests are processes that run beside each other.
class Config {
 public:
  explicit Config(const std::string& text)
      : path_(testing::TempDir() + "brindle-options-test-" + std::to_string(::getpid()) + ".toml") {
    std::ofstream(path_) << text;
  }
  ~Config() { std::remove(path_.c_str()); }
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

}  // namespace

TEST(Options, cores_are_numbers_and_ranges) {
  EXPECT_EQ(*parse_cores("0"), std::vector<int>{0});
  for (const char* wrong : {"", ",", "0,", "-1", "1-0", "a", "0-", "0,0", "99999", "0-1023"}) {
    EXPECT_FALSE(parse_cores(wrong).ok()) << wrong;
  }
}

TEST(Options, several_pools_are_kept_in_order) {
  const Parsed parsed = parse({"--state", "s", "--pool", "a", "--pool", "b"});
  ASSERT_EQ(parsed.kind, Parsed::Kind::run) << parsed.text;
  EXPECT_EQ(parsed.options.pools, (std::vector<std::string>{"a", "b"}));
}

TEST(Options, the_command_line_beats_the_file) {
  const Config config("state = 'file'\nmemory = '64M'\npool = ['x']\npool-size = 1073741824\nhttp = '127.0.0.1:0'\n");
  const Parsed parsed = parse({"--config", config.path(), "--memory", "1G", "--state", "line"});
  ASSERT_EQ(parsed.kind, Parsed::Kind::run) << parsed.text;
  EXPECT_EQ(parsed.options.state, "line");
  EXPECT_EQ(parsed.options.memory, GiB);
  EXPECT_EQ(parsed.options.pools, std::vector<std::string>{"x"});
  EXPECT_EQ(parsed.options.pool_size, std::optional<u64>(GiB));
  EXPECT_EQ(parsed.options.http, "127.0.0.1:0");
}

TEST(Options, a_file_with_a_key_that_is_none_is_refused_with_its_line) {
  const Config config("memory = '64M'\nmemroy = 1\n");
  const Parsed parsed = parse({"--config", config.path()});
  EXPECT_EQ(parsed.kind, Parsed::Kind::usage_error);
  EXPECT_NE(parsed.text.find(":2: the key memroy"), std::string::npos) << parsed.text;
}

TEST(Options, errors_are_one_line) {
  for (const auto& words : std::vector<std::vector<const char*>>{
           {"--what"}, {"--memory"}, {"--memory", "x"}, {"--force"}, {"--pool", ""}, {"--nbd", "x"}, {"--cores", "x"}}) {
    const Parsed parsed = parse(words);
    EXPECT_EQ(parsed.kind, Parsed::Kind::usage_error) << words[0];
    EXPECT_EQ(parsed.text.find('\n'), std::string::npos) << parsed.text;
    EXPECT_FALSE(parsed.text.empty());
  }
}

}  // namespace brindle::daemon
