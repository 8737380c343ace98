// lean_client.cc: an NBD client that costs little: it sends and receives in batches and can poll, so that fast servers can be
// told apart where other clients are the limit.
//
// lean_client (--unix PATH | --tcp HOST:PORT) [--export NAME] [--rw read|write|mixed|flush] [--depth N] [--block BYTES]
//             [--ms MS] [--warm-ms MS] [--area BYTES] [--pattern random|sequential|spread|dense] [--seed N]
//             [--reads PERCENT] [--flush-every N] [--fua] [--once] [--json] [--sleep]
//
// `mixed`: so many percent of reads (50). `--flush-every N`: a flush follows every N writes, as a request of its own.
// `flush` is short for `write --flush-every 1` at depth 1. `--once`: ends when the pattern has been everywhere once.
// It polls its socket, as the measured server does, unless --sleep. Flushes are not counted as requests.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "measure.h"
#include "pattern.h"
#include "serve/nbd/protocol.h"

namespace {

using namespace brindle;
using namespace brindle::bench;
using namespace brindle::nbd;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "lean_client: %s\n", message.c_str());
  std::exit(1);
}

struct Options {
  std::string unix_path, tcp, name, rw = "write", pattern = "random";
  u64 depth = 1, block = block_size, ms = 3000, warm_ms = 300, area = 0, seed = 0, reads = 50, flush_every = 0;
  bool sleep = false, fua = false, once = false, json = false;
};

