#include "cli/client.h"

#include <fmt/format.h>

#include "cli/failure.h"

namespace brindle::cli {

namespace {

/// RFC 9457: `detail` says what went wrong this time, `title` what kind it is. `code` is ours.
[[noreturn]] void refuse_problem(unsigned status, const Json& problem) {
  std::string code = "io";
  std::string message;
  if (problem.is_object()) {
    code = problem.value("code", code);
    message = problem.value("detail", problem.value("title", ""));
  }
  if (message.empty()) message = fmt::format("the daemon answered with HTTP status {}: look at its log", status);
  throw Failure(Exit::refused, code, message);
}

std::string dumped(const Json& body) {
  try {
    return body.dump();
  } catch (const Json::type_error&) {
    refuse(Code::invalid, "a name or a label is not text (UTF-8)");
  }
}

}  // namespace

Json Client::call(const std::string& method, const std::string& target, const std::string& body) const {
  const HttpAnswer answer = http_.request(method, target, body, patience_);
  Json document = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (answer.status < 200 || answer.status > 299) refuse_problem(answer.status, document);
  if (document.is_discarded()) {
    refuse(Code::io, fmt::format("the daemon's answer to {} {} is not JSON: is what runs there of the same version?",
                                 method, target));
  }
  return document;
}

Json Client::get(const std::string& path, const Query& query) const {
  std::string target = path;
  for (const auto& [key, value] : query) {
    target += fmt::format("{}{}={}", target.size() == path.size() ? '?' : '&', url_encode(key), url_encode(value));
  }
  return call("GET", target, "");
}

Json Client::post(const std::string& path, const Json& body) const { return call("POST", path, dumped(body)); }
Json Client::patch(const std::string& path, const Json& body) const { return call("PATCH", path, dumped(body)); }
Json Client::remove(const std::string& path) const { return call("DELETE", path, ""); }

std::string path_of(const std::string& name) {
  // '@' may stand in a path as it is (RFC 3986, section 3.3), and names hold nothing else that would need encoding.
  return (name.find('@') == std::string::npos ? "/v1/volumes/" : "/v1/snapshots/") + name;
}

}  // namespace brindle::cli
