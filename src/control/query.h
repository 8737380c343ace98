// query.h: the parameters behind the question mark; as with bodies, what nobody asked for is refused.
// Fails: invalid, with the parameter's name.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "volume/engine.h"

namespace brindle::control {

class Query {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  explicit Query(const Pairs& pairs) : pairs_(pairs) {}

  /// The parameter, or "" where it is absent; noted as an error where it is there twice.
  std::string text(std::string_view name);
  std::vector<std::string> texts(std::string_view name);
  bool flag(std::string_view name);
  u64 number(std::string_view name, u64 otherwise);
  /// `label=K=V`, repeatable.
  Labels labels();
  ListKey sort();
  void require(std::string_view name);
  /// The first error, or the first parameter that nobody asked for.
  Status finish() const;

 private:
  void fail(std::string message);

  const Pairs& pairs_;
  std::set<std::string, std::less<>> known_;
  Status status_;
};

}  // namespace brindle::control
