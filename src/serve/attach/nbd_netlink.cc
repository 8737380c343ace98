#include "serve/attach/nbd_netlink.h"

#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/run_program.h"

namespace brindle::attach {

namespace {

// Whoever waits for the daemon waits for as long as it takes: a century.
constexpr u64 dead_connection_s = u64{100} * 365 * 24 * 3600;
// What a loop device over a file has: a partition table counts in sectors, so that it reads the same by either driver.
constexpr u64 sector = 512;
constexpr size_t answer_max = 16 * KiB;

Error unsupported(const char* why) { return Error{Code::unsupported, fmt::format("the kernel's nbd driver: {}", why)}; }

/// A request of generic netlink, built up attribute by attribute.
class Message {
 public:
  Message(u16 family, u8 command, u8 version) : bytes_(NLMSG_HDRLEN + GENL_HDRLEN) {
    nlmsghdr header{};
    header.nlmsg_type = family;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    std::memcpy(bytes_.data(), &header, sizeof header);
    const genlmsghdr generic{command, version, 0};
    std::memcpy(bytes_.data() + NLMSG_HDRLEN, &generic, sizeof generic);
  }
  template <class T>
  Message& number(u16 type, T value) { return add(type, &value, sizeof value); }
  Message& text(u16 type, const std::string& value) { return add(type, value.c_str(), value.size() + 1); }
  /// What follows until end() lies in this attribute.
  size_t begin(u16 type) {
    add(static_cast<u16>(type | NLA_F_NESTED), nullptr, 0);
    return bytes_.size() - NLA_HDRLEN;
  }
  void end(size_t begun) {
    const auto length = static_cast<u16>(bytes_.size() - begun);
    std::memcpy(bytes_.data() + begun, &length, sizeof length);  // nla_len is its first field
  }
  const std::vector<char>& finish() {
    const auto length = static_cast<u32>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);          // so is nlmsg_len
    return bytes_;
  }

 private:
  Message& add(u16 type, const void* data, size_t size) {
    const nlattr header{static_cast<u16>(NLA_HDRLEN + size), type};
    const size_t at = bytes_.size();
    bytes_.resize(at + NLA_HDRLEN + NLA_ALIGN(size));
    std::memcpy(bytes_.data() + at, &header, sizeof header);
    if (size > 0) std::memcpy(bytes_.data() + at + NLA_HDRLEN, data, size);
    return *this;
  }

  std::vector<char> bytes_;
};

/// Each attribute in these bytes.
void each_attribute(std::string_view bytes, const std::function<void(u16, std::string_view)>& take) {
  while (bytes.size() >= NLA_HDRLEN) {
    nlattr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > bytes.size()) return;
    take(header.nla_type & NLA_TYPE_MASK, bytes.substr(NLA_HDRLEN, header.nla_len - NLA_HDRLEN));
    bytes.remove_prefix(std::min<size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
  }
}

template <class T>
T number_in(std::string_view bytes) {
  T value{};
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string_view text_in(std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); }

/// Receives one datagram, and tells of each message in it: its kind, and the bytes behind its header. Result: errno, 0 for none.
int receive(int socket, int flags, const std::function<void(u16, std::string_view)>& take) {
  std::vector<char> buffer(answer_max);
  ssize_t n;
  do n = ::recv(socket, buffer.data(), buffer.size(), flags);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno;
  for (std::string_view left(buffer.data(), static_cast<size_t>(n)); left.size() >= NLMSG_HDRLEN;) {
    nlmsghdr header;
    std::memcpy(&header, left.data(), sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > left.size()) break;
    take(header.nlmsg_type, left.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN));
    left.remove_prefix(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), left.size()));
  }
  return 0;
}

/// Sends a request and waits for the kernel's word on it; `answer` gets the attributes of what comes before that. Result: errno.
int ask(int socket, Message& message, const std::function<void(std::string_view)>& answer = {}) {
  const auto& bytes = message.finish();
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(socket, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) return errno;
  int result = -1;
  while (result < 0) {
    const int failed = receive(socket, 0, [&](u16 kind, std::string_view body) {
      if (kind == NLMSG_ERROR) {
        result = -number_in<int>(body);
      } else if (answer && body.size() >= GENL_HDRLEN) {
        answer(body.substr(GENL_HDRLEN));
      }
    });
    if (failed != 0) return failed;
  }
  return result;
}

Status as_status(const char* what, int error) {
  if (error == 0) return {};
  const Code code = error == EPERM ? Code::unsupported : Code::io;
  return Error{code, fmt::format("the kernel's nbd driver {}: {}", what, std::strerror(error))};
}

void add_socket(Message& message, int socket) {
  const size_t all = message.begin(NBD_ATTR_SOCKETS);
  const size_t item = message.begin(NBD_SOCK_ITEM);
  message.number(NBD_SOCK_FD, static_cast<u32>(socket));
  message.end(item);
  message.end(all);
}

}  // namespace

