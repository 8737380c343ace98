// nbd_connection.h: opens one NBD export on a Unix socket: connects, negotiates, and hands over the socket.
//
// Holds:  1. structured replies and `base:allocation` are used where wanted and offered; neither is required.
//         2. The socket has no timeouts of its own afterwards: who uses it may wait for ever.
// Caller: any thread; it blocks, at most `patience_ms` for each answer.
// Fails:  not_found (the server has no such export), stopping (nobody listens, or it went away: try again later),
//         invalid (what answers is not an NBD server that we understand).
// Source: the NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, "Fixed newstyle".
#pragma once

#include <string>

#include "base/result.h"
#include "base/units.h"
#include "base/fd.h"

namespace brindle::attach {

struct NbdConnection {
  Fd socket;               // blocking
  u64 size = 0;            // bytes
  u16 flags = 0;           // NBD_FLAG_*, as the server sent them
  bool structured = false; // replies come in chunks, and holes are not sent
  u32 allocation_id = 0;   // of base:allocation; 0: block status cannot be asked

  bool read_only() const { return (flags & 0x0002) != 0; }
  bool can_flush() const { return (flags & 0x0004) != 0; }
  bool can_trim() const { return (flags & 0x0020) != 0; }
  bool can_zero() const { return (flags & 0x0040) != 0; }
};

/// The kernel's own client understands simple ones alone.
enum class Replies : u8 { structured, simple };

Result<NbdConnection> nbd_connect(const std::string& socket_path, const std::string& export_name, Replies replies, int patience_ms);

}  // namespace brindle::attach
