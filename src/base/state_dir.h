// state_dir.h: which folder holds the pool and the sockets, one rule for brindled and brindle.
#pragma once

#include <string>
#include <string_view>

namespace brindle {

inline constexpr std::string_view control_socket_name = "control.sock";

/// `given` (--state) beats the environment's BRINDLE_STATE, which beats the default: /var/lib/brindle for a program that was
/// installed (its file lies below /usr), ./.brindle for one that was built in a checkout.
std::string state_dir(std::string_view given);

/// The default for a program whose file is `program`.
std::string default_state_dir(std::string_view program);

}  // namespace brindle
