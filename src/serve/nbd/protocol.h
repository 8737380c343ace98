// protocol.h: NBD on the wire: numbers, requests, options and replies. Pure functions over bytes; no I/O.
//
// Follows the NBD protocol document (NetworkBlockDevice/nbd, doc/proto.md): fixed newstyle negotiation, simple and structured
// replies, block status. All integers are big-endian.
//
// Holds:  bytes from a client are input: a parser returns nothing for what is malformed, and never reads past its bytes.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace brindle::nbd {

// --- numbers --------------------------------------------------------------------------------------------------------

inline constexpr u64 server_magic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr u64 option_magic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr u64 option_reply_magic = 0x0003e889045565a9;
inline constexpr u32 request_magic = 0x25609513;
inline constexpr u32 simple_reply_magic = 0x67446698;
inline constexpr u32 chunk_magic = 0x668e33ef;

inline constexpr u16 handshake_fixed = 1, handshake_no_zeroes = 2;  // the client's flags have the same bits

enum class Option : u32 {
  export_name = 1,
  abort = 2,
  list = 3,
  starttls = 5,
  info = 6,
  go = 7,
  structured_reply = 8,
  list_meta_context = 9,
  set_meta_context = 10,
};

enum class OptionReply : u32 {
  ack = 1,
  server = 2,
  info = 3,
  meta_context = 4,
  unsupported = 0x80000001,
  policy = 0x80000002,
  invalid = 0x80000003,
  unknown = 0x80000006,
  shutdown = 0x80000007,
  too_big = 0x80000009,
};

enum class Info : u16 { export_ = 0, name = 1, description = 2, block_size = 3 };

// What an export can do.
inline constexpr u16 can_flags = 1 << 0, is_read_only = 1 << 1, can_flush = 1 << 2, can_fua = 1 << 3, can_trim = 1 << 5,
                     can_write_zeroes = 1 << 6, can_df = 1 << 7, can_multi_conn = 1 << 8, can_cache = 1 << 10,
                     can_fast_zero = 1 << 11;

enum class Command : u16 {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  cache = 5,
  write_zeroes = 6,
  block_status = 7,
};

inline constexpr u16 flag_fua = 1 << 0, flag_no_hole = 1 << 1, flag_df = 1 << 2, flag_req_one = 1 << 3,
                     flag_fast_zero = 1 << 4;

inline constexpr u16 chunk_none = 0, chunk_data = 1, chunk_hole = 2, chunk_block_status = 5, chunk_error = 0x8001;
inline constexpr u16 chunk_done = 1;  // the flag of the last one

enum class WireError : u32 {
  none = 0,
  perm = 1,
  io = 5,
  invalid = 22,
  no_space = 28,
  overflow = 75,
  not_supported = 95,
  shutdown = 108,
};

inline constexpr u32 state_hole = 1, state_zero = 2;
inline constexpr std::string_view allocation_context = "base:allocation";
inline constexpr u32 allocation_context_id = 1;

// --- limits that we tell, or that the document sets -----------------------------------------------------------------

inline constexpr u32 request_size_max = 32 * MiB;
inline constexpr u32 block_size_min = 1;
inline constexpr u32 block_size_preferred = 4096;
inline constexpr size_t string_max = 4096;
inline constexpr size_t option_data_max = 16 * KiB;  // more is skipped and answered with `too_big`

// --- big-endian -----------------------------------------------------------------------------------------------------

template <class T>
T swap_bytes(T value) {
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(static_cast<u16>(value)));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(static_cast<u32>(value)));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(static_cast<u64>(value)));
}
template <class T>
T get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return swap_bytes(value);
}
template <class T>
std::byte* put(std::byte* to, T value) {
  value = swap_bytes(value);
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

// --- what a client sends --------------------------------------------------------------------------------------------

inline constexpr size_t request_bytes = 28;

struct Request {
  u16 flags = 0;
  u16 command = 0;
  u64 cookie = 0;
  u64 offset = 0;
  u32 length = 0;

  bool is(Command what) const { return command == static_cast<u16>(what); }
  bool has(u16 flag) const { return (flags & flag) != 0; }
};

/// The first `request_bytes` of `from`. Nothing: not a request, and the stream makes no sense from here on.
inline std::optional<Request> parse_request(const std::byte* from) {
  if (get<u32>(from) != request_magic) return std::nullopt;
  return Request{get<u16>(from + 4), get<u16>(from + 6), get<u64>(from + 8), get<u64>(from + 16), get<u32>(from + 24)};
}

/// May this command carry these flags, and is its length allowed? `invalid` otherwise, or what the document asks for.
WireError check_request(const Request& request, bool structured, bool has_context);

inline constexpr size_t option_header_bytes = 16;
struct OptionHeader {
  u32 option = 0;
  u32 length = 0;
};
std::optional<OptionHeader> parse_option_header(Bytes from);

/// Of INFO and GO.
struct InfoRequest {
  std::string name;
  std::vector<u16> wanted;
};
std::optional<InfoRequest> parse_info_request(Bytes data);

/// Of LIST_META_CONTEXT and SET_META_CONTEXT.
struct MetaRequest {
  std::string name;
  std::vector<std::string> queries;
};
std::optional<MetaRequest> parse_meta_request(Bytes data);
/// Does it select base:allocation? In a list, no query and a bare namespace select it too.
bool selects_allocation(const MetaRequest& request, bool listing);

// --- what the server sends ------------------------------------------------------------------------------------------

/// Collects bytes of the negotiation.
class Message {
 public:
  template <class T>
  Message& put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    nbd::put(bytes_.data() + at, value);
    return *this;
  }
  Message& put_text(std::string_view text) {
    const auto from = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), from.begin(), from.end());
    return *this;
  }
  Message& put_zeroes(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  /// A whole reply to an option.
  Message& reply(u32 option, OptionReply type, Bytes data = {});
  Message& reply(u32 option, OptionReply type, std::string_view text) {
    return reply(option, type, std::as_bytes(std::span(text)));
  }
  Bytes bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

inline constexpr size_t simple_reply_bytes = 16;
inline std::byte* put_simple_reply(std::byte* to, WireError error, u64 cookie) {
  to = put(to, simple_reply_magic);
  to = put(to, static_cast<u32>(error));
  return put(to, cookie);
}

inline constexpr size_t chunk_bytes = 20;
inline std::byte* put_chunk(std::byte* to, u16 flags, u16 type, u64 cookie, u32 length) {
  to = put(to, chunk_magic);
  to = put(to, flags);
  to = put(to, type);
  to = put(to, cookie);
  return put(to, length);
}

}  // namespace brindle::nbd
