// negotiate.cc: fixed newstyle: what the client wants, until it has a volume, asks for none any more, or makes no sense.
#include <algorithm>

#include "runtime/remote.h"
#include "serve/nbd/connection.h"

namespace brindle::nbd {

namespace {

constexpr u64 option_skip_max = 1 * MiB;            // of an option that is too long; for more it is not worth to listen
constexpr size_t message_flush_bytes = 64 * KiB;

OptionReply reply_type(Code code) {
  switch (code) {
    case Code::invalid:
    case Code::not_found: return OptionReply::unknown;
    case Code::stopping: return OptionReply::shutdown;
    default: return OptionReply::policy;
  }
}

}  // namespace

Task<bool> Connection::read_all(MutBytes into) {
  while (!into.empty()) {
    const int got = co_await core_.recv(fd_, into, MSG_WAITALL);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got <= 0 || ending_) co_return false;
    into = into.subspan(static_cast<size_t>(got));
  }
  co_return true;
}

Task<bool> Connection::send_all(Bytes from) {
  while (!from.empty()) {
    const int sent = co_await core_.send(fd_, from);
    if (sent == -EINTR || sent == -EAGAIN) continue;
    if (sent <= 0 || broken_) co_return false;
    from = from.subspan(static_cast<size_t>(sent));
  }
  co_return true;
}

Task<Connection::Next> Connection::send_message(Next next) {
  const bool sent = co_await send_all(message_.bytes());
  message_.clear();
  co_return sent ? next : Next::end;
}

Task<bool> Connection::skip_option(u64 bytes) {
  if (bytes > option_skip_max) co_return false;
  std::vector<std::byte> scratch(option_data_max);
  while (bytes > 0) {
    const MutBytes part = MutBytes(scratch).first(std::min<u64>(bytes, scratch.size()));
    const bool read = co_await read_all(part);
    if (!read) co_return false;
    bytes -= part.size();
  }
  co_return true;
}

Task<bool> Connection::negotiate() {
  message_.put(server_magic).put(option_magic).put(static_cast<u16>(handshake_fixed | handshake_no_zeroes));
  if (const Next sent = co_await send_message(Next::option); sent == Next::end) co_return false;
  std::array<std::byte, 4> flags_bytes{};
  if (const bool read = co_await read_all(flags_bytes); !read) co_return false;
  const u32 flags = get<u32>(flags_bytes.data());
  if ((flags & ~u32{handshake_fixed | handshake_no_zeroes}) != 0) co_return false;  // so the document wants it
  no_zeroes_ = (flags & handshake_no_zeroes) != 0;
  for (;;) {
    std::array<std::byte, option_header_bytes> bytes{};
    if (const bool read = co_await read_all(bytes); !read) co_return false;
    const auto header = parse_option_header(bytes);
    if (!header) co_return false;
    if (header->length > option_data_max) {
      const bool skipped = co_await skip_option(header->length);
      if (!skipped || header->option == static_cast<u32>(Option::export_name)) co_return false;
      message_.reply(header->option, OptionReply::too_big, "the option's data is too long");
      if (const Next sent = co_await send_message(Next::option); sent == Next::end) co_return false;
      continue;
    }
    std::vector<std::byte> data(header->length);
    if (const bool read = co_await read_all(data); !read) co_return false;
    const Next next = co_await answer_option(*header, std::move(data));
    if (next != Next::option) co_return next == Next::transmission;
  }
}

Task<Connection::Next> Connection::answer_option(OptionHeader header, std::vector<std::byte> data) {
  const u32 option = header.option;
  switch (static_cast<Option>(option)) {
    case Option::export_name: co_return co_await export_name(std::move(data));
    case Option::info:
    case Option::go: co_return co_await info_or_go(option, std::move(data));
    case Option::list_meta_context:
    case Option::set_meta_context: co_return co_await meta_context(option, std::move(data));
    case Option::abort:
      message_.reply(option, OptionReply::ack);
      co_return co_await send_message(Next::end);
    case Option::list:
      if (data.empty()) co_return co_await list(option);
      message_.reply(option, OptionReply::invalid, "a list takes no data");
      break;
    case Option::structured_reply:
      structured_ = structured_ || data.empty();
      message_.reply(option, data.empty() ? OptionReply::ack : OptionReply::invalid);
      break;
    case Option::starttls:
      message_.reply(option, OptionReply::unsupported, "this server does not speak TLS");
      break;
    default: message_.reply(option, OptionReply::unsupported, "this server does not know the option"); break;
  }
  co_return co_await send_message(Next::option);
}

Task<Result<Export>> Connection::find_export(std::string name, bool open) {
  const auto find = [&] { return worker_.find_export(name, open); };
  co_return co_await on(worker_.home(), core_, find);
}

