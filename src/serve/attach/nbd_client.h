// nbd_client.h: requests to one NBD export, many at once, that survive the loss of the connection.
//
// Holds:  1. A command that was submitted is finished exactly once: with the server's answer, or by fail_all().
//         2. While there is no connection, commands wait; adopt() sends all that are unanswered again, oldest first. The
//            daemon keeps every write that it acknowledged, so those that it answered need no repetition, and a flush
//            sent again covers them.
//         3. An answer "shutting down" counts as no answer.
// Caller: one thread, from its event loop; nothing here blocks.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "serve/attach/nbd_connection.h"

namespace brindle::attach {

class NbdClient;

/// One request. The client owns it from submit() on and destroys it after finish().
class Command {
 public:
  enum class Type : u16 { read = 0, write = 1, disconnect = 2, flush = 3, trim = 4, write_zeroes = 6, block_status = 7 };

  Command(Type type, u64 offset, u32 length) : type_(type), offset_(offset), length_(length) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  /// `error`: an errno, 0 when all went well. May submit others.
  virtual void finish(int error) = 0;

  u64 offset() const { return offset_; }
  u32 length() const { return length_; }

 protected:
  std::byte* data_ = nullptr;  // of a read: where it goes; of a write: what is sent. The command keeps it alive.
  bool all_zero_ = false;      // of a block status: the server says that the whole range reads as zeroes

 private:
  friend class NbdClient;
  Type type_;
  u64 offset_;
  u32 length_;
  int error_ = 0;
  bool sent_ = false;
  bool answered_ = false;      // before it was sent to its end; finished when that is done
  u64 status_bytes_ = 0;       // of a block status: bytes that the answer has covered
  std::byte header_[28];
};

class NbdClient {
 public:
  NbdClient();

  /// Uses this connection from now on.
  void adopt(NbdConnection connection);
  bool connected() const { return connection_.socket.ok(); }
  int socket() const { return connection_.socket.get(); }
  /// Bytes wait for room in the socket: poll for that too.
  bool wants_to_send() const { return !sending_.empty(); }
  /// What was negotiated last.
  const NbdConnection& connection() const { return connection_; }

  void submit(std::unique_ptr<Command> command);
  size_t unanswered() const { return commands_.size(); }

  /// Sends and receives what the socket takes and gives without waiting. True: something moved.
  /// Fails: stopping or invalid; the connection is closed then, and all commands are kept.
  Result<bool> pump();
  /// Closes the connection (politely); commands are kept.
  void drop();
  /// Finishes everything that waits, and closes the connection.
  void fail_all(int error);

 private:
  void enqueue(u64 cookie, Command& command);
  Status send_some(bool& moved);
  Status receive_some(bool& moved);
  Status take_header();
  Status take_simple();
  Status take_chunk();
  void chunk_ends();
  Status expect_payload(std::byte* into, u64 length);
  Command* find(u64 cookie);
  void answer(u64 cookie, int error);
  void complete(u64 cookie);

  NbdConnection connection_;
  std::map<u64, std::unique_ptr<Command>> commands_;  // by cookie, which is also their age
  u64 next_cookie_ = 1;

  std::deque<u64> sending_;    // cookies; the front one may be sent in part
  size_t front_sent_ = 0;      // bytes of it

  std::vector<std::byte> inbox_;
  size_t inbox_begin_ = 0, inbox_end_ = 0;
  std::byte* payload_ = nullptr;  // where the answer's payload goes on; nullptr: it is gathered in side_
  u64 payload_left_ = 0;
  std::vector<std::byte> side_;   // small payloads: errors, block status
  u64 cookie_ = 0;                // whose answer is being received
  u16 chunk_kind_ = 0;
  bool chunk_last_ = false;
  bool in_chunk_ = false;
  bool shutting_down_ = false;    // the server said so
};

}  // namespace brindle::attach
