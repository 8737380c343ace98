// table.h: rows as aligned columns, for people.
#pragma once

#include <string>
#include <vector>

namespace brindle::cli {

enum class Align { left, right };

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell a column.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Title line and rows; a column that is empty or "-" in every row is left out, and no line ends in blanks.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "key    value" lines with the values aligned; pairs with an empty value are left out.
std::string key_values(const std::vector<std::pair<std::string, std::string>>& pairs);

/// Characters that a terminal shows of UTF-8 text.
size_t shown_width(const std::string& text);

}  // namespace brindle::cli
