#include "base/state_dir.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace brindle {

TEST(StateDir, an_installed_program_uses_var_lib_and_a_built_one_the_current_folder) {
  EXPECT_EQ(default_state_dir("/usr/bin/brindle"), "/var/lib/brindle");
  EXPECT_EQ(default_state_dir("/usr/local/sbin/brindled"), "/var/lib/brindle");
  EXPECT_EQ(default_state_dir("/home/me/brindle/build/brindle"), "./.brindle");
  EXPECT_EQ(default_state_dir(""), "./.brindle");
}

TEST(StateDir, what_was_given_beats_the_environment_which_beats_the_default) {
  ::setenv("BRINDLE_STATE", "/tmp/from-environment", 1);
  EXPECT_EQ(state_dir("/tmp/given"), "/tmp/given");
  EXPECT_EQ(state_dir(""), "/tmp/from-environment");
  ::setenv("BRINDLE_STATE", "", 1);
  EXPECT_EQ(state_dir(""), "./.brindle");
  ::unsetenv("BRINDLE_STATE");
  EXPECT_EQ(state_dir(""), "./.brindle");
}

}  // namespace brindle
