#include "serve/nbd/errors.h"

namespace brindle::nbd {

WireError wire_error(Code code, bool writing) {
  switch (code) {
    case Code::invalid: return writing ? WireError::no_space : WireError::invalid;  // outside of the export
    case Code::no_space: return WireError::no_space;
    case Code::read_only: return WireError::perm;
    case Code::is_protected: return WireError::perm;
    case Code::unsupported: return WireError::not_supported;
    case Code::stopping: return WireError::shutdown;
    case Code::cancelled: return WireError::shutdown;
    case Code::not_found:  // deleted by force under the client
    case Code::exists:
    case Code::busy:
    case Code::io:
    case Code::corrupt: return WireError::io;
  }
  return WireError::io;
}

}  // namespace brindle::nbd
