// connection.h: one client, from its first byte to its last.
//
// Once it has agreed on a volume it goes on at the worker of that volume, as a new Connection with the same socket.
//
// negotiate.cc  what it wants          receive.cc  its requests, many at a time
// requests.cc   what each one does     send.cc     the replies of a turn, sent together
//
// Holds:  1. A write reaches the engine only when its whole payload has arrived.
//         2. Requests and payload bytes under way are bounded (limits.h); beyond that the socket is not read.
//         3. When `run` returns, no request of this client is under way, and its volume is given back.
// Caller: the worker's core.
#pragma once

#include <array>

#include "serve/nbd/outbox.h"
#include "serve/nbd/protocol.h"
#include "serve/nbd/worker.h"

namespace brindle::nbd {

/// A request under way: a coroutine that nobody awaits. Connection::under_way_ counts them, and `run` waits for them.
struct Served {
  struct promise_type : frames::Pooled {
    Served get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    void return_void() const noexcept {}
  };
};

class Connection {
 public:
  Connection(Worker& worker, int fd);
  /// One that another worker negotiated.
  Connection(Worker& worker, Agreed agreed);
  ~Connection();

  Task<void> run();
  /// Takes no more requests; what is under way is answered.
  void end();
  /// Answers nothing any more.
  void hang_up();

  bool negotiating() const { return negotiating_; }
  u64 since_ns() const { return moved_ns_; }
  /// Others have waited for shared memory for another `since_ns`. True: this one has held some for Limits::stall_ns of such time in which
  /// it waited for its client alone, and that moved fewer than Limits::stall_bytes.
  bool hardly_moves(u64 since_ns);
  /// Memory came free that this connection waits for.
  void room_made() { room_.notify_all(); }

 private:
  /// What a request was charged, of its connection's own memory or of the shared one.
  struct Charge {
    u64 own = 0;
    u64 shared = 0;
  };

  Task<void> serve();
  Task<bool> move_to(Worker& worker);

  // negotiate.cc
  enum class Next : u8 { option, transmission, end };
  Task<bool> negotiate();
  Task<bool> read_all(MutBytes into);
  Task<bool> skip_option(u64 bytes);
  Task<bool> send_all(Bytes from);
  Task<Next> answer_option(OptionHeader header, std::vector<std::byte> data);
  Task<Next> export_name(std::vector<std::byte> data);
  Task<Next> info_or_go(u32 option, std::vector<std::byte> data);
  Task<Next> list(u32 option);
  Task<Next> meta_context(u32 option, std::vector<std::byte> data);
  Task<Next> send_message(Next next);
  Task<Result<Export>> find_export(std::string name, bool open);
  void adopt(Export found);
  u16 export_flags(bool read_only) const;

  // receive.cc
  Task<void> receive();
  Task<bool> wait_for_bytes();
  Task<bool> take_requests(Bytes bytes);
  bool try_admit(u64 bytes, Charge& charge);
  Task<bool> admit(u64 bytes, Charge& charge);
  void payload_arrived();

  // requests.cc
  void dispatch(Request request, Charge charge);
  Served serve_read(Request request, Charge charge);
  Served serve_write(Request request, Buffer data, Charge charge);
  Served serve_other(Request request, Charge charge);
  Task<Status> write_zeroes(Request request);
  Task<Status> warm(Request request);
  Task<Status> block_status(Request request, Charge charge);
  template <class Make>
  auto at_home(Make make);
  void answer(const Request& request, const Status& status, Charge charge);
  void answer_error(const Request& request, WireError error, std::string_view message);
  void answer_read(const Request& request, Buffer data, Charge charge);
  void put_read_chunks(const Request& request, const std::byte* data);
  void one_done();

  // send.cc
  Task<void> send_replies();
  Task<bool> send_outbox();
  void release(Charge charge);

  Worker& worker_;
  Reactor& core_;
  int fd_;
  bool negotiating_ = true;
  bool ending_ = false;   // no more requests are read
  bool broken_ = false;   // nothing more is sent
  u64 moved_ns_;          // when the client last sent or took something
  u64 moved_bytes_ = 0;   // that it has sent and taken
  u64 held_up_ns_ = 0;    // for so long others have waited for what this client holds, and does not use
  u64 held_up_from_ = 0;  // its moved_bytes_ when that began

  // what was agreed
  bool no_zeroes_ = false;
  bool structured_ = false;
  bool read_only_ = false;
  bool has_context_ = false;
  std::string context_name_;
  u64 id_ = 0;
  std::unique_ptr<Handle> handle_;
  Message message_;

  // receiving
  std::array<std::byte, request_bytes> head_{};  // the beginning of a request whose rest has not arrived
  size_t head_size_ = 0;
  std::vector<std::byte> spill_;                 // requests that arrived and wait for memory
  Request writing_;                              // whose payload is arriving
  Buffer payload_;
  Charge payload_charge_;
  u64 payload_size_ = 0;
  u64 payload_left_ = 0;
  WireError refusing_ = WireError::none;         // its payload is skipped, and this is the answer
  bool is_writing_ = false;

  // under way
  u64 requests_ = 0;       // begun, and their replies not sent
  u64 under_way_ = 0;      // with the engine
  u64 own_bytes_ = 0;
  u64 shared_bytes_ = 0;
  Signal room_;
  Signal idle_;

  // sending
  Outbox outbox_;
  Outbox sending_;
  std::vector<iovec> vectors_;
  bool received_all_ = false;
  Signal sendable_;
};

}  // namespace brindle::nbd
