#include "control/api.h"

#include <algorithm>

#include <fmt/format.h>

#include "control/problem.h"

namespace brindle::control {

namespace {

constexpr u64 entries_a_look = 4096;  // that one visit to the home core looks at: some hundred microseconds

/// A browser tells the page's origin with every request that a page makes across sites. Those of our own pages are as the
/// request's Host says; and a Host that is a name, not an address, may be anybody's name for this address. Where only this host
/// reaches us such a name is refused even without an origin, which a browser does not tell of a page that reads from its own.
Status check_web(const Request& request) {
  if (!request.origin.empty() && request.origin != "http://" + request.host) {
    return Error{Code::invalid, "requests from pages of other origins are refused"};
  }
  const std::string host = request.host.substr(0, request.host.rfind(':'));
  const bool address = !host.empty() && host.find_first_not_of("0123456789.") == std::string::npos;
  const bool address6 = !host.empty() && host.front() == '[';
  const bool named = !host.empty() && !address && !address6 && host != "localhost";
  if (named && (!request.origin.empty() || request.way == Way::loopback)) {
    return Error{Code::invalid, fmt::format("ask for the daemon by its address, or as localhost, not as '{}'", host)};
  }
  const bool json = request.content_type.rfind("application/json", 0) == 0;
  if (!request.body.empty() && !json) return Error{Code::invalid, "over TCP a body must be of Content-Type: application/json"};
  return {};
}

}  // namespace

Answer document(JsonWriter& json, unsigned status) {
  Answer answer;
  answer.status = status;
  answer.body = json.take();
  answer.body += '\n';
  return answer;
}

Api::Api(Engine& engine, Runtime& home, About about)
    : engine_(engine), home_(home), about_(std::move(about)), started_ns_(home.now_ns()) {}

Api::~Api() = default;

void Api::close() {
  scrub_.close();
  check_.close();
  tidy_.close();
}

Status Api::Call::finish() const {
  if (auto status = query.finish(); !status) return status;
  return body.finish();
}

template <Job Api::*which>
Answer Api::job_show(Call& call) {
  const Status status = call.finish();
  return status ? job(200, this->*which) : problem(status.error());
}

template <Job Api::*which>
Answer Api::job_end(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  (this->*which).end();
  return job(200, this->*which);
}

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> routes{
      {"GET", "status", false, &Api::status},
      {"GET", "volumes", false, &Api::volume_list},
      {"POST", "volumes", false, &Api::volume_create},
      {"GET", "volumes", true, &Api::volume_show},
      {"PATCH", "volumes", true, &Api::volume_change},
      {"GET", "snapshots", false, &Api::snapshot_list},
      {"POST", "snapshots", false, &Api::snapshot_create},
      {"GET", "snapshots", true, &Api::snapshot_show},
      {"PATCH", "snapshots", true, &Api::snapshot_change},
      {"POST", "clones", false, &Api::clone},
      {"POST", "rollback", false, &Api::rollback},
      {"POST", "delete", false, &Api::remove},
      {"GET", "diff", false, &Api::diff},
      {"GET", "space", false, &Api::space},
      {"GET", "tree", false, &Api::tree},
      {"POST", "sync", false, &Api::sync},
      {"GET", "pool", false, &Api::pool_show},
      {"POST", "pool/grow", false, &Api::pool_grow},
      {"POST", "scrub", false, &Api::scrub_start},
      {"GET", "scrub", false, &Api::job_show<&Api::scrub_>},
      {"DELETE", "scrub", false, &Api::job_end<&Api::scrub_>},
      {"POST", "check", false, &Api::check_start},
      {"GET", "check", false, &Api::job_show<&Api::check_>},
      {"DELETE", "check", false, &Api::job_end<&Api::check_>},
      {"POST", "tidy", false, &Api::tidy_start},
      {"GET", "tidy", false, &Api::job_show<&Api::tidy_>},
      {"DELETE", "tidy", false, &Api::job_end<&Api::tidy_>},
  };
  return routes;
}

Answer Api::handle(const Request& request) {
  if (request.way != Way::local) {
    if (auto status = check_web(request); !status) return problem(status.error());
  }
  return dispatch(request);
}

Answer Api::dispatch(const Request& request) {
  const auto& path = request.path;
  const bool ours = path.size() >= 2 && path.size() <= 3 && path[0] == "v1";
  std::string allow;
  for (const Route& route : routes()) {
    const bool two = path.size() == 3;
    const bool fits = ours && (route.named ? two && route.path == path[1] : route.path == path[1] + (two ? "/" + path[2] : ""));
    if (!fits) continue;
    if (route.method != request.method) {
      allow += (allow.empty() ? "" : ", ") + std::string(route.method);
      continue;
    }
    auto body = Body::parse(request.body);
    if (!body) return problem(body.error());
    Call call{request, route.named ? path[2] : std::string(), Query(request.query), std::move(body).value()};
    return (this->*route.handler)(call);
  }
  if (allow.empty()) return problem({Code::not_found, "the API has no such path: docs/api.md lists them"});
  Answer answer = problem({Code::invalid, fmt::format("this path does not take {}, but {}", request.method.substr(0, 16), allow)}, 405);
  answer.allow = allow;
  return answer;
}

Result<EntryInfo> Api::find(const std::string& name) {
  return ask_blocking(home_, [this, name] { return engine_.show(name); });
}

Result<EntryInfo> Api::find_kind(const std::string& name, bool snapshot) {
  auto entry = find(name);
  if (!entry || entry->is_snapshot == snapshot) return entry;
  return Error{Code::invalid, snapshot ? fmt::format("{} is a volume, and this needs a snapshot: VOLUME@SNAP", name)
                                       : fmt::format("{} is a snapshot, and this needs a volume", name)};
}

Status Api::wait_for_reclaim() {
  return call_blocking(home_, [this] { return engine_.sync(); });
}

std::vector<ListItem> Api::items(const ListQuery& query, ListKey key) {
  std::vector<ListItem> all;
  std::string after;
  do {
    ListPiece piece = ask_blocking(home_, [&] { return engine_.list_piece(query, key, after, entries_a_look); });
    all.insert(all.end(), piece.items.begin(), piece.items.end());
    after = std::move(piece.next);
  } while (!after.empty());
  return all;
}

std::vector<EntryInfo> Api::infos(std::vector<u64> ids) {
  return ask_blocking(home_, [this, ids = std::move(ids)] { return engine_.infos(ids); });
}

Answer Api::job(unsigned status, Job& job) {
  JsonWriter to;
  job.write(to);
  return document(to, status);
}

Answer Api::start(Job& job, JobSteps steps) {
  const Status started = job.start(std::move(steps));
  return started ? this->job(202, job) : problem(started.error());
}

}  // namespace brindle::control
