// findings.h: gathers what is wrong, joining neighbours, so that a damaged gigabyte is one line and not 262,144.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "check/report.h"

namespace brindle {

class Findings {
 public:
  /// Of the pool's own structures. `offset`: a byte address of the device.
  void pool(std::string_view kind, u64 offset, u64 length, std::string note);
  void volume(const std::string& name, std::string_view kind, u64 offset, u64 length, std::string note);
  /// Everything, by volume and offset.
  std::vector<CheckDamage> take();

 private:
  std::vector<CheckDamage> damage_;
  std::map<std::string, u64, std::less<>> pool_counts_;  // by kind
};

}  // namespace brindle
