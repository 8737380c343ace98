// wire.h: a server process of its own for each test, and a client that sends exactly the bytes that a test wants.
//
// Holds:  whatever the client waits for, it waits at most ten seconds for it; then the test fails.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "serve/nbd/protocol.h"

namespace brindle::wire {

using namespace brindle::nbd;

/// A folder of its own under /tmp, removed with all that is in it.
class Folder {
 public:
  Folder();
  ~Folder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class Server {
 public:
  /// Starts it on `socket` and waits until it is ready. `arguments` as wire_serve takes them.
  Server(const std::string& socket, std::vector<std::string> arguments);
  ~Server();
  /// SIGTERM; returns its exit status.
  int stop();
  void kill();
  /// What it printed after `ready`.
  const std::string& ready() const { return ready_; }
  /// All it printed once it has stopped.
  const std::string& output() const { return output_; }
  bool runs() const { return pid_ > 0; }
  u64 resident_bytes() const;
  u64 processor_ns() const;

 private:
  int wait();
  std::string ready_;
  std::string output_;
  pid_t pid_ = -1;
  int from_ = -1;
};

struct Reply {
  bool structured = false;
  u16 flags = 0;
  u16 type = 0;
  u32 error = 0;
  u64 cookie = 0;
  std::string data;  // a chunk's payload; of a simple reply what was asked for
  bool none = false; // the server hung up
};

class Client {
 public:
  explicit Client(const std::string& socket);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // --- bytes
  void send(const Message& message) { send(message.bytes()); }
  void send(Bytes bytes);
  /// As many bytes as there come until the server hangs up, at most `size`.
  std::string receive(size_t size);
  /// True once the server has hung up; what it sends before is thrown away.
  bool hung_up();
  int fd() const { return fd_; }
  void close();

  // --- negotiation
  /// The server's greeting, and our flags.
  void greet(u32 flags = 3);
  void option(Option option, Bytes data = {}) { raw_option(static_cast<u32>(option), data); }
  void raw_option(u32 option, Bytes data = {});
  struct OptionAnswer {
    u32 option = 0;
    OptionReply type{};
    std::string data;
  };
  OptionAnswer option_answer();
  /// Up to and with the last one: an ack or an error.
  std::vector<OptionAnswer> option_answers();
  static Message info_data(const std::string& name, std::vector<u16> wanted = {});
  static Message meta_data(const std::string& name, std::vector<std::string> queries);
  /// Straight into transmission.
  void open(const std::string& name, bool structured = false);

  // --- transmission
  static Message request(Command command, u64 cookie, u64 offset, u32 length, u16 flags = 0);
  void ask(Command command, u64 cookie, u64 offset, u32 length, u16 flags = 0) {
    send(request(command, cookie, offset, length, flags));
  }
  void write(u64 cookie, u64 offset, const std::string& bytes, u16 flags = 0);
  /// `read_length`: payload of a simple reply without an error.
  Reply reply(u64 read_length = 0);
  /// One write, answered without an error.
  void put(u64 offset, const std::string& bytes);
  std::string get(u64 offset, u32 length);

 private:
  int fd_ = -1;
};

/// Bytes that are not zero and differ from place to place.
std::string pattern(u64 seed, size_t size);
std::string executable();

/// A server with volumes db (64 MiB, with snapshot db@monday) and other (1 MiB).
class WireTest : public testing::Test {
 protected:
  explicit WireTest(std::vector<std::string> more = {});
  Folder folder;
  std::string socket;
  Server server;
};

}  // namespace brindle::wire
