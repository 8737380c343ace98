// notify.h: tells systemd how the daemon is: the protocol of sd_notify(3), without its library.
#pragma once

#include <string_view>

namespace brindle::daemon {

/// Sends "READY=1", "STOPPING=1", "STATUS=…" where the service manager listens; does nothing where there is none.
void notify(std::string_view state);

}  // namespace brindle::daemon
