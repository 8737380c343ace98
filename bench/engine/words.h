// words.h: one line of commands to engine_bench: a verb, then key=value words.
//
// Fails:  an unknown key or a malformed number ends the program, so that a typing error never measures something else.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/names.h"
#include "engine/rig.h"

namespace brindle::bench {

class Words {
 public:
  explicit Words(const std::string& line) {
    size_t at = line.find(' ');
    verb_ = line.substr(0, at);
    while (at != std::string::npos) {
      const size_t from = at + 1;
      at = line.find(' ', from);
      const std::string word = line.substr(from, at == std::string::npos ? at : at - from);
      const size_t equals = word.find('=');
      if (word.empty()) continue;
      if (equals == std::string::npos) fail("not key=value: " + word);
      values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }

  const std::string& verb() const { return verb_; }
  std::string text(const std::string& key, const std::string& otherwise = "") {
    used_.insert(key);
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : found->second;
  }
  /// A number, or a size as 4K or 2G.
  u64 number(const std::string& key, u64 otherwise) {
    const std::string given = text(key);
    if (given.empty()) return otherwise;
    return expect(parse_bytes(given), key);
  }
  bool flag(const std::string& key) { return number(key, 0) != 0; }
  void all_used() const {
    for (const auto& [key, value] : values_) {
      if (used_.count(key) == 0) fail(verb_ + " knows no " + key);
    }
  }

 private:
  std::string verb_;
  std::map<std::string, std::string> values_;
  std::set<std::string> used_;
};

}  // namespace brindle::bench
