// empty_server.cc: an NBD server that only parses requests and copies to and from memory: the most that the protocol allows.
//
// empty_server --socket PATH [--size BYTES] [--sleep]
//
// One thread, one client at a time; it takes all that the socket holds with one call and answers with one. It polls, as the
// client that measures it does; with --sleep it waits in the kernel instead. A flush is answered at once. There is one export.
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "serve/nbd/protocol.h"

namespace {

using namespace brindle;
using namespace brindle::nbd;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "empty_server: %s\n", message.c_str());
  std::exit(1);
}

constexpr u64 inbox_bytes = 2 * MiB;

class Client {
 public:
  Client(int fd, std::byte* memory, u64 size, bool sleeps)
      : fd_(fd), memory_(memory), size_(size), flags_(sleeps ? 0 : MSG_DONTWAIT), inbox_(inbox_bytes) {}

  bool negotiate() {
    Message hello;
    hello.put_text("NBDMAGIC").put(option_magic).put(u16{3});
    if (!send_all(hello.bytes()) || !recv_all(4)) return false;
    for (;;) {
      if (!recv_all(16)) return false;
      const u32 option = get<u32>(inbox_.data() + 8);
      const u32 length = get<u32>(inbox_.data() + 12);
      if (length > inbox_.size() || !recv_all(length)) return false;
      Message answer;
      if (option == static_cast<u32>(Option::export_name)) {
        answer.put(size_).put(flags());
        return send_all(answer.bytes());
      }
      if (option == static_cast<u32>(Option::go)) {
        Message info;
        info.put(u16{0}).put(size_).put(flags());
        answer.reply(option, OptionReply::info, info.bytes());
        answer.reply(option, OptionReply::ack);
        return send_all(answer.bytes());
      }
      answer.reply(option, OptionReply::unsupported);
      if (!send_all(answer.bytes())) return false;
    }
  }

  void serve() {
    u64 held = 0;
    for (;;) {
      const ssize_t got = recv(fd_, inbox_.data() + held, inbox_.size() - held, flags_);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) return;
      held += static_cast<u64>(got);
      u64 at = 0;
      while (held - at >= request_bytes) {
        const auto request = parse_request(inbox_.data() + at);
        if (!request || request->is(Command::disconnect)) return;
        const bool data = request->is(Command::write) || request->is(Command::read);
        if (data && (request->length > size_ || request->offset > size_ - request->length)) return;
        const u64 payload = request->is(Command::write) ? request->length : 0;
        if (held - at < request_bytes + payload) break;
        at += request_bytes;
        std::memcpy(memory_ + request->offset, inbox_.data() + at, payload);
        at += payload;
        answer(*request);
      }
      std::memmove(inbox_.data(), inbox_.data() + at, held - at);
      held -= at;
      if (!send_all({outbox_.data(), outbox_.size()})) return;
      outbox_.clear();
    }
  }

 private:
  static u16 flags() { return 1 | 1 << 2 | 1 << 3; }  // flags are there, flush, FUA

  void answer(const Request& request) {
    const u64 length = request.is(Command::read) ? request.length : 0;
    const size_t before = outbox_.size();
    outbox_.resize(before + simple_reply_bytes + length);
    std::byte* const to = put_simple_reply(outbox_.data() + before, WireError::none, request.cookie);
    std::memcpy(to, memory_ + request.offset, length);
  }
  bool recv_all(u64 bytes) {
    return bytes == 0 || recv(fd_, inbox_.data(), bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
  }
  bool send_all(Bytes bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
  }

  int fd_;
  std::byte* memory_;
  u64 size_;
  int flags_;
  std::vector<std::byte> inbox_;
  std::vector<std::byte> outbox_;
};

}  // namespace

int main(int count, char** words) {
  std::string path;
  u64 size = GiB;
  bool sleeps = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--sleep") sleeps = true;
    else if (i + 1 == count) fail(word + " needs a value, or is no option");
    else if (word == "--socket") path = words[++i];
    else if (word == "--size") size = std::strtoull(words[++i], nullptr, 10);
    else fail("no such option: " + word);
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) fail("--socket PATH, and not too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("no memory");
  madvise(memory, size, MADV_HUGEPAGE);
  std::memset(memory, 0, size);  // the first touch is the machine's cost
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listening, 8) != 0) {
    fail("cannot listen on " + path);
  }
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) {
    const int fd = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    Client client(fd, static_cast<std::byte*>(memory), size, sleeps);
    if (client.negotiate()) client.serve();
    close(fd);
  }
}
