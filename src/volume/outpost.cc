#include "volume/outpost.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/crc32c.h"
#include "runtime/remote.h"
#include "volume/outpost_core.h"
#include "volume/parts.h"

namespace brindle {

namespace {

constexpr u64 few_blocks = 4;  // most requests are small, and so are their frames

bool whole_blocks(u64 offset, const std::byte* bytes, u64 length) {
  return offset % block_size == 0 && length % block_size == 0 && length > 0 && is_aligned(bytes);
}

}  // namespace

/// Names and places of a read: there and back, in the reader's frame.
struct OutpostCore::Look : Message {
  OutpostCore* outpost = nullptr;
  HandleCore* handle = nullptr;
  u64 first_block = 0;
  bool counts = false;
  std::span<BlockRead> blocks;  // without a name: a hole
  u64 generation = 0;           // entered at home where the status is ok
  Status status;
  std::coroutine_handle<> waiting;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> reader) {
    waiting = reader;
    run = [](Message& message) { look(static_cast<Look&>(message)); };
    outpost->home_.send(*this);
  }
  void await_resume() const noexcept {}
};

struct OutpostCore::Write : Message {
  OutpostCore* outpost = nullptr;
  HandleCore* handle = nullptr;
  u64 offset = 0;
  Bytes from;
  bool fua = false;
  const u32* crcs = nullptr;
  Status status;
  std::coroutine_handle<> waiting;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> writer) {
    waiting = writer;
    run = [](Message& message) { start(write_at_home(static_cast<Write&>(message))); };
    outpost->home_.send(*this);
  }
  Status await_resume() { return std::move(status); }
};

OutpostCore::OutpostCore(EngineCore& engine, Reactor& core)
    : engine_(engine), home_(engine.runtime_), core_(core), device_(engine.device_.reader(core)), quiet_(core) {
  ended_.outpost = this;
}

OutpostCore::~OutpostCore() { CHECK(reads_ == 0); }

Task<Status> OutpostCore::close() {
  while (reads_ > 0) co_await quiet_.wait();
  co_return Status{};
}

// --- reading --------------------------------------------------------------------------------------------------------

Task<Status> OutpostCore::read(Handle& handle, u64 offset, MutBytes into) {
  if (device_ == nullptr || !whole_blocks(offset, into.data(), into.size())) {
    const auto there = [&handle, offset, into] { return handle.read(offset, into); };
    co_return co_await on(home_, core_, there);
  }
  auto& at = static_cast<HandleCore&>(handle);
  Status status;
  if (into.size() <= part_bytes) {
    co_await read_part(at, offset, into, true, status);
    co_return status;
  }
  for (bool first = true; !into.empty() && status; first = false) {
    Gate gate(core_);
    for (u64 i = 0; i < parts_at_once && !into.empty(); ++i) {
      const u64 size = std::min<u64>(into.size(), part_bytes);
      gate.spawn(read_part(at, offset, into.first(size), first && i == 0, status));
      offset += size;
      into = into.subspan(size);
    }
    co_await gate.close();
  }
  co_return status;
}

Task<void> OutpostCore::read_part(HandleCore& handle, u64 offset, MutBytes into, bool counts, Status& status) {
  const u64 count = into.size() / block_size;
  std::array<BlockRead, few_blocks> few;
  std::vector<BlockRead> many(count > few_blocks ? count : 0);
  std::span<BlockRead> blocks(many.empty() ? few.data() : many.data(), count);
  for (u64 i = 0; i < count; ++i) blocks[i].into = into.data() + i * block_size;
  Look look;
  look.outpost = this;
  look.handle = &handle;
  look.first_block = offset / block_size;
  look.counts = counts;
  look.blocks = blocks;
  co_await look;
  if (!look.status) {
    status = look.status;
    co_return;
  }
  ++reads_;
  u64 named = 0;
  for (const BlockRead& block : blocks) {
    if (block.name) {
      blocks[named++] = block;
    } else {
      std::memset(block.into, 0, block_size);
    }
  }
  if (named > 0) {
    blocks = blocks.first(named);
    const Status read = co_await read_placed(core_, *device_, blocks);
    if (!read) status = read;
  }
  ended(look.generation);
}

void OutpostCore::ended(u64 generation) {
  ended_.next.push_back(generation);
  if (!ended_.under_way) send_ended();
}

/// What else ends before this arrives at home does not go with it: `now` is home's.
void OutpostCore::send_ended() {
  ended_.under_way = true;
  std::swap(ended_.now, ended_.next);
  ended_.run = leave;
  home_.send(ended_);
}

