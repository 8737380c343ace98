// records.h: what is known of each attachment, in STATE/attach, so that the next command finds it.
//
// Layout, for a volume or snapshot with the uuid U:
//   U.lock         held by a command while it attaches or detaches
//   U/alive        locked by the serving process as long as it lives, however it ends
//   U/record.json  what was asked for, and the device; written by attach
//   U/server.json  the serving process: pid, present name, size, whether it has the daemon; written by itself
//   U/log          its log
//   U/disk/        where FUSE is mounted, with loop
// Holds:  a record whose `alive` is not locked is stale: the process was killed or the machine restarted.
// Caller: any process that may write the folder; listing needs reading only.
// Fails:  io.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/units.h"
#include "base/fd.h"

namespace brindle::attach {

struct Record {
  std::string name;          // when it was attached
  std::string uuid;
  std::string driver;        // driver.h: "nbd", "loop"
  std::string device;        // "/dev/loop3"
  std::string file_name;     // of the file in disk/, with loop
  std::string mount;         // where attach mounted it, or ""
  bool read_only = false;
};

struct ServerState {
  pid_t pid = 0;
  std::string name;          // as the daemon last knew it
  u64 size = 0;              // bytes
  bool connected = false;
};

/// The folder of one attachment, and the paths in it.
class Place {
 public:
  Place(const std::string& attach_folder, std::string uuid) : base_(attach_folder + "/" + uuid), uuid_(std::move(uuid)) {}
  const std::string& uuid() const { return uuid_; }
  const std::string& folder() const { return base_; }
  std::string lock() const { return base_ + ".lock"; }
  std::string alive() const { return base_ + "/alive"; }
  std::string record() const { return base_ + "/record.json"; }
  std::string server() const { return base_ + "/server.json"; }
  std::string log() const { return base_ + "/log"; }
  std::string disk() const { return base_ + "/disk"; }
  /// The end of disk() that nothing else has, however the state folder is reached.
  std::string disk_part() const { return "/" + uuid_ + "/disk/"; }

  Status create() const;
  /// The folder and the lock's file; after it nothing of the attachment is left.
  void remove() const;

  std::optional<Record> read_record() const;
  Status write_record(const Record& record) const;
  std::optional<ServerState> read_server() const;
  Status write_server(const ServerState& state) const;
  /// The serving process lives.
  bool is_alive() const;
  /// Held by the serving process from its start to its end.
  Result<Fd> hold_alive() const;
  /// False: it still lives after that.
  bool wait_for_end(std::chrono::milliseconds patience) const;
  /// SIGKILL, if it lives.
  void kill(pid_t pid) const;

 private:
  std::string base_;
  std::string uuid_;
};

/// STATE/attach, absolute.
std::string attach_folder(const std::string& state_dir);
/// Every attachment that left something there.
std::vector<Place> places(const std::string& attach_folder);

/// Waits until no other command works on the attachment, at most `patience_ms`. Fails: busy.
Result<Fd> lock_place(const Place& place, int patience_ms);

}  // namespace brindle::attach
