// limits.h: how much of the daemon one client, and all of them together, may take.
#pragma once

#include "base/units.h"
#include "runtime/runtime.h"

namespace brindle::nbd {

struct Limits {
  u64 connections = 512;                   // further ones are closed at once
  u64 requests = 256;                      // under way on one connection; then its socket is not read
  u64 own_bytes = 256 * KiB;               // of payload that each connection may hold, whatever the others do
  u64 shared_bytes = 64 * MiB;             // of payload beyond that, of all connections together; each core has its part, 32 MiB at least
  u64 negotiation_ns = 30 * second_ns;     // until a client has chosen its volume
  u64 stall_ns = 10 * second_ns;           // a client that holds shared memory which others wait for moves
  u64 stall_bytes = 1 * MiB;               // so much in that time, or is hung up on
  u64 close_ns = 5 * second_ns;            // for clients to take their replies when the server closes
};

}  // namespace brindle::nbd
