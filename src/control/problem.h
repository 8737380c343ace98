// problem.h: the one place where an error becomes an HTTP answer: application/problem+json, RFC 9457.
#pragma once

#include "base/result.h"
#include "control/http.h"

namespace brindle::control {

unsigned http_status(Code code);
/// `status` where HTTP has one that says more than the code's own.
Answer problem(const Error& error, unsigned status = 0);

}  // namespace brindle::control
