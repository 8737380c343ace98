// check.h: assertions that stay in release builds. CHECK means "our bug"; bytes from wire or disk never reach it.
#pragma once

#include <string_view>

namespace brindle {

[[noreturn]] void check_failed(const char* expression, const char* file, int line, std::string_view note = {});

}  // namespace brindle

#define CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::brindle::check_failed(#expression, __FILE__, __LINE__))
#define CHECK_NOTE(expression, note) \
  ((expression) ? static_cast<void>(0) : ::brindle::check_failed(#expression, __FILE__, __LINE__, note))