void OutpostCore::leave(Message& message) {
  auto& ended = static_cast<Ended&>(message);
  EngineCore& engine = ended.outpost->engine_;
  for (const u64 generation : ended.now) engine.pool_.space().leave(generation);
  engine.under_way_ -= ended.now.size();
  if (engine.under_way_ == 0) engine.quiet_.notify_all();
  ended.run = [](Message& back) {
    auto& told = static_cast<Ended&>(back);
    OutpostCore& outpost = *told.outpost;
    outpost.reads_ -= told.now.size();
    told.now.clear();
    told.under_way = false;
    if (!told.next.empty()) outpost.send_ended();
    if (outpost.reads_ == 0) outpost.quiet_.notify_all();
  };
  ended.outpost->core_.send(ended);
}

// --- at home --------------------------------------------------------------------------------------------------------

void OutpostCore::look(Look& look) {
  EngineCore& engine = look.outpost->engine_;
  const u64 bytes = look.blocks.size() * block_size;
  look.status = look.handle->check(look.first_block * block_size, bytes, false);
  if (!look.status) return answer(look);
  ++engine.under_way_;
  if (look.counts) ++engine.counted_.reads;
  engine.counted_.read_bytes += bytes;
  look.generation = engine.pool_.space().enter();
  Missing missing;
  if (try_look(look, missing)) return answer(look);
  start(look_later(look));
}

/// A page of the map is not in memory.
Task<void> OutpostCore::look_later(Look& look) {
  EngineCore& engine = look.outpost->engine_;
  std::vector<PagePtr> held;  // until all that it needs is there
  for (Missing missing; !try_look(look, missing);) {
    Status loaded = co_await engine.maps_.load(*missing, held);
    if (loaded) continue;
    look.status = std::move(loaded);
    break;
  }
  answer(look);
}

/// False: a page is missing.
bool OutpostCore::try_look(Look& look, Missing& missing) {
  EngineCore& engine = look.outpost->engine_;
  const Root* const root = engine.maps_.find(look.handle->root_);
  if (root == nullptr) {
    look.status = Error{Code::not_found, "the volume was deleted"};
    return true;
  }
  std::array<BlockAt, part_blocks_max> found;
  const std::span<BlockAt> at(found.data(), look.blocks.size());
  missing = engine.maps_.lookup(*root, look.first_block, at);
  if (missing) return false;
  for (size_t i = 0; i < at.size() && look.status; ++i) {
    look.blocks[i].name = at[i].name;
    look.blocks[i].crc = at[i].crc;
    if (at[i].name) look.status = engine.pool_.place_blocks(look.blocks.subspan(i, 1));
  }
  return true;
}

void OutpostCore::answer(Look& look) {
  if (!look.status && look.generation != 0) {
    EngineCore& engine = look.outpost->engine_;
    engine.pool_.space().leave(look.generation);
    if (--engine.under_way_ == 0) engine.quiet_.notify_all();
  }
  look.run = [](Message& message) { static_cast<Look&>(message).waiting.resume(); };
  look.outpost->core_.send(look);  // from here on it may be gone
}

// --- writing --------------------------------------------------------------------------------------------------------

Task<Status> OutpostCore::write(Handle& handle, u64 offset, Bytes from, bool fua) {
  if (!whole_blocks(offset, from.data(), from.size())) {
    const auto there = [&handle, offset, from, fua] { return handle.write(offset, from, fua); };
    co_return co_await on(home_, core_, there);
  }
  const u64 count = from.size() / block_size;
  std::array<u32, few_blocks> few;
  std::vector<u32> many(count > few_blocks ? count : 0);
  u32* const crcs = many.empty() ? few.data() : many.data();
  for (u64 i = 0; i < count; ++i) crcs[i] = crc32c(from.subspan(i * block_size, block_size));
  Write write;
  write.outpost = this;
  write.handle = static_cast<HandleCore*>(&handle);
  write.offset = offset;
  write.from = from;
  write.fua = fua;
  write.crcs = crcs;
  co_return co_await write;
}

Task<void> OutpostCore::write_at_home(Write& write) {
  write.status = co_await write.handle->write_summed(write.offset, write.from, write.fua, write.crcs);
  write.run = [](Message& message) { static_cast<Write&>(message).waiting.resume(); };
  write.outpost->core_.send(write);  // from here on it may be gone
}

}  // namespace brindle
