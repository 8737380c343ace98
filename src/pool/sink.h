// sink.h: what the log drives: the space and the client, in this order.
#pragma once

#include <utility>

#include "pool/pool.h"

namespace brindle {

class Pool::Sink final : public LogSink {
 public:
  explicit Sink(Pool& pool) : pool_(pool) {}

  Task<void> apply(AppliedBatch& batch) override {
    u64 blocks = 0;
    for (const DataRecord& record : batch.records.data) blocks += record.data_blocks();
    pool_.space_.allocated(batch.first_data, blocks, batch.number);
    Task<void> rest = pool_.client_.apply(batch);
    if (!rest.has_ended()) return apply_rest(std::move(rest));
    pool_.touch();
    return rest;
  }
  Task<void> seal(u64 number) override {
    co_await pool_.client_.seal(number);
    pool_.space_.seal(number);
  }
  void latch(const Error& why) override { pool_.latch(why); }

 private:
  Task<void> apply_rest(Task<void> rest) {
    co_await std::move(rest);
    pool_.touch();
  }

  Pool& pool_;
};

}  // namespace brindle
