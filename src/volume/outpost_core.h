// outpost_core.h: see outpost.h.
#pragma once

#include <vector>

#include "pool/block_reader.h"
#include "runtime/reactor.h"
#include "runtime/sync.h"
#include "volume/core.h"
#include "volume/outpost.h"

namespace brindle {

class OutpostCore final : public Outpost {
 public:
  OutpostCore(EngineCore& engine, Reactor& core);
  ~OutpostCore() override;

  Task<Status> read(Handle& handle, u64 offset, MutBytes into) override;
  Task<Status> write(Handle& handle, u64 offset, Bytes from, bool fua) override;
  Task<Status> close() override;

 private:
  struct Look;
  struct Write;
  /// Reads that have ended, on their way home: one message under way at most, and what ends meanwhile goes with the next.
  struct Ended : Message {
    OutpostCore* outpost = nullptr;
    std::vector<u64> now;   // with the message
    std::vector<u64> next;  // the outpost's core collects them here
    bool under_way = false;
  };

  Task<void> read_part(HandleCore& handle, u64 offset, MutBytes into, bool counts, Status& status);
  void ended(u64 generation);
  void send_ended();
  // at home
  static void look(Look& look);
  static Task<void> look_later(Look& look);
  static bool try_look(Look& look, Missing& missing);
  static void answer(Look& look);
  static Task<void> write_at_home(Write& write);
  static void leave(Message& message);

  EngineCore& engine_;
  Runtime& home_;
  Reactor& core_;
  std::unique_ptr<DeviceReader> device_;
  Ended ended_;
  u64 reads_ = 0;  // looked up, and home has not heard of their end
  Signal quiet_;
};

}  // namespace brindle
