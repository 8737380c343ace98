// block_device.h: what holds for a block device of the kernel's, whatever driver made it.
//
// Caller: root; the functions that only look, anybody.
// Fails:  io, busy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace brindle::attach {

/// Names of whole devices ("nbd3") that begin so.
std::vector<std::string> device_names(const std::string& prefix);
/// The first line of a file of the device's in sysfs ("loop/backing_file"), "" where there is none.
std::string device_attribute(const std::string& name, const std::string& attribute);

/// "8:1"s of the device and of its partitions.
std::vector<std::string> device_numbers(const std::string& device);
/// "/dev/loop3" and "/dev/loop3p1"s.
std::vector<std::string> device_nodes(const std::string& device);

/// Makes the device refuse writes from now on; who writes already goes on.
Status device_set_read_only(const std::string& device);
/// Writes out what the kernel holds of the device, and flushes it.
Status device_flush(const std::string& device);

/// Writes out what others have written and the kernel still holds, without a flush: nothing is asked of the device where there is nothing.
/// (The kernel does so by itself when the last one closes the device, and somebody who looks at it is one more.)
Status device_write_out(int fd);

/// What errno says about it.
Error device_failed(const std::string& what);

}  // namespace brindle::attach
