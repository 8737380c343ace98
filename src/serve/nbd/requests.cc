// requests.cc: what each request does with the engine, and what is answered.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "runtime/remote.h"
#include "serve/nbd/connection.h"
#include "serve/nbd/errors.h"

namespace brindle::nbd {

namespace {

constexpr u64 zeroes_bytes = 256 * KiB;      // written at a time where holes are not wanted
constexpr u64 warm_bytes = 16 * MiB;         // of map looked up at a time
constexpr u64 extents_max = 1024;            // in one answer to a block status; the client asks again for the rest

bool all_zero(const std::byte* bytes, u64 size) {
  u64 first = 0;
  std::memcpy(&first, bytes, std::min<u64>(size, sizeof first));
  if (first != 0) return false;
  return size <= sizeof first || std::memcmp(bytes, bytes + sizeof first, size - sizeof first) == 0;
}

const std::byte* zeroes() {
  static const AlignedBuffer buffer = [] {
    AlignedBuffer made(zeroes_bytes);
    made.clear();
    return made;
  }();
  return buffer.data();
}

bool writes(const Request& request) { return request.is(Command::write) || request.is(Command::write_zeroes); }

}  // namespace

void Connection::dispatch(Request request, Charge charge) {
  ++under_way_;
  if (request.is(Command::read)) {
    serve_read(request, charge);
  } else {
    serve_other(request, charge);
  }
}

void Connection::one_done() {
  if (--under_way_ == 0) idle_.notify_all();
}

/// A call of the engine that moves no payload, from whatever core this connection is on.
template <class Make>
auto Connection::at_home(Make make) {
  return on(worker_.home(), core_, make);
}

Served Connection::serve_read(Request request, Charge charge) {
  Buffer data = worker_.buffers().take(request.length);
  const MutBytes into(data.data(), request.length);
  Status status;
  if (worker_.is_home()) {
    status = co_await handle_->read(request.offset, into);
  } else {
    status = co_await worker_.outpost().read(*handle_, request.offset, into);
  }
  if (status) {
    answer_read(request, std::move(data), charge);
  } else {
    data.reset();
    answer(request, status, charge);
  }
  one_done();
}

Served Connection::serve_write(Request request, Buffer data, Charge charge) {
  const Bytes from(data.data(), request.length);
  const bool fua = request.has(flag_fua);
  Status status;
  if (worker_.is_home()) {
    status = co_await handle_->write(request.offset, from, fua);
  } else {
    status = co_await worker_.outpost().write(*handle_, request.offset, from, fua);
  }
  data.reset();
  answer(request, status, charge);
  one_done();
}

Served Connection::serve_other(Request request, Charge charge) {
  const bool fua = request.has(flag_fua);
  Status status;
  switch (static_cast<Command>(request.command)) {
    case Command::flush: {
      const auto call = [&] { return handle_->flush(); };
      status = co_await at_home(call);
      break;
    }
    case Command::trim: {
      const auto call = [&] { return handle_->discard(request.offset, request.length, fua); };
      status = co_await at_home(call);
      break;
    }
    case Command::write_zeroes: status = co_await write_zeroes(request); break;
    case Command::cache: status = co_await warm(request); break;
    case Command::block_status: status = co_await block_status(request, charge); break;
    default: status = Error{Code::invalid, "unknown command"}; break;  // the receiver let none through
  }
  if (!status || !request.is(Command::block_status)) answer(request, status, charge);
  one_done();
}

/// A hole reads as zeroes and is the quick way. A client that asks for no hole wants space that later writes cannot lack:
/// then zeroes are written as data, and a client that wants that fast as well is told that it cannot be had.
Task<Status> Connection::write_zeroes(Request request) {
  const bool fua = request.has(flag_fua);
  if (!request.has(flag_no_hole)) {
    const auto call = [&] { return handle_->zero(request.offset, request.length, fua); };
    co_return co_await at_home(call);
  }
  if (request.has(flag_fast_zero)) co_return Error{Code::unsupported, "zeroes without holes are not fast"};
  Status status;
  for (u64 done = 0; done < request.length && status;) {
    if (ending_) co_return Error{Code::stopping, "the server is stopping"};
    // The pieces lie on multiples of their size, so that all but the first are whole blocks.
    const u64 at = request.offset + done;
    const u64 size = std::min<u64>(request.length - done, zeroes_bytes - at % zeroes_bytes);
    const bool durable = fua && done + size == request.length;
    const auto call = [&] { return handle_->write(at, Bytes(zeroes(), size), durable); };
    status = co_await at_home(call);
    done += size;
  }
  co_return status;
}

/// There is no cache of data to fill; what a later read would wait for is the map.
Task<Status> Connection::warm(Request request) {
  for (u64 done = 0; done < request.length;) {
    const u64 size = std::min<u64>(request.length - done, warm_bytes);
    const u64 at = request.offset + done;
    const auto call = [&] { return handle_->extents(at, size, size / block_size + 2); };
    const auto extents = co_await at_home(call);
    if (!extents) co_return extents.error();
    done += size;
  }
  co_return Status{};
}

Task<Status> Connection::block_status(Request request, Charge charge) {
  const u64 count_max = request.has(flag_req_one) ? 1 : extents_max;
  const auto call = [&] { return handle_->extents(request.offset, request.length, count_max); };
  const auto extents = co_await at_home(call);
  if (!extents) co_return extents.error();
  if (extents->empty()) co_return Error{Code::io, "the map tells nothing about this range"};
  const auto size = static_cast<u32>(sizeof(u32) + extents->size() * 2 * sizeof(u32));
  if (outbox_.empty()) sendable_.notify_all();
  std::byte* to = put_chunk(outbox_.head(chunk_bytes + size), chunk_done, chunk_block_status, request.cookie, size);
  to = put(to, allocation_context_id);
  for (const Extent& extent : *extents) {
    to = put(to, static_cast<u32>(extent.length));
    to = put(to, extent.data ? u32{0} : state_hole | state_zero);
  }
  outbox_.keep({}, charge.own, charge.shared);
  outbox_.reply_ends();
  co_return Status{};
}

// --- answers --------------------------------------------------------------------------------------------------------

void Connection::answer(const Request& request, const Status& status, Charge charge) {
  release(charge);
  // The kernel's client, which knows simple replies alone, takes "shutting down" for a failed disk. From a connection that ends without an
  // answer it goes on to the next.
  if (!status && !structured_ && wire_error(status.code(), false) == WireError::shutdown) return hang_up();
  if (!status) return answer_error(request, wire_error(status.code(), writes(request)), status.error().message);
  if (outbox_.empty()) sendable_.notify_all();
  // An empty read has no content, and with structured replies a chunk must end it.
  if (structured_ && request.is(Command::read)) {
    put_chunk(outbox_.head(chunk_bytes), chunk_done, chunk_none, request.cookie, 0);
  } else {
    put_simple_reply(outbox_.head(simple_reply_bytes), WireError::none, request.cookie);
  }
  outbox_.reply_ends();
}

void Connection::answer_error(const Request& request, WireError error, std::string_view message) {
  if (outbox_.empty()) sendable_.notify_all();
  // What is beyond the limits of a read has a name of its own only for a read that must not be split.
  if (error == WireError::overflow && !request.has(flag_df)) error = WireError::invalid;
  if (structured_) {
    message = message.substr(0, string_max);
    const auto size = static_cast<u32>(sizeof(u32) + sizeof(u16) + message.size());
    std::byte* to = put_chunk(outbox_.head(chunk_bytes + size), chunk_done, chunk_error, request.cookie, size);
    to = put(to, static_cast<u32>(error));
    to = put(to, static_cast<u16>(message.size()));
    std::memcpy(to, message.data(), message.size());
  } else {
    put_simple_reply(outbox_.head(simple_reply_bytes), error, request.cookie);
  }
  outbox_.reply_ends();
}

void Connection::answer_read(const Request& request, Buffer data, Charge charge) {
  if (request.length == 0) return answer(request, Status{}, charge);
  if (outbox_.empty()) sendable_.notify_all();
  if (structured_) {
    put_read_chunks(request, data.data());
  } else {
    put_simple_reply(outbox_.head(simple_reply_bytes), WireError::none, request.cookie);
    outbox_.payload(data.data(), request.length);
  }
  outbox_.keep(std::move(data), charge.own, charge.shared);
  outbox_.reply_ends();
}

/// Blocks of zeroes are told and not sent. They are found in what was read: asking the map instead would be another moment.
void Connection::put_read_chunks(const Request& request, const std::byte* data) {
  const u64 length = request.length;
  const auto piece_at = [&](u64 at) {
    return std::min<u64>(block_size - (request.offset + at) % block_size, length - at);
  };
  const bool whole = request.has(flag_df) || length < block_size;
  for (u64 at = 0; at < length;) {
    u64 end = length;
    bool hole = false;
    if (!whole) {
      end = at + piece_at(at);
      hole = all_zero(data + at, end - at);
      while (end < length) {
        const u64 size = piece_at(end);
        if (all_zero(data + end, size) != hole) break;
        end += size;
      }
    }
    const u16 flags = end == length ? chunk_done : 0;
    const u64 size = end - at;
    if (hole) {
      const u32 payload = sizeof(u64) + sizeof(u32);
      std::byte* to = put_chunk(outbox_.head(chunk_bytes + payload), flags, chunk_hole, request.cookie, payload);
      to = put(to, request.offset + at);
      put(to, static_cast<u32>(size));
    } else {
      std::byte* to = put_chunk(outbox_.head(chunk_bytes + sizeof(u64)), flags, chunk_data, request.cookie,
                                static_cast<u32>(sizeof(u64) + size));
      put(to, request.offset + at);
      outbox_.payload(data + at, size);
    }
    at = end;
  }
}

}  // namespace brindle::nbd
