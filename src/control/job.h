// job.h: work of minutes that a client starts, looks at and ends: scrub, check and tidy. One of each runs at a time.
//
// Holds:  the work runs on a thread of its own; its result stays until the next one is started.
// Caller: any thread but a reactor's.
// Fails:  busy while one runs.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "control/json.h"
#include "volume/engine.h"

namespace brindle::control {

/// How far a job is; `stop` asks it to end early. Read and written by its work's own means only.
struct JobSteps {
  std::function<Result<std::vector<DamageRange>>()> run;
  std::function<Engine::Progress()> progress;
  std::function<void()> stop;
};

class Job {
 public:
  /// `tidies`: what it tells is what it wrote again, not what is damaged.
  explicit Job(bool tidies = false) : tidies_(tidies) {}
  ~Job() { close(); }
  /// Starts it. Fails: busy, stopping.
  Status start(JobSteps steps);
  /// Asks it to end and waits until it has.
  void end();
  /// The same, and no other one is started.
  void close();
  /// `{id, running, done, total, error, code, damage}`, or `rewritten` and `shared` for the last; of a job that never ran: no id, not running,
  /// nothing done. Who started one and finds another `id` later, or none, looks at another one.
  void write(JsonWriter& to);

 private:
  std::mutex mutex_;        // over what follows
  std::mutex thread_mutex_; // over `thread_` and `closed_`; taken first
  std::thread thread_;
  const bool tidies_;
  bool closed_ = false;
  std::string id_;  // of the last one that was started
  std::optional<JobSteps> steps_;
  bool running_ = false;
  Engine::Progress last_;
  std::optional<Error> error_;
  std::vector<DamageRange> damage_;
};

}  // namespace brindle::control
