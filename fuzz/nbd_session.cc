// A whole NBD client against the real server: negotiation and transmission, with an engine behind them.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "fuzz/live.h"
#include "serve/nbd/protocol.h"
#include "serve/nbd/server.h"

namespace brindle {
namespace {

class Exports {
 public:
  Exports() : path_(socket_path()) {
    nbd::ServerOptions options;
    options.unix_path = path_;
    auto server = nbd::Server::listen(live_.engine(), live_.home(), {&live_.home()}, options);
    must(server.ok());
    server_ = std::move(*server);
  }

  /// What waits for a client is known to the kernel alone, and would look like a leak.
  void close() {
    must(call_blocking(live_.home(), [this]() -> Task<Status> {
           co_await server_->close();
           co_return Status{};
         }).ok());
    std::filesystem::remove(path_);
  }

  /// Sends all of it, and reads what comes until the server has ended the connection.
  void converse(Bytes input) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    must(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    // A small input always fits the socket, so nobody waits for the other here.
    static_cast<void>(::send(fd, input.data(), input.size(), MSG_NOSIGNAL));
    shutdown(fd, SHUT_WR);
    char answer[64 * KiB];
    while (recv(fd, answer, sizeof answer, 0) > 0) continue;
    ::close(fd);
  }

 private:
  static std::string socket_path() {
    return std::filesystem::temp_directory_path() / ("brindle-fuzz-" + std::to_string(getpid()));
  }

  std::string path_;
  LiveEngine live_;
  std::unique_ptr<nbd::Server> server_;
};

/// Negotiates `db`, with structured replies where `structured`.
nbd::Message hello(bool structured) {
  nbd::Message to;
  to.put(u32{3});
  if (structured) to.put(nbd::option_magic).put(static_cast<u32>(nbd::Option::structured_reply)).put(u32{0});
  to.put(nbd::option_magic).put(static_cast<u32>(nbd::Option::export_name)).put(u32{2});
  to.put_text("db");
  return to;
}

}  // namespace
}  // namespace brindle

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  static Exports* exports = nullptr;
  if (exports == nullptr) {
    exports = new Exports;
    std::atexit([] { exports->close(); });
  }
  if (size < 1 || size > 32 * KiB) return 0;
  const Bytes rest = input_bytes(data + 1, size - 1);
  std::vector<std::byte> text;
  if (data[0] % 4 != 0) {
    const nbd::Message message = hello(data[0] % 4 == 1);
    text.assign(message.bytes().begin(), message.bytes().end());
  }
  if (data[0] % 4 == 3) {
    // Requests that are well made, so that the engine sees them: magic and small numbers are put in.
    for (size_t at = 0; at + 8 <= rest.size(); at += 8) {
      nbd::Message request;
      const auto word = [&](size_t i) { return static_cast<u32>(rest[at + i]); };
      request.put(nbd::request_magic).put(static_cast<u16>(word(0) % 32)).put(static_cast<u16>(word(1) % 8));
      request.put(u64{at}).put(u64{word(2) << 12 | word(3) << 4 | word(4)}).put(u32{word(5) << 8 | word(6)});
      text.insert(text.end(), request.bytes().begin(), request.bytes().end());
      if (word(1) % 8 == 1) text.resize(text.size() + (word(5) << 8 | word(6)), std::byte{7});
      if (text.size() > 96 * KiB) break;
    }
  } else {
    text.insert(text.end(), rest.begin(), rest.end());
  }
  exports->converse(text);
  return 0;
}
