// nbd_keeper.h: the process behind a device of the kernel's nbd: it makes the device, and keeps it connected until it is detached.
//
// Data goes straight between the kernel and the daemon. When their connection dies, the kernel holds all requests back, the keeper makes another
// connection to the volume of the same uuid, and the kernel sends again what was not answered.
// Holds:  1. As for the file's server (server.h): I/O waits for the daemon; when the daemon says that the volume is gone, I/O fails.
//         2. SIGTERM ends it once the kernel has no such device any more, and never before. SIGHUP makes it look for the daemon at once, and
//            ask for the volume's present size. After SIGUSR1 it makes no other connection; SIGUSR2 ends the present one too.
//         3. There is one connection. With several the kernel gives up one whose request takes long, sends the request again on another,
//            and the daemon may still do the first, after newer ones.
//         4. A keeper that finds the device there already, as its forerunner was killed, keeps that.
#pragma once

#include <functional>

#include "serve/attach/server.h"

namespace brindle::attach {

/// As serve() in server.h; of the options it has no use for file_name and overlay.
int keep_nbd(const ServeOptions& options, const FindVolume& find, const std::function<void(Status)>& ready);

}  // namespace brindle::attach
