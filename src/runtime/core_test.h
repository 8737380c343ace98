// core_test.h: a reactor on a thread of its own, for tests of what goes from one core to another.
#pragma once

#include <memory>
#include <thread>

#include "runtime/reactor.h"

namespace brindle {

class Core {
 public:
  Core() : reactor_(Reactor::create({}).value()), thread_([this] { reactor_->run(); }) {}
  ~Core() {
    reactor_->stop();
    thread_.join();
  }
  Reactor& reactor() { return *reactor_; }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::thread thread_;
};

}  // namespace brindle
