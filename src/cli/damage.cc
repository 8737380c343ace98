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
  using Range = std::tuple<u64, u64, std::string, bool>;
  struct Found {
    std::vector<std::string> holders;
    std::string note;
  };
  std::map<Range, Found> ranges;
  for (const auto& entry : damage) {
    const std::string name = text_at(entry, "volume");
    auto& found =
        ranges[{entry.value("offset", u64{0}), entry.value("length", u64{0}), text_at(entry, "kind"), name.empty()}];
    if (!name.empty()) found.holders.push_back(name);
    if (found.note.empty()) found.note = text_at(entry, "note");
  }
  std::string out;
  for (auto& [range, found] : ranges) {
    const auto& [offset, length, what, is_pool] = range;
    std::sort(found.holders.begin(), found.holders.end());
    found.holders.erase(std::unique(found.holders.begin(), found.holders.end()), found.holders.end());
    out += fmt::format("damaged: {} at offset {} ({}), {}{}{}\n", format_size(length), offset, what,
                       is_pool ? "of the pool itself" : "held by " + enumerated(found.holders),
                       found.note.empty() ? "" : ": ", found.note);
  }
  return out;
}

void give_verdict(Context& context, const Json& job) {
  const Json damage = job.value("damage", Json::array());
  const u64 read = job.value("done", u64{0});
  Json verdict = {{"read", read}, {"damage", damage}};
  if (job.contains("staged")) verdict["staged"] = job["staged"];
  context.document(verdict);
  if (job.value("staged", false)) {
    context.say("acknowledged writes may stand in staging memory still, which was not looked at: start brindled with the same --staging, "
                "and check then");
  }
  if (damage.empty()) {
    context.say(fmt::format("nothing is wrong, {} read", format_size(read)));
    return;
  }
  context.print(damage_lines(damage));
  context.end_with(Exit::refused);
}

}  // namespace brindle::cli