u16 Connection::export_flags(bool read_only) const {
  unsigned flags = can_flags | can_flush | can_fua | can_multi_conn | can_cache;
  flags |= read_only ? is_read_only : can_trim | can_write_zeroes | can_fast_zero;
  if (structured_) flags |= can_df;
  return static_cast<u16>(flags);
}

void Connection::adopt(Export found) {
  id_ = found.id;
  handle_ = std::move(found.handle);
  read_only_ = found.read_only;
}

Task<Connection::Next> Connection::export_name(std::vector<std::byte> data) {
  // There is no way to say why not, with this option.
  if (data.size() > string_max) co_return Next::end;
  const std::string name(reinterpret_cast<const char*>(data.data()), data.size());
  auto found = co_await find_export(name, true);
  if (!found) co_return Next::end;
  has_context_ = has_context_ && context_name_ == name;
  message_.put(found->size).put(export_flags(found->read_only));
  if (!no_zeroes_) message_.put_zeroes(124);
  adopt(std::move(*found));
  co_return co_await send_message(Next::transmission);
}

Task<Connection::Next> Connection::info_or_go(u32 option, std::vector<std::byte> data) {
  const bool go = option == static_cast<u32>(Option::go);
  const auto request = parse_info_request(data);
  if (!request) {
    message_.reply(option, OptionReply::invalid, "the option's data makes no sense");
    co_return co_await send_message(Next::option);
  }
  auto found = co_await find_export(request->name, go);
  if (!found) {
    message_.reply(option, reply_type(found.code()), found.error().message);
    co_return co_await send_message(Next::option);
  }
  Message info;
  info.put(static_cast<u16>(Info::export_)).put(found->size).put(export_flags(found->read_only));
  message_.reply(option, OptionReply::info, info.bytes());
  const auto wants = [&](Info what) {
    info.clear();
    info.put(static_cast<u16>(what));
    return std::find(request->wanted.begin(), request->wanted.end(), static_cast<u16>(what)) != request->wanted.end();
  };
  if (wants(Info::name)) message_.reply(option, OptionReply::info, info.put_text(found->name).bytes());
  if (wants(Info::description)) message_.reply(option, OptionReply::info, info.put_text(found->description).bytes());
  if (wants(Info::block_size)) {
    info.put(block_size_min).put(block_size_preferred).put(request_size_max);
    message_.reply(option, OptionReply::info, info.bytes());
  }
  message_.reply(option, OptionReply::ack);
  if (go) {
    has_context_ = has_context_ && context_name_ == request->name;
    adopt(std::move(*found));
  }
  co_return co_await send_message(go ? Next::transmission : Next::option);
}

Task<Connection::Next> Connection::list(u32 option) {
  Message entry;
  for (const bool snapshots : {false, true}) {
    std::string after;
    do {
      const auto ask = [&] { return worker_.export_names(snapshots, after); };
      auto piece = co_await on(worker_.home(), core_, ask);
      if (!piece) co_return Next::end;
      for (const std::string& name : piece->names) {
        entry.clear();
        entry.put(static_cast<u32>(name.size())).put_text(name);
        message_.reply(option, OptionReply::server, entry.bytes());
      }
      after = std::move(piece->next);
      if (after.empty() || message_.size() < message_flush_bytes) continue;
      if (const Next sent = co_await send_message(Next::option); sent == Next::end) co_return Next::end;
    } while (!after.empty());
  }
  message_.reply(option, OptionReply::ack);
  co_return co_await send_message(Next::option);
}

Task<Connection::Next> Connection::meta_context(u32 option, std::vector<std::byte> data) {
  const bool listing = option == static_cast<u32>(Option::list_meta_context);
  const auto request = parse_meta_request(data);
  if (!listing) has_context_ = false;
  if (!request || !structured_) {
    message_.reply(option, OptionReply::invalid,
                   request ? "ask for structured replies first" : "the option's data makes no sense");
    co_return co_await send_message(Next::option);
  }
  const auto found = co_await find_export(request->name, false);
  if (!found) {
    message_.reply(option, reply_type(found.code()), found.error().message);
    co_return co_await send_message(Next::option);
  }
  if (selects_allocation(*request, listing)) {
    Message context;
    context.put(listing ? u32{0} : allocation_context_id).put_text(allocation_context);
    message_.reply(option, OptionReply::meta_context, context.bytes());
    if (!listing) {
      has_context_ = true;
      context_name_ = request->name;
    }
  }
  message_.reply(option, OptionReply::ack);
  co_return co_await send_message(Next::option);
}

}  // namespace brindle::nbd