Options parse(int count, char** words) {
  Options options;
  const std::map<std::string, std::string*> texts{{"--unix", &options.unix_path},
                                                  {"--tcp", &options.tcp},
                                                  {"--export", &options.name},
                                                  {"--rw", &options.rw},
                                                  {"--pattern", &options.pattern}};
  const std::map<std::string, u64*> numbers{{"--depth", &options.depth}, {"--block", &options.block},
                                            {"--ms", &options.ms},       {"--warm-ms", &options.warm_ms},
                                            {"--area", &options.area},   {"--seed", &options.seed},
                                            {"--reads", &options.reads}, {"--flush-every", &options.flush_every}};
  const std::map<std::string, bool*> flags{
      {"--sleep", &options.sleep}, {"--fua", &options.fua}, {"--once", &options.once}, {"--json", &options.json}};
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (flags.count(word) != 0) *flags.at(word) = true;
    else if (i + 1 == count) fail(word + " needs a value, or is no option");
    else if (texts.count(word) != 0) *texts.at(word) = words[++i];
    else if (numbers.count(word) != 0) *numbers.at(word) = std::strtoull(words[++i], nullptr, 10);
    else fail("no such option: " + word);
  }
  if (options.rw == "flush") options.flush_every = options.depth = 1;
  if (options.rw != "mixed") options.reads = options.rw == "read" ? 100 : 0;
  if (!parse_pattern(options.pattern)) fail("no such pattern: " + options.pattern);
  if (options.seed == 0) options.seed = now_ns();
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
        units_((options.area != 0 ? std::min(options.area, size) : size) / options.block),
        places_(*parse_pattern(options.pattern), units_ * options.block, options.block, options.seed),
        rng_(options.seed),
        under_way_(options.depth),
        payload_(options.block),
        // All replies that can be there at once: while requests are sent nobody looks into it.
        inbox_(std::max<u64>(4 * MiB, options.depth * (options.block + simple_reply_bytes))) {
    if (options.once && options.pattern == "spread") units_ /= std::max<u64>(1, 64 * KiB / options.block);
    if (units_ == 0) fail("the export is smaller than a request");
    for (auto& byte : payload_) byte = static_cast<std::byte>(rng_.next());
    for (u64 i = 0; i < options.depth; ++i) idle_.push_back(i);
  }

  void run() {
    const u64 from = now_ns();
    const u64 until = from + options_.ms * 1'000'000;
    const u64 warm_until = from + options_.warm_ms * 1'000'000;
    bool measuring = options_.warm_ms == 0;
    measure_.begin(from);
    while (now_ns() < until && !(finished() && idle_.size() == options_.depth)) {
      if (!measuring && now_ns() > warm_until) {
        measuring = true;
        measure_.begin(now_ns());
      }
      begin();
      receive();
    }
    measure_.end(now_ns());
    if (!measuring || measure_.count() == 0) fail("nothing was answered in time");
    if (options_.json) {
      std::printf("{\"rw\": \"%s\", \"depth\": %llu, \"block\": %llu, %s}\n", options_.rw.c_str(),
                  static_cast<unsigned long long>(options_.depth), static_cast<unsigned long long>(options_.block),
                  measure_.json().c_str());
    } else {
      std::printf("%s depth %llu block %llu: %.0f/s, p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n", options_.rw.c_str(),
                  static_cast<unsigned long long>(options_.depth), static_cast<unsigned long long>(options_.block),
                  measure_.per_second(), measure_.at(0.5), measure_.at(0.99), measure_.at(0.999));
    }
  }

 private:
  struct Place {
    u64 begun = 0;
    Command command = Command::write;
  };

  bool finished() const { return options_.once && begun_ >= units_; }

  Command next_command() {
    if (flush_due_) {
      flush_due_ = false;
      return Command::flush;
    }
    if (options_.reads == 100 || (options_.reads > 0 && rng_.below(100) < options_.reads)) return Command::read;
    if (options_.flush_every > 0 && ++writes_ % options_.flush_every == 0) flush_due_ = true;
    return Command::write;
  }

  /// Sends a request on every idle place.
  void begin() {
    if (idle_.empty() || finished()) return;
    heads_.resize(idle_.size() * request_bytes);
    vectors_.clear();
    const u64 now = now_ns();
    std::byte* to = heads_.data();
    while (!idle_.empty() && !finished()) {
      const u64 place = idle_.back();
      idle_.pop_back();
      const Command command = next_command();
      const bool flush = command == Command::flush;
      if (!flush) ++begun_;
      std::byte* const head = to;
      to = put(to, request_magic);
      to = put(to, options_.fua && command == Command::write ? flag_fua : u16{0});
      to = put(to, static_cast<u16>(command));
      to = put(to, place);
      to = put(to, flush ? u64{0} : places_.next() * options_.block);
      to = put(to, flush ? u32{0} : static_cast<u32>(options_.block));
      vectors_.push_back({head, request_bytes});
      if (command == Command::write) vectors_.push_back({payload_.data(), payload_.size()});
      under_way_[place] = {now, command};
    }
    size_t first = 0;
    while (first < vectors_.size()) {
      msghdr message{};
      message.msg_iov = vectors_.data() + first;
      message.msg_iovlen = std::min<size_t>(vectors_.size() - first, 1024);
      // Without blocking, since a server whose replies nobody takes may stop reading.
      const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) {
        take();
        continue;
      }
      if (sent < 0) fail("the server hung up");
      auto left = static_cast<size_t>(sent);
      while (first < vectors_.size() && left >= vectors_[first].iov_len) left -= vectors_[first++].iov_len;
      if (left > 0) {
        vectors_[first].iov_base = static_cast<std::byte*>(vectors_[first].iov_base) + left;
        vectors_[first].iov_len -= left;
      }
    }
  }

  /// Brings what the socket holds into the inbox. False: it holds nothing.
  bool take() {
    if (held_ == inbox_.size()) return false;
    const ssize_t got = recv(fd_, inbox_.data() + held_, inbox_.size() - held_, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) fail("the server hung up");
    held_ += static_cast<u64>(got);
    return true;
  }

  void receive() {
    if (options_.sleep && held_ < inbox_.size()) {
      const ssize_t got = recv(fd_, inbox_.data() + held_, inbox_.size() - held_, 0);
      if (got <= 0) fail("the server hung up");
      held_ += static_cast<u64>(got);
    } else {
      while (held_ < inbox_.size() && !take()) {
      }
    }
    const u64 now = now_ns();
    u64 at = 0;
    while (held_ - at >= simple_reply_bytes) {
      if (get<u32>(inbox_.data() + at) != simple_reply_magic) fail("not a reply");
      if (get<u32>(inbox_.data() + at + 4) != 0) fail("an error: " + std::to_string(get<u32>(inbox_.data() + at + 4)));
      const u64 place = get<u64>(inbox_.data() + at + 8);
      const Place& done = under_way_[place];
      const u64 size = simple_reply_bytes + (done.command == Command::read ? options_.block : 0);
      if (held_ - at < size) break;
      if (done.command != Command::flush) measure_.add(now - done.begun);
      idle_.push_back(place);
      at += size;
    }
    std::memmove(inbox_.data(), inbox_.data() + at, held_ - at);
    held_ -= at;
  }

  Options options_;
  int fd_;
  u64 units_;
  Places places_;
  Rng rng_;
  std::vector<Place> under_way_;
  std::vector<u64> idle_;
  Measure measure_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> heads_;
  std::vector<iovec> vectors_;
  std::vector<std::byte> inbox_;
  u64 held_ = 0;
  u64 begun_ = 0;
  u64 writes_ = 0;
  bool flush_due_ = false;
};

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  const int fd = connect_to(options);
  const u64 size = negotiate(fd, options.name);
  Client(options, fd, size).run();
  return 0;
}
