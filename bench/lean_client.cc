// lean_client.cc: an NBD client that costs little: it sends and receives in batches and can poll, so that fast servers can be
// told apart where other clients are the limit.
//
// lean_client (--unix PATH | --tcp HOST:PORT) [--export NAME] [--rw read|write|flush] [--depth N] [--block BYTES]
//             [--seconds S] [--area BYTES] [--sequential] [--sleep]
//
// Prints requests a second and the latency's p50 and p99. `flush`: each write is followed by a flush, at depth 1.
// It polls its socket, as the measured server does, unless --sleep.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "serve/nbd/protocol.h"

namespace {

using namespace brindle;
using namespace brindle::nbd;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "lean_client: %s\n", message.c_str());
  std::exit(1);
}

u64 now_ns() {
  return static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch().count());
}

struct Options {
  std::string unix_path, tcp, name, rw = "write";
  u64 depth = 1, block = 4096, seconds = 3, area = 0;
  bool sequential = false, sleep = false;
};

Options parse(int count, char** words) {
  Options options;
  std::map<std::string, std::string*> texts{
      {"--unix", &options.unix_path}, {"--tcp", &options.tcp}, {"--export", &options.name}, {"--rw", &options.rw}};
  std::map<std::string, u64*> numbers{
      {"--depth", &options.depth}, {"--block", &options.block}, {"--seconds", &options.seconds}, {"--area", &options.area}};
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--sequential") options.sequential = true;
    else if (word == "--sleep") options.sleep = true;
    else if (i + 1 == count) fail(word + " needs a value");
    else if (texts.count(word) != 0) *texts[word] = words[++i];
    else if (numbers.count(word) != 0) *numbers[word] = std::strtoull(words[++i], nullptr, 10);
    else fail("no such option: " + word);
  }
  return options;
}

int connect_to(const Options& options) {
  if (!options.unix_path.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options.unix_path.size() >= sizeof address.sun_path) fail("the path is too long");
    std::memcpy(address.sun_path, options.unix_path.data(), options.unix_path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
    return fd;
  }
  const size_t colon = options.tcp.rfind(':');
  if (colon == std::string::npos) fail("--tcp HOST:PORT");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(options.tcp.substr(0, colon).c_str(), options.tcp.substr(colon + 1).c_str(), &hints, &found) != 0) {
    fail("no such address");
  }
  const int fd = socket(found->ai_family, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) fail("cannot connect");
  freeaddrinfo(found);
  return fd;
}

void read_all(int fd, void* into, size_t size) {
  if (recv(fd, into, size, MSG_WAITALL) != static_cast<ssize_t>(size)) fail("the server hung up");
}

/// Returns the export's size.
u64 negotiate(int fd, const std::string& name) {
  std::byte hello[18];
  read_all(fd, hello, sizeof hello);
  Message message;
  message.put(u32{3}).put(option_magic).put(static_cast<u32>(Option::export_name)).put(static_cast<u32>(name.size()));
  message.put_text(name);
  if (write(fd, message.bytes().data(), message.size()) < 0) fail("the server hung up");
  std::byte answer[10];
  read_all(fd, answer, sizeof answer);
  return get<u64>(answer);
}

class Client {
 public:
  Client(const Options& options, int fd, u64 size)
      : options_(options),
        fd_(fd),
        blocks_((options.area != 0 ? std::min(options.area, size) : size) / options.block),
        rng_(now_ns()),
        begun_(options.depth),
        payload_(options.block),
        inbox_(4 * MiB) {
    for (auto& byte : payload_) byte = static_cast<std::byte>(rng_.next());
    for (u64 i = 0; i < options.depth; ++i) idle_.push_back(i);
  }

