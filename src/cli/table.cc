#include "cli/table.h"

#include <algorithm>

#include "base/check.h"

namespace brindle::cli {

namespace {

constexpr size_t gap = 2;

void append_cell(std::string& line, const std::string& cell, size_t width, Align align) {
  const std::string fill(width - std::min(width, shown_width(cell)), ' ');
  line += align == Align::right ? fill + cell : cell + fill;
}

void end_line(std::string& line) {
  line.erase(line.find_last_not_of(' ') + 1);
  line += '\n';
}

}  // namespace

size_t shown_width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void Table::add(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = shown_width(columns_[i].title);
    bool says_something = false;
    for (const auto& row : rows_) {
      width = std::max(width, shown_width(row[i]));
      says_something = says_something || (!row[i].empty() && row[i] != "-");
    }
    widths.push_back(says_something ? width : 0);
  }
  std::string out;
  const auto append_line = [&](auto cell_of) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (widths[i] == 0) continue;
      if (!line.empty()) line.append(gap, ' ');
      append_cell(line, cell_of(i), widths[i], columns_[i].align);
    }
    end_line(line);
    out += line;
  };
  append_line([&](size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) append_line([&](size_t i) { return row[i]; });
  return out;
}

std::string key_values(const std::vector<std::pair<std::string, std::string>>& pairs) {
  size_t width = 0;
  for (const auto& [key, value] : pairs) {
    if (!value.empty()) width = std::max(width, shown_width(key));
  }
  std::string out;
  for (const auto& [key, value] : pairs) {
    if (value.empty()) continue;
    std::string line;
    append_cell(line, key, width, Align::left);
    line.append(gap, ' ');
    line += value;
    end_line(line);
    out += line;
  }
  return out;
}

}  // namespace brindle::cli
