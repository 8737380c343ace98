// pages.h: gives the pages of a checkpoint their names and places.
#pragma once

#include "base/crc32c.h"
#include "base/planted.h"
#include "pool/pool.h"

namespace brindle {

class Pool::Pages final : public PageSink {
 public:
  explicit Pages(Pool& pool) : pool_(pool) {}

  Task<Status> reserve() override {
    auto moved = co_await pool_.page_writer_->reserve(page_length_max);
    if (!moved) co_return moved.error();
    if (*moved) {
      pool_.page_segment_ = pool_.space_.next_segment_number();
      pool_.page_base_ = pool_.space_.chunk_offset(*pool_.page_writer_->chunk());
      pool_.space_.add_segment(
          {.number = pool_.page_segment_, .kind = SegmentKind::pages, .pieces = {{0, pool_.page_base_}}}, true);
    }
    co_return Status{};
  }

  PageRef place(PageKind kind, u64 birth, Bytes bytes) override {
    CHECK(bytes.size() <= page_length_max);
    const u64 at = pool_.page_writer_->append(bytes, page_slot_size);
    const PageRef page{SlotName::of(pool_.page_segment_, (at - pool_.page_base_) / page_slot_size), birth, kind,
                       static_cast<u32>(bytes.size()), crc32c(bytes)};
    pool_.space_.placed_page(page);
    return page;
  }

  bool written(const PageRef& page) const override {
    const u64 end = pool_.page_base_ + u64{page.name.slot()} * page_slot_size + page.length;
    return page.name.segment() != pool_.page_segment_ || end <= pool_.page_writer_->written_end();
  }

  Task<Status> flush() override {
    if (planted(Plant::pages_staged)) co_return Status{};
    co_return co_await pool_.page_writer_->flush();
  }

 private:
  Pool& pool_;
};

}  // namespace brindle
