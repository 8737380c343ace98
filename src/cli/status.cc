// `brindle status` and `brindle sync`: how the daemon and its pool are.
#include <fmt/format.h>

#include "base/names.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/status.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

const Json& part(const Json& document, const char* key) {
  static const Json none = Json::object();
  const auto found = document.find(key);
  return found != document.end() && found->is_object() ? *found : none;
}

u64 number(const Json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_number() ? found->get<u64>() : 0;
}

double rate(const Json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_number() ? found->get<double>() : 0;
}

std::string shown_duration(u64 seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string shown_cache(const Json& cache) {
  const u64 hits = number(cache, "hits");
  const u64 asked = hits + number(cache, "misses");
  std::string text =
      fmt::format("{} of {}", format_size(number(cache, "bytes")), format_size(number(cache, "memory_max")));
  if (asked > 0) text += fmt::format(", {:.1f} % hits", 100.0 * static_cast<double>(hits) / static_cast<double>(asked));
  return text;
}

std::string shown_traffic(const Json& io, const Json& rates, const char* count, const char* bytes) {
  return fmt::format("{:.0f}/s, {}/s; {} of {} since the start", rate(rates, fmt::format("{}_s", count).c_str()),
                     format_size(static_cast<u64>(rate(rates, fmt::format("{}_s", bytes).c_str()))), number(io, count),
                     format_size(number(io, bytes)));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> pool_lines(const Json& pool) {
  const u64 reclaiming = number(pool, "reclaiming");
  std::vector<std::pair<std::string, std::string>> lines;
  const auto members = pool.find("members");
  if (members != pool.end() && members->is_array() && members->size() > 1) {
    for (const Json& member : *members) {
      lines.emplace_back(lines.empty() ? "pool" : "",
                         fmt::format("{}, {} of {} allocated", text_at(member, "path"),
                                     format_size(number(member, "allocated")), format_size(number(member, "size"))));
    }
  } else {
    lines.emplace_back("pool", text_at(pool, "path"));
  }
  const std::vector<std::pair<std::string, std::string>> rest{
      {"health", text_at(pool, "health")},
      {"size", format_size(number(pool, "size"))},
      {"used", format_size(number(pool, "used"))},
      {"reclaiming", reclaiming == 0 ? "" : format_size(reclaiming)},
      {"free", format_size(number(pool, "free"))},
      {"allocated", format_size(number(pool, "allocated"))},
      {"holds", fmt::format("{}, {}", counted(number(pool, "volumes"), "volume"),
                            counted(number(pool, "snapshots"), "snapshot"))}};
  lines.insert(lines.end(), rest.begin(), rest.end());
  return lines;
}

void add_status(CLI::App& app, Context& context) {
  add_verb(app, context, "status", "Shows health, space, cache and traffic.",
           {"brindle status", "brindle status --json"}, [&context] {
             const Json status = context.client().get("/v1/status");
             context.document(status);
             const Json& io = part(status, "io");
             const Json& rates = part(status, "rates");
             const Json& nbd = part(status, "nbd");
             std::string sockets;
             if (const auto list = nbd.find("sockets"); list != nbd.end() && list->is_array()) {
               sockets = enumerated(list->get<std::vector<std::string>>());
             }
             auto lines = pool_lines(part(status, "pool"));
             lines.emplace_back("cache", shown_cache(part(status, "cache")));
             lines.emplace_back("reads", shown_traffic(io, rates, "reads", "read_bytes"));
             lines.emplace_back("writes", shown_traffic(io, rates, "writes", "write_bytes"));
             lines.emplace_back("log", fmt::format("{} to replay", format_size(number(part(status, "log"), "bytes"))));
             lines.emplace_back("nbd", fmt::format("{}{}{}", counted(number(nbd, "connections"), "connection"),
                                                   sockets.empty() ? "" : " on ", sockets));
             lines.emplace_back(
                 "daemon", fmt::format("brindled {}, pid {}, up {}", text_at(status, "version"), number(status, "pid"),
                                       shown_duration(number(status, "uptime_s"))));
             context.print(key_values(lines));
           });
}

void add_sync(CLI::App& app, Context& context) {
  add_verb(app, context, "sync",
           "Makes a checkpoint, finishes all reclaim, and then returns.\nWhat `status` shows is exact then.",
           {"brindle sync"}, [&context] {
             const Json status = context.client().post("/v1/sync");
             context.document(status);
             const Json& pool = part(status, "pool");
             context.say(
                 fmt::format("{} used, {} free", format_size(number(pool, "used")), format_size(number(pool, "free"))));
           });
}

}  // namespace brindle::cli
