#include "serve/nbd/protocol.h"

namespace brindle::nbd {

namespace {

/// Reads big-endian values; after the first that is not all there, everything is zero and `ok` is false.
class Parser {
 public:
  explicit Parser(Bytes bytes) : bytes_(bytes) {}
  template <class T>
  T get() {
    if (!has(sizeof(T))) return 0;
    const T value = nbd::get<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  std::string get_string() {
    const u32 length = get<u32>();
    if (length > string_max) ok_ = false;
    if (!has(length)) return {};
    std::string text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }
  bool done() const { return ok_ && bytes_.empty(); }
  bool ok() const { return ok_; }

 private:
  bool has(size_t size) {
    if (bytes_.size() < size) ok_ = false;
    return ok_;
  }
  Bytes bytes_;
  bool ok_ = true;
};

u16 allowed_flags(const Request& request) {
  switch (static_cast<Command>(request.command)) {
    case Command::read: return flag_fua | flag_df;
    case Command::write_zeroes: return flag_fua | flag_no_hole | flag_fast_zero;
    case Command::block_status: return flag_fua | flag_req_one;
    default: return flag_fua;  // which clients may set on anything
  }
}

}  // namespace

WireError check_request(const Request& request, bool structured, bool has_context) {
  if (request.command > static_cast<u16>(Command::block_status)) return WireError::invalid;
  if ((request.flags & ~allowed_flags(request)) != 0) return WireError::invalid;
  if (request.has(flag_df) && !structured) return WireError::invalid;
  const bool carries_data = request.is(Command::read) || request.is(Command::write);
  if (carries_data && request.length > request_size_max) return WireError::overflow;
  if (request.is(Command::flush) && (request.length != 0 || request.offset != 0)) return WireError::invalid;
  if (request.is(Command::block_status) && (!structured || !has_context || request.length == 0)) return WireError::invalid;
  return WireError::none;
}

std::optional<OptionHeader> parse_option_header(Bytes from) {
  Parser parser(from);
  const u64 magic = parser.get<u64>();
  const OptionHeader header{parser.get<u32>(), parser.get<u32>()};
  if (!parser.ok() || magic != option_magic) return std::nullopt;
  return header;
}

std::optional<InfoRequest> parse_info_request(Bytes data) {
  Parser parser(data);
  InfoRequest request;
  request.name = parser.get_string();
  const u16 count = parser.get<u16>();
  for (u16 i = 0; i < count && parser.ok(); ++i) request.wanted.push_back(parser.get<u16>());
  if (!parser.done()) return std::nullopt;
  return request;
}

std::optional<MetaRequest> parse_meta_request(Bytes data) {
  Parser parser(data);
  MetaRequest request;
  request.name = parser.get_string();
  const u32 count = parser.get<u32>();
  for (u32 i = 0; i < count && parser.ok(); ++i) request.queries.push_back(parser.get_string());
  if (!parser.done()) return std::nullopt;
  return request;
}

bool selects_allocation(const MetaRequest& request, bool listing) {
  if (listing && request.queries.empty()) return true;
  for (const std::string& query : request.queries) {
    if (query == allocation_context || (listing && query == "base:")) return true;
  }
  return false;
}

Message& Message::reply(u32 option, OptionReply type, Bytes data) {
  put(option_reply_magic).put(option).put(static_cast<u32>(type)).put(static_cast<u32>(data.size()));
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  return *this;
}

}  // namespace brindle::nbd
