#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace brindle {

void check_failed(const char* expression, const char* file, int line, std::string_view note) {
  std::fprintf(stderr, "brindle: a promise of the program to itself is broken: %s at %s:%d %.*s\n", expression, file,
               line, static_cast<int>(note.size()), note.data());
  std::abort();
}

}  // namespace brindle
