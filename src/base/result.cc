#include "base/result.h"

namespace brindle {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::invalid: return "invalid";
    case Code::not_found: return "not_found";
    case Code::exists: return "exists";
    case Code::busy: return "busy";
    case Code::is_protected: return "protected";
    case Code::no_space: return "no_space";
    case Code::read_only: return "read_only";
    case Code::io: return "io";
    case Code::corrupt: return "corrupt";
    case Code::unsupported: return "unsupported";
    case Code::stopping: return "stopping";
    case Code::cancelled: return "cancelled";
  }
  return "unknown";
}

}  // namespace brindle
