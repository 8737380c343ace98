// volume_link.h: finds a volume of the daemon by its uuid, connects to it, and knows when to try that again.
//
// Holds:  1. A connection is to the volume of this uuid, whatever its name is then, and whatever volume has its old name.
//         2. A volume is gone only after the daemon has said so for a while: one that has just begun is not believed at once.
// Caller: the event loop of a serving process; it blocks for some seconds at most.
// Fails:  not_found (there is no such volume now), read_only, stopping, invalid (try again later).
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "serve/attach/nbd_connection.h"

namespace brindle::attach {

/// Where a volume or snapshot is now.
struct Whereabouts {
  std::string name;
  u64 size = 0;
};
/// Asks the daemon; `last_name` is where to look first. Fails: not_found (it answered, and there is none with this uuid),
/// anything else: no answer now. It may block for some seconds.
using FindVolume = std::function<Result<Whereabouts>(const std::string& uuid, const std::string& last_name)>;

class VolumeLink {
 public:
  using Clock = std::chrono::steady_clock;

  VolumeLink(std::string uuid, std::string name, std::string nbd_socket, bool read_only, Replies replies, const FindVolume& find)
      : uuid_(std::move(uuid)), name_(std::move(name)), nbd_socket_(std::move(nbd_socket)), read_only_(read_only), replies_(replies),
        find_(find) {}

  /// As the daemon last knew it.
  const std::string& name() const { return name_; }
  Result<NbdConnection> connect();
  /// Without connecting.
  Result<u64> ask_size();

  /// Until the next attempt, from the loss of the connection on.
  void lost();
  void hurry() { retry_at_ = Clock::now(); }
  bool is_due() const { return Clock::now() >= retry_at_; }
  int wait_ms() const;
  /// How an attempt ended.
  void tried(const Status& status);
  /// The daemon says that there is no such volume any more. It may still come back.
  bool gone() const { return gone_; }

 private:
  const std::string uuid_;
  std::string name_;
  const std::string nbd_socket_;
  const bool read_only_;
  const Replies replies_;
  const FindVolume& find_;
  Clock::time_point retry_at_{};
  std::chrono::milliseconds retry_after_{};
  std::optional<Clock::time_point> missing_since_;
  bool gone_ = false;
};

/// A line in the log of a serving process.
void log_line(const std::string& line);
/// What a serving process does first: memory that it needs must not wait for writes that it serves itself; and it is a disk, not what is to
/// be killed when memory runs out. A signalfd of the signals by which it is told something.
Result<Fd> become_disk(std::initializer_list<int> signals);

}  // namespace brindle::attach
