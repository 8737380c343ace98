#include "cli/damage.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/show.h"

namespace brindle::cli {

std::string damage_lines(const Json& damage) {
  // Snapshots and clones share a block at the same offset, so the holders of one bad block come together here.
  using Range = std::tuple<u64, u64, std::string>;
  std::map<Range, std::vector<std::string>> holders;
  for (const auto& entry : damage) {
    const std::string name = text_at(entry, "volume");
    auto& names = holders[{entry.value("offset", u64{0}), entry.value("length", u64{0}), text_at(entry, "kind")}];
    if (!name.empty()) names.push_back(name);
  }
  std::string out;
  for (auto& [range, names] : holders) {
    const auto& [offset, length, what] = range;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.empty()) {
      out += fmt::format("damaged: the pool's own structures ({})", what);
      if (length > 0) out += fmt::format(", {} at {}", format_size(length), offset);
      out += '\n';
    } else {
      out += fmt::format("damaged: {} at offset {} ({}), held by {}\n", format_size(length), offset, what, enumerated(names));
    }
  }
  return out;
}

void give_verdict(Context& context, const Json& job) {
  const Json damage = job.value("damage", Json::array());
  const u64 read = job.value("done", u64{0});
  context.document({{"read", read}, {"damage", damage}});
  if (damage.empty()) {
    context.say(fmt::format("nothing is wrong, {} read", format_size(read)));
    return;
  }
  context.print(damage_lines(damage));
  context.end_with(Exit::refused);
}

}  // namespace brindle::cli
