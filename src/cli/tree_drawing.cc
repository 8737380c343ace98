#include "cli/tree_drawing.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/units.h"
#include "cli/show.h"
#include "cli/table.h"

namespace brindle::cli {

namespace {

struct Strokes {
  const char* branch;  // an entry with siblings below it
  const char* last;    // the last entry
  const char* line;    // beside what stands above a sibling
  const char* blank;
};
constexpr Strokes box{"├─ ", "└─ ", "│  ", "   "};
constexpr Strokes ascii{"|- ", "`- ", "|  ", "   "};

/// Deeper clones of clones are drawn at this depth: a terminal has an end, and a chain of 100,000 would fill memory.
constexpr size_t before_size_max = 240;

struct Entry {
  const Json* document;
  std::string volume;
  bool is_volume;
  std::vector<size_t> children;
};

std::vector<Entry> read_entries(const Json& document, std::vector<size_t>& eldest) {
  std::vector<Entry> entries;
  std::vector<size_t> ancestors;  // by depth
  for (const auto& json : document) {
    const std::string name = text_at(json, "name");
    const size_t depth = std::min<size_t>(json.value("depth", u64{0}), ancestors.size());
    ancestors.resize(depth);
    const size_t index = entries.size();
    entries.push_back({&json, name.substr(0, name.find('@')), name.find('@') == std::string::npos, {}});
    if (depth == 0) {
      eldest.push_back(index);
    } else {
      entries[ancestors.back()].children.push_back(index);
    }
    ancestors.push_back(index);
  }
  return entries;
}

/// The child that continues the entry's own volume: its head if that is here, else the latest snapshot of it.
std::optional<size_t> heir(const std::vector<Entry>& entries, size_t index) {
  const Entry& entry = entries[index];
  std::optional<size_t> found;
  for (const size_t child : entry.children) {
    if (entries[child].volume != entry.volume) continue;
    if (!found || entries[child].is_volume || !entries[*found].is_volume) found = child;
  }
  if (!found && entry.children.size() == 1) found = entry.children.front();
  return found;
}

/// A line of descent waiting to be drawn from `first` on. A stack of them instead of recursion, since nobody bounds its depth.
struct Line {
  size_t next;           // the entry to draw
  bool is_first;         // it is the line's first
  std::string before;    // what stands before the line's later entries
  std::string of_first;  // and before the first, strokes included
};

}  // namespace

std::string draw_families(const Json& document, bool utf8) {
  const Strokes& strokes = utf8 ? box : ascii;
  std::vector<size_t> eldest;
  const std::vector<Entry> entries = read_entries(document, eldest);
  Table table(
      {{"NAME"}, {"SIZE", Align::right}, {"REFERENCED", Align::right}, {"EXCLUSIVE", Align::right}, {"CREATED"}});
  std::vector<Line> stack;
  for (auto root = eldest.rbegin(); root != eldest.rend(); ++root) stack.push_back({*root, true, "", ""});
  while (!stack.empty()) {
    const Line line = std::move(stack.back());
    stack.pop_back();
    const Entry& entry = entries[line.next];
    const auto next = heir(entries, line.next);
    const std::string drawn = line.is_first ? line.of_first : line.before + (next ? strokes.branch : strokes.last);
    const Json& json = *entry.document;
    table.add({drawn + text_at(json, "name"), shown_size(json.value("size", Json())),
               shown_size(json.value("referenced", Json())), shown_size(json.value("exclusive", Json())),
               shown_time(text_at(json, "created"))});
    if (next) stack.push_back({*next, false, line.before, ""});
    std::vector<size_t> branches;
    for (const size_t child : entry.children) {
      if (child != next) branches.push_back(child);
    }
    std::string before = line.before;
    if (before.size() < before_size_max) before += next ? strokes.line : strokes.blank;
    for (auto branch = branches.rbegin(); branch != branches.rend(); ++branch) {
      const bool is_last = branch == branches.rbegin();
      stack.push_back({*branch, true, before + (is_last ? strokes.blank : strokes.line),
                       before + (is_last ? strokes.last : strokes.branch)});
    }
  }
  return table.empty() ? "" : table.text();
}

}  // namespace brindle::cli