Result<NbdNetlink> NbdNetlink::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!socket.ok()) return unsupported(std::strerror(errno));
  NbdNetlink out(std::move(socket));
  auto found = out.find_family();
  if (!found && ::access("/sys/module/nbd", F_OK) != 0) {
    // Whether this helps is seen by looking again; there need not be a modprobe, nor a module.
    (void)run_program({"modprobe", "-q", "nbd"}).ok();
    found = out.find_family();
  }
  if (!found) return found.error();
  return out;
}

Status NbdNetlink::find_family() {
  u32 last_attribute = 0;
  Message question(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
  question.text(CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME);
  const int error = ask(socket_.get(), question, [&](std::string_view attributes) {
    each_attribute(attributes, [&](u16 type, std::string_view value) {
      if (type == CTRL_ATTR_FAMILY_ID) family_ = number_in<u16>(value);
      if (type == CTRL_ATTR_MAXATTR) last_attribute = number_in<u32>(value);
      if (type != CTRL_ATTR_MCAST_GROUPS) return;
      each_attribute(value, [&](u16, std::string_view group) {
        bool ours = false;
        u32 number = 0;
        each_attribute(group, [&](u16 what, std::string_view about) {
          if (what == CTRL_ATTR_MCAST_GRP_NAME) ours = text_in(about) == NBD_GENL_MCAST_GROUP_NAME;
          if (what == CTRL_ATTR_MCAST_GRP_ID) number = number_in<u32>(about);
        });
        if (ours) group_ = number;
      });
    });
  });
  if (error != 0 || family_ == 0) return unsupported("there is none (modprobe nbd)");
  if (last_attribute < NBD_ATTR_BACKEND_IDENTIFIER) return unsupported("it is older than Linux 5.14");
  return {};
}

Result<u32> NbdNetlink::connect(const Device& device) {
  Message message(family_, NBD_CMD_CONNECT, NBD_GENL_VERSION);
  // No number: it chooses one that is free. No request ever times out: a connection that is slow would be given up, its requests sent
  // again on another, and the old ones could still take effect, after newer ones.
  message.number(NBD_ATTR_SIZE_BYTES, device.size)
      .number(NBD_ATTR_BLOCK_SIZE_BYTES, sector)
      .number(NBD_ATTR_SERVER_FLAGS, u64{device.flags})
      .number(NBD_ATTR_TIMEOUT, u64{0})
      .number(NBD_ATTR_DEAD_CONN_TIMEOUT, dead_connection_s)
      .text(NBD_ATTR_BACKEND_IDENTIFIER, device.backend);
  add_socket(message, device.socket);
  u32 number = 0;
  const int error = ask(socket_.get(), message, [&](std::string_view attributes) {
    each_attribute(attributes, [&](u16 type, std::string_view value) {
      if (type == NBD_ATTR_INDEX) number = number_in<u32>(value);
    });
  });
  if (error != 0) return as_status("makes no device", error).error();
  return number;
}

Status NbdNetlink::reconnect(u32 number, const std::string& backend, int socket) {
  Message message(family_, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);
  message.number(NBD_ATTR_INDEX, number).text(NBD_ATTR_BACKEND_IDENTIFIER, backend);
  add_socket(message, socket);
  return as_status("takes no new connection", ask(socket_.get(), message));
}

Status NbdNetlink::resize(u32 number, const std::string& backend, u64 size) {
  Message message(family_, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);
  message.number(NBD_ATTR_INDEX, number).text(NBD_ATTR_BACKEND_IDENTIFIER, backend).number(NBD_ATTR_SIZE_BYTES, size);
  return as_status("does not take the new size", ask(socket_.get(), message));
}

Status NbdNetlink::disconnect(u32 number) {
  Message message(family_, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);
  message.number(NBD_ATTR_INDEX, number);
  return as_status("does not let go of the device", ask(socket_.get(), message));
}

Status NbdNetlink::listen() {
  if (::setsockopt(socket_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group_, sizeof group_) != 0) {
    return Error{Code::io, fmt::format("the kernel's nbd driver tells nothing: {}", std::strerror(errno))};
  }
  return {};
}

bool NbdNetlink::link_died(u32 number) {
  bool died = false;
  const auto look = [&](u16 kind, std::string_view body) {
    if (kind != family_ || number_in<genlmsghdr>(body).cmd != NBD_CMD_LINK_DEAD || body.size() < GENL_HDRLEN) return;
    each_attribute(body.substr(GENL_HDRLEN), [&](u16 type, std::string_view value) {
      if (type == NBD_ATTR_INDEX && number_in<u32>(value) == number) died = true;
    });
  };
  for (;;) {
    const int error = receive(socket_.get(), MSG_DONTWAIT, look);
    if (error == EAGAIN) return died;
    if (error == ENOBUFS) {
      died = true;  // some words were lost, and it may have been this one
    } else if (error != 0) {
      return died;
    }
  }
}

}  // namespace brindle::attach
