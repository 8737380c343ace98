#include "crash/verdict.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/aligned.h"
#include "check/verify.h"
#include "crash/recorder.h"
#include "volume/core.h"

namespace brindle::crash {

namespace {

/// A pool on a copy of an image, with an engine that can be opened on it.
class Opened {
 public:
  explicit Opened(const Image& image) : image_(image), device_(runtime_, image_, shelf(), nullptr) {}

  /// Each step gives what is wrong, "" when nothing is.
  std::string verify(const char* when);
  std::string open();
  std::string read_all(u64& content);
  std::string live_blocks(u64 content, std::span<const Moment> moments);
  std::string use();
  std::string empty(u64& used);
  std::string close();

 private:
  /// What was put there for the state before is not needed any more.
  static Shelf& shelf() {
    static Shelf shelf;
    shelf.clear();
    return shelf;
  }
  template <class T>
  std::string failed(const std::optional<T>& result, const char* what) {
    if (!result) return fmt::format("{} never returns", what);
    return *result ? std::string() : fmt::format("{}: {}", what, result->error().message);
  }

  FairRuntime runtime_;
  Image image_;
  Recorder device_;
  // Left as it lies when something failed: what still waits in it may be resumed.
  EngineCore* engine_ = nullptr;
};

std::string Opened::verify(const char* when) {
  const auto report = runtime_.run(brindle::verify(runtime_, device_, {}, nullptr));
  if (!report || !*report) return failed(report, when);
  if ((*report)->clean()) return {};
  const CheckDamage& first = (*report)->damage.front();
  return fmt::format("{}: the verifier finds {} ranges damaged, at first {} of '{}' at {} + {}: {}", when,
                     (*report)->damage.size(), first.kind, first.volume, first.offset, first.length, first.note);
}

std::string Opened::open() {
  engine_ = new EngineCore(runtime_, device_, {.memory_max = memory_max});
  if (auto why = failed(runtime_.run(engine_->open()), "open"); !why.empty()) return why;
  const PoolStatus status = engine_->status();
  return status.writable ? std::string() : fmt::format("the pool opened read-only: {}", status.health);
}

std::string Opened::read_all(u64& content) {
  const auto found = content_of(runtime_, *engine_);
  if (!found) return fmt::format("reading everything: {}", found.error().message);
  content = *found;
  return {};
}

std::string Opened::live_blocks(u64 content, std::span<const Moment> moments) {
  if (auto why = failed(runtime_.run(engine_->sync()), "sync"); !why.empty()) return why;
  const u64 live = engine_->live_blocks();
  std::string expected;
  for (const Moment& moment : moments) {
    if (moment.content != content) continue;
    if (moment.live_blocks == live) return {};
    expected += fmt::format(" {}", moment.live_blocks);
  }
  // No moment of the history at all: whoever asked sees that too.
  return expected.empty() ? std::string() : fmt::format("{} blocks live after recovery, expected{}", live, expected);
}

std::string Opened::use() {
  const auto volumes = engine_->list(false, "");
  const auto volume = std::find_if(volumes.begin(), volumes.end(), [](const EntryInfo& info) { return !info.deleted; });
  if (volume == volumes.end()) return {};
  const auto handle = engine_->open_handle(volume->name, false);
  if (!handle) return handle.error().message;
  const u64 offset = volume->size - 3 * block_size + 512;
  std::string bytes(2 * block_size, 'u');
  if (auto why = failed(runtime_.run((*handle)->write(offset, std::as_bytes(std::span(bytes)), true)), "a write afterwards");
      !why.empty()) {
    return why;
  }
  if (auto why = failed(runtime_.run(engine_->sync()), "sync"); !why.empty()) return why;
  std::string back(bytes.size(), '?');
  if (auto why = failed(runtime_.run((*handle)->read(offset, std::as_writable_bytes(std::span(back)))), "a read afterwards");
      !why.empty()) {
    return why;
  }
  return back == bytes ? std::string() : "what was written afterwards reads otherwise";
}

std::string Opened::empty(u64& used) {
  if (auto why = failed(runtime_.run(engine_->remove(all_names(*engine_), false, false)), "deleting everything"); !why.empty()) {
    return why;
  }
  if (auto why = failed(runtime_.run(engine_->sync()), "sync"); !why.empty()) return why;
  const PoolStatus status = engine_->status();
  used = status.used;
  if (status.reclaiming != 0) return fmt::format("{} bytes are being reclaimed and sync has returned", status.reclaiming);
  return engine_->live_blocks() == 0 ? std::string()
                                     : fmt::format("{} blocks live with no volume left", engine_->live_blocks());
}

std::string Opened::close() {
  auto why = failed(runtime_.run(engine_->close()), "close");
  if (!why.empty()) return why;
  delete engine_;
  return {};
}

}  // namespace

Verdict judge(const Image& image, const Question& question) {
  Opened pool(image);
  Verdict verdict;
  std::string& why = verdict.failure;
  why = pool.verify("after the crash");
  if (why.empty()) why = pool.open();
  if (why.empty()) why = pool.read_all(verdict.content);
  if (question.thorough) {
    u64 used = 0;
    if (why.empty()) why = pool.live_blocks(verdict.content, question.moments);
    if (why.empty()) why = pool.use();
    if (why.empty()) why = pool.empty(used);
    if (why.empty() && used != question.used_when_empty) {
      why = fmt::format("{} bytes are used once everything is deleted, expected {}", used, question.used_when_empty);
    }
  }
  if (why.empty()) why = pool.close();
  if (why.empty() && question.thorough) why = pool.verify("after closing");
  return verdict;
}

Result<u64> used_when_empty(const Image& image) {
  Opened pool(image);
  u64 used = 0;
  std::string why = pool.open();
  if (why.empty()) why = pool.empty(used);
  if (why.empty()) why = pool.close();
  if (!why.empty()) return Error{Code::io, why};
  return used;
}

}  // namespace brindle::crash
