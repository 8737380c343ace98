#include "control/job.h"

#include "base/uuid.h"

namespace brindle::control {

Status Job::start(JobSteps steps) {
  const std::lock_guard thread_lock(thread_mutex_);
  if (closed_) return Error{Code::stopping, "the daemon is stopping"};
  {
    const std::lock_guard lock(mutex_);
    if (running_) return Error{Code::busy, "one is running already: look at it, or end it first"};
    running_ = true;
    id_ = uuid_text(fresh_uuid());
    steps_ = std::move(steps);
    last_ = {};
    error_.reset();
    damage_.clear();
  }
  if (thread_.joinable()) thread_.join();
  thread_ = std::thread([this, run = steps_->run] {
    auto result = run();
    const std::lock_guard lock(mutex_);
    last_ = steps_->progress();
    running_ = false;
    if (result) {
      damage_ = std::move(result).value();
    } else {
      error_ = result.error();
    }
  });
  return {};
}

void Job::end() {
  const std::lock_guard thread_lock(thread_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (running_) steps_->stop();
  }
  if (thread_.joinable()) thread_.join();
}

void Job::close() {
  end();
  {
    const std::lock_guard thread_lock(thread_mutex_);
    closed_ = true;
  }
  end();  // one may have begun in between
}

void Job::write(JsonWriter& to) {
  const std::lock_guard lock(mutex_);
  const Engine::Progress progress = running_ ? steps_->progress() : last_;
  to.begin_object().member("id", id_).member("running", running_).member("done", progress.done).member("total", progress.total);
  to.member("error", error_ ? std::string_view(error_->message) : std::string_view());
  to.member("code", error_ ? code_name(error_->code) : std::string_view());
  if (tidies_) {
    to.member("rewritten", progress.rewritten).member("shared", progress.shared);
  } else {
    write_damage(to.key("damage"), damage_);
  }
  to.end_object();
}

}  // namespace brindle::control
