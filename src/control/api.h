// api.h: the calls of docs/api.md, from a parsed request to an answer.
//
// Holds:  1. Every call checks its whole input before it asks the engine for anything.
//         2. The engine is asked on its home core, a short piece at a time; the JSON is made on the caller's thread.
// Caller: any thread but a reactor's, many at once. The engine and its home core must outlive every call.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/body.h"
#include "control/http.h"
#include "control/job.h"
#include "control/query.h"
#include "control/rates.h"
#include "runtime/remote.h"
#include "volume/engine.h"

namespace brindle::control {

/// What the status tells of the daemon around the engine.
struct NbdStatus {
  u64 connections = 0;
  std::vector<std::string> sockets;
};
struct About {
  std::string version;
  std::function<NbdStatus()> nbd;
  /// What `POST /v1/check` runs; empty: this daemon has no verifier.
  std::function<JobSteps()> check;
};

class Api {
 public:
  Api(Engine& engine, Runtime& home, About about);
  ~Api();
  Answer handle(const Request& request);
  /// Ends the jobs, and no other one is started.
  void close();

 private:
  struct Call {
    const Request& request;
    std::string name;  // the path's last segment, where the route has one
    Query query;
    Body body;
    /// The first error in either.
    Status finish() const;
  };
  using Handler = Answer (Api::*)(Call&);
  struct Route {
    const char* method;
    const char* path;  // the segment behind v1
    bool named;        // one more segment follows: a name
    Handler handler;
  };
  static const std::vector<Route>& routes();
  Answer dispatch(const Request& request);

  // objects.cc: volumes and snapshots
  Answer volume_list(Call& call);
  Answer volume_create(Call& call);
  Answer volume_show(Call& call);
  Answer volume_change(Call& call);
  Answer snapshot_list(Call& call);
  Answer snapshot_create(Call& call);
  Answer snapshot_show(Call& call);
  Answer snapshot_change(Call& call);
  Answer clone(Call& call);
  Answer show(Call& call, bool snapshot);
  // changes.cc
  Answer rollback(Call& call);
  Answer remove(Call& call);
  // lists.cc
  Answer list(Call& call, bool snapshots);
  Answer tree(Call& call);
  Answer space(Call& call);
  Answer diff(Call& call);
  // pool.cc
  Answer status(Call& call);
  Answer pool_show(Call& call);
  Answer pool_grow(Call& call);
  Answer sync(Call& call);
  Answer scrub_start(Call& call);
  Answer tidy_start(Call& call);
  Answer check_start(Call& call);
  /// Of one of the three jobs below.
  template <Job Api::*which>
  Answer job_show(Call& call);
  template <Job Api::*which>
  Answer job_end(Call& call);

  // asking the engine
  Result<EntryInfo> find(const std::string& name);
  /// As find, and `invalid` where it is a volume and should be a snapshot, or the other way round.
  Result<EntryInfo> find_kind(const std::string& name, bool snapshot);
  Status wait_for_reclaim();
  /// Whatever the query finds, in pieces.
  std::vector<ListItem> items(const ListQuery& query, ListKey key);
  std::vector<EntryInfo> infos(std::vector<u64> ids);
  /// Makes `names`; with `if_not_exists` those that are missing. Gives how many were made.
  template <class Make>
  Result<size_t> create_all(std::vector<std::string> names, bool if_not_exists, bool snapshots, Make make);
  Answer entries(unsigned status, const std::vector<std::string>& names);
  Answer job(unsigned status, Job& job);
  Answer start(Job& job, JobSteps steps);
  template <class Run>
  JobSteps steps(Run run);
  void write_pool(JsonWriter& to, const PoolStatus& status);

  Engine& engine_;
  Runtime& home_;
  About about_;
  u64 started_ns_;
  RateMeter meter_;
  Job scrub_;
  Job check_;
  Job tidy_{true};
};

/// An answer of one JSON document.
Answer document(JsonWriter& json, unsigned status = 200);

}  // namespace brindle::control
