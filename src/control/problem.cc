#include "control/problem.h"

#include "control/json.h"

namespace brindle::control {

namespace {

std::string_view title(Code code) {
  switch (code) {
    case Code::invalid: return "The request makes no sense";
    case Code::not_found: return "There is no such thing";
    case Code::exists: return "The name is taken";
    case Code::busy: return "It is in use";
    case Code::is_protected: return "A protected snapshot";
    case Code::no_space: return "The pool is full";
    case Code::read_only: return "It cannot be changed";
    case Code::io: return "The device failed";
    case Code::corrupt: return "Bytes are damaged";
    case Code::unsupported: return "This build cannot do it";
    case Code::stopping: return "The daemon shuts down";
    case Code::cancelled: return "The work was ended";
  }
  return "Unknown";
}

}  // namespace

unsigned http_status(Code code) {
  switch (code) {
    case Code::invalid: return 400;
    case Code::not_found: return 404;
    case Code::exists:
    case Code::busy:
    case Code::is_protected:
    case Code::read_only: return 409;
    case Code::no_space: return 507;
    case Code::io:
    case Code::corrupt: return 500;
    case Code::unsupported: return 501;
    case Code::stopping:
    case Code::cancelled: return 503;
  }
  return 500;
}

Answer problem(const Error& error, unsigned status) {
  Answer answer;
  answer.status = status != 0 ? status : http_status(error.code);
  answer.problem = true;
  JsonWriter to;
  to.begin_object().member("type", "about:blank").member("title", title(error.code));
  to.member("status", u64{answer.status}).member("detail", error.message).member("code", code_name(error.code));
  to.end_object();
  answer.body = to.take();
  return answer;
}

}  // namespace brindle::control
