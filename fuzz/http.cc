// What a client of the control API may send: bytes on a socket, through the parser, the routes and the bodies, to an engine.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "control/api.h"
#include "control/problem.h"
#include "fuzz/live.h"

namespace brindle {
namespace {

/// Requests that come from one client, as many as the input holds.
void converse(control::Api& api, Bytes input) {
  int ends[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const ssize_t sent = ::send(ends[1], input.data(), input.size(), MSG_NOSIGNAL);
  must(sent == static_cast<ssize_t>(input.size()));
  shutdown(ends[1], SHUT_WR);
  control::Connection connection(ends[0]);
  for (int requests = 0; requests < 8; ++requests) {
    control::Request request;
    request.way = static_cast<control::Way>(requests % 3);
    control::Answer answer;
    const auto got = connection.read(request, answer, [] {});
    if (got == control::Connection::Got::nothing) break;
    if (got == control::Connection::Got::refused) {
      must(answer.status >= 400);
      break;
    }
    answer = api.handle(request);
    must(answer.status >= 200 && answer.status < 600);
    must((answer.status >= 400) == answer.problem);
    for (int pieces = 0; answer.more && pieces < 1000 && !answer.more().empty(); ++pieces) continue;
  }
  close(ends[1]);
}

}  // namespace
}  // namespace brindle

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  static LiveEngine& live = *new LiveEngine;
  static control::Api& api = *new control::Api(live.engine(), live.home(), {.version = "fuzz", .nbd = {}, .check = {}});
  if (size < 1 || size > 64 * KiB) return 0;
  // The first byte says whether the rest is a whole conversation or the body of a request that is well made.
  static const char* const heads[] = {"POST /v1/volumes",         "POST /v1/snapshots", "POST /v1/clones",
                                      "POST /v1/rollback",        "POST /v1/delete",    "PATCH /v1/volumes/db",
                                      "PATCH /v1/snapshots/db@s", "POST /v1/pool/grow", "POST /v1/tidy"};
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string text = rest;
  if (data[0] >= 0x80) {
    text = std::string(heads[data[0] % std::size(heads)]) + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
           "Content-Length: " + std::to_string(rest.size()) + "\r\n\r\n" + rest;
  }
  converse(api, std::as_bytes(std::span(text)));
  return 0;
}
