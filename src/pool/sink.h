// sink.h: what the log drives: the space and the client, in this order.
#pragma once

#include "pool/pool.h"

namespace brindle {

class Pool::Sink final : public LogSink {
 public:
  explicit Sink(Pool& pool) : pool_(pool) {}

  Task<void> apply(AppliedBatch& batch) override {
    u64 blocks = 0;
    for (const DataRecord& record : batch.records.data) blocks += record.data_blocks();
    pool_.space_.allocated(batch.first_data, blocks, batch.number);
    co_await pool_.client_.apply(batch);
    pool_.touch();
  }
  Task<void> seal(u64 number) override {
    co_await pool_.client_.seal(number);
    pool_.space_.seal(number);
  }
  void latch(const Error& why) override { pool_.latch(why); }

 private:
  Pool& pool_;
};

}  // namespace brindle
