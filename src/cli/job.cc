#include "cli/job.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/show.h"

namespace brindle::cli {

namespace {

using std::chrono::milliseconds;

/// Short at first, so that small pools answer at once; later an eighth of a second, which eyes do not see.
constexpr milliseconds pause_min{5};
constexpr milliseconds pause_max{125};

void pause(milliseconds time) {
  const std::timespec request{0, std::chrono::nanoseconds(time).count()};
  ::nanosleep(&request, nullptr);  // a signal ends it early
  check_interrupt();
}

/// Until the job that was started ends.
Json watch(Context& context, const Client& client, const std::string& path, const std::string& verb, const std::string& id) {
  Progress progress(verb, context.screen.err_tty);
  for (milliseconds time = pause_min;; time = std::min(2 * time, pause_max)) {
    Json job = client.get(path);
    if (text_at(job, "id") != id) refuse(Code::cancelled, "the daemon was started again meanwhile, or somebody began another one: begin again");
    if (!job.value("running", false)) return job;
    progress.show(job.value("done", u64{0}), job.value("total", u64{0}));
    pause(time);
  }
}

}  // namespace

Json run_job(Context& context, const std::string& path, const std::string& verb, const Json& body) {
  const Client client = context.client();
  const std::string id = text_at(client.post(path, body), "id");
  Json job;
  try {
    job = watch(context, client, path, verb, id);
  } catch (const Failure& failure) {
    if (failure.exit() == Exit::interrupted) {
      forget_interrupt();  // or the call that ends the job would be interrupted at once
      client.remove(path);
    }
    throw;
  }
  if (const std::string error = text_at(job, "error"); !error.empty()) throw Failure(Exit::refused, job.value("code", "io"), error);
  return job;
}

}  // namespace brindle::cli