  void run() {
    const u64 from = now_ns();
    const u64 until = from + options_.seconds * 1'000'000'000;
    const u64 warm_until = from + 300'000'000;
    u64 measured_from = 0;
    while (now_ns() < until) {
      if (measured_from == 0 && now_ns() > warm_until) {
        measured_from = now_ns();
        latencies_.clear();
      }
      begin();
      receive();
    }
    const double seconds = static_cast<double>(now_ns() - measured_from) / 1e9;
    std::sort(latencies_.begin(), latencies_.end());
    if (latencies_.empty()) fail("nothing was answered");
    const auto at = [&](double part) {
      return static_cast<double>(latencies_[static_cast<size_t>(part * static_cast<double>(latencies_.size() - 1))]) / 1e3;
    };
    std::printf("%s depth %llu block %llu: %.0f/s, p50 %.1f us, p99 %.1f us\n", options_.rw.c_str(),
                static_cast<unsigned long long>(options_.depth), static_cast<unsigned long long>(options_.block),
                static_cast<double>(latencies_.size()) / seconds, at(0.5), at(0.99));
  }

 private:
  /// Sends a request on every idle place.
  void begin() {
    if (idle_.empty()) return;
    heads_.resize(idle_.size() * request_bytes);
    vectors_.clear();
    const u64 now = now_ns();
    std::byte* to = heads_.data();
    for (const u64 place : idle_) {
      const bool flush = options_.rw == "flush" && (flips_++ % 2) == 1;
      const bool reads = options_.rw == "read";
      const u64 block = options_.sequential ? next_++ % blocks_ : rng_.below(blocks_);
      std::byte* const head = to;
      to = put(to, request_magic);
      to = put(to, u16{0});
      to = put(to, static_cast<u16>(flush ? Command::flush : reads ? Command::read : Command::write));
      to = put(to, place);
      to = put(to, flush ? u64{0} : block * options_.block);
      to = put(to, flush ? u32{0} : static_cast<u32>(options_.block));
      vectors_.push_back({head, request_bytes});
      if (!reads && !flush) vectors_.push_back({payload_.data(), payload_.size()});
      begun_[place] = now;
    }
    idle_.clear();
    size_t first = 0;
    while (first < vectors_.size()) {
      msghdr message{};
      message.msg_iov = vectors_.data() + first;
      message.msg_iovlen = std::min<size_t>(vectors_.size() - first, 1024);
      const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (sent < 0) fail("the server hung up");
      auto left = static_cast<size_t>(sent);
      while (first < vectors_.size() && left >= vectors_[first].iov_len) left -= vectors_[first++].iov_len;
      if (left > 0) {
        vectors_[first].iov_base = static_cast<std::byte*>(vectors_[first].iov_base) + left;
        vectors_[first].iov_len -= left;
      }
    }
  }

  void receive() {
    for (;;) {
      const ssize_t got = recv(fd_, inbox_.data() + held_, inbox_.size() - held_, options_.sleep ? 0 : MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) fail("the server hung up");
      held_ += static_cast<u64>(got);
      break;
    }
    const u64 now = now_ns();
    const u64 size = simple_reply_bytes + (options_.rw == "read" ? options_.block : 0);
    u64 at = 0;
    for (; held_ - at >= size; at += size) {
      if (get<u32>(inbox_.data() + at) != simple_reply_magic) fail("not a reply");
      if (get<u32>(inbox_.data() + at + 4) != 0) fail("an error: " + std::to_string(get<u32>(inbox_.data() + at + 4)));
      const u64 place = get<u64>(inbox_.data() + at + 8);
      latencies_.push_back(now - begun_[place]);
      idle_.push_back(place);
    }
    std::memmove(inbox_.data(), inbox_.data() + at, held_ - at);
    held_ -= at;
  }

  Options options_;
  int fd_;
  u64 blocks_;
  Rng rng_;
  std::vector<u64> begun_;
  std::vector<u64> idle_;
  std::vector<u64> latencies_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> heads_;
  std::vector<iovec> vectors_;
  std::vector<std::byte> inbox_;
  u64 held_ = 0;
  u64 next_ = 0;
  u64 flips_ = 0;
};

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  const int fd = connect_to(options);
  const u64 size = negotiate(fd, options.name);
  Client(options, fd, size).run();
  return 0;
}
