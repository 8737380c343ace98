// client.h: the control API (docs/api.md) as calls that return JSON.
//
// Fails:  Failure refused with the daemon's own code and message; what http.h says.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/http.h"

namespace brindle::cli {

/// Keys keep the order in which the daemon gave them.
using Json = nlohmann::ordered_json;

/// Keys and values of a query; a key may stand several times.
using Query = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  explicit Client(std::string socket_path) : http_(std::move(socket_path)) {}
  /// Give up when the daemon has not answered after this; without it, wait.
  void set_patience(std::chrono::milliseconds patience) { patience_ = patience; }

  Json get(const std::string& path, const Query& query = {}) const;
  Json post(const std::string& path, const Json& body = Json::object()) const;
  Json patch(const std::string& path, const Json& body) const;
  Json remove(const std::string& path) const;

 private:
  Json call(const std::string& method, const std::string& target, const std::string& body) const;
  Http http_;
  std::optional<std::chrono::milliseconds> patience_;
};

/// "/v1/volumes/db", "/v1/snapshots/db@monday": where a volume or a snapshot is found.
std::string path_of(const std::string& name);

}  // namespace brindle::cli
