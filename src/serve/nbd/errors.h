// errors.h: what an engine's error is called on an NBD wire. The only place that knows.
#pragma once

#include "base/result.h"
#include "serve/nbd/protocol.h"

namespace brindle::nbd {

/// `writing`: a range beyond the end is ENOSPC for what writes and EINVAL for the rest, as the document wants.
WireError wire_error(Code code, bool writing);

}  // namespace brindle::nbd
