// served_file.h: a folder with one file in it, through FUSE; what is done to the file becomes NBD commands.
//
// Holds:  1. Every request of the kernel is answered exactly once, when the NBD command is.
//         2. A punched or zeroed range reads as zeroes once the kernel has its answer, and its whole blocks are given back.
//         3. Requests under way are bounded by what the kernel may have in the background (background_max of 1 MiB).
// Caller: one thread, from its event loop; pump() never waits.
// Fails:  io (mounting), and pump() when the kernel ended the connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "serve/attach/nbd_client.h"
#include "serve/attach/overlay.h"

struct fuse_session;

namespace brindle::attach {

struct ServedFileOptions {
  std::string folder;       // an empty one, which the mount hides
  std::string file_name;
  std::string label;        // what the mount table shows as the source
  bool read_only = false;
};

class ServedFile {
 public:
  static constexpr unsigned background_max = 64;

  /// `overlay`: where writes go, nullptr: to the volume. `client` outlives the file.
  static Result<std::unique_ptr<ServedFile>> mount(const ServedFileOptions& options, NbdClient& client,
                                                   std::unique_ptr<Overlay> overlay);
  ~ServedFile();
  ServedFile(const ServedFile&) = delete;
  ServedFile& operator=(const ServedFile&) = delete;

  /// What to poll for reading.
  int fd() const;
  /// Takes the requests that wait. True: there were some.
  bool pump();
  /// The kernel ended the connection: unmounted, or aborted.
  bool ended() const;

  u64 size() const { return size_; }
  void set_size(u64 bytes) { size_ = bytes; }
  /// Open handles of the file: a loop device is one.
  u64 handles() const { return handles_; }

 private:
  friend struct Operations;
  friend class WriteCommand;
  ServedFile(ServedFileOptions options, NbdClient& client, std::unique_ptr<Overlay> overlay)
      : options_(std::move(options)), client_(client), overlay_(std::move(overlay)) {}

  void* spare_take();
  void spare_give(void* buffer);

  ServedFileOptions options_;
  NbdClient& client_;
  std::unique_ptr<Overlay> overlay_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  u64 size_ = 0;
  u64 handles_ = 0;
  void* receiving_ = nullptr;      // the kernel's requests come into this
  bool receiving_kept_ = false;    // a write keeps it until it is answered
  std::vector<void*> spare_;
};

}  // namespace brindle::attach
