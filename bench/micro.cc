// micro.cc: what the parts of a request cost by themselves, in nanoseconds of one core.
#include <benchmark/benchmark.h>

#include "base/aligned.h"
#include "base/crc32c.h"
#include "engine/load.h"
#include "format/batch.h"
#include "map/page.h"

namespace {

using namespace brindle;
using namespace brindle::bench;

void checksum_of_a_block(benchmark::State& state) {
  AlignedBuffer block(block_size);
  block.clear();
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(block.span()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * block_size));
}
BENCHMARK(checksum_of_a_block);

/// A leaf written at random: no two of its blocks are neighbours.
LeafData random_leaf() {
  LeafData leaf;
  Rng rng(1);
  for (u64 i = 0; i < leaf_blocks; ++i) {
    leaf.names[i] = SlotName::of(rng.between(1, 1000), rng.between(1, 2000));
    leaf.crcs[i] = static_cast<u32>(rng.next());
  }
  return leaf;
}

LeafData sequential_leaf() {
  LeafData leaf = random_leaf();
  for (u64 i = 0; i < leaf_blocks; ++i) leaf.names[i] = SlotName::of(5, 1 + i);
  return leaf;
}

void leaf_to_bytes(benchmark::State& state) {
  const LeafData leaf = state.range(0) != 0 ? random_leaf() : sequential_leaf();
  for (auto _ : state) benchmark::DoNotOptimize(encode_leaf(1, leaf));
}
BENCHMARK(leaf_to_bytes)->ArgName("random")->Arg(0)->Arg(1);

void leaf_from_bytes(benchmark::State& state) {
  const auto bytes = encode_leaf(1, state.range(0) != 0 ? random_leaf() : sequential_leaf());
  for (auto _ : state) benchmark::DoNotOptimize(decode_leaf(bytes, 1));
}
BENCHMARK(leaf_from_bytes)->ArgName("random")->Arg(0)->Arg(1);

/// A new patch with so many entries.
void patch_made(benchmark::State& state) {
  Rng rng(1);
  std::vector<u32> entries;
  for (int64_t i = 0; i < state.range(0); ++i) entries.push_back(static_cast<u32>(rng.below(leaf_blocks)));
  for (auto _ : state) {
    Patch patch;
    u64 slot = 1;
    for (const u32 entry : entries) patch.set(entry, SlotName::of(7, slot++), entry);
    benchmark::DoNotOptimize(patch.data.names.data());
  }
}
BENCHMARK(patch_made)->ArgName("entries")->Arg(1)->Arg(4)->Arg(40)->Arg(400);

void patch_to_bytes(benchmark::State& state) {
  Patch patch;
  for (u32 i = 0; i < 40; ++i) patch.set(i * 12, SlotName::of(7, i + 1), i);
  for (auto _ : state) benchmark::DoNotOptimize(encode_patch(1, patch.data));
}
BENCHMARK(patch_to_bytes);

/// A batch of so many writes of one block: encoded, checksummed. `blocks` is large enough; returns how many bytes it takes.
u64 build_batch(u32 writes, MutBytes blocks) {
  const u32 crc = 17;
  Writer to;
  for (u32 i = 0; i < writes; ++i) {
    encode_data_record(to, 1, i, 1, false);
    to.put_bytes(std::as_bytes(std::span(&crc, 1)));
  }
  const auto bytes = to.take();
  const BatchHeader header{.record_bytes = static_cast<u32>(bytes.size()),
                           .record_blocks = static_cast<u32>(div_up(sizeof header + bytes.size(), block_size)),
                           .data_blocks = writes,
                           .data_records = writes};
  const u64 length = header.record_blocks * block_size;
  std::memcpy(blocks.data(), &header, sizeof header);
  std::memcpy(blocks.data() + sizeof header, bytes.data(), bytes.size());
  seal_batch(blocks.first(length), header.record_bytes);
  return length;
}

constexpr u64 batch_bytes_max = 8 * block_size;

void batch_built(benchmark::State& state) {
  AlignedBuffer blocks(batch_bytes_max);
  for (auto _ : state) {
    benchmark::DoNotOptimize(build_batch(static_cast<u32>(state.range(0)), blocks.span()));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(batch_built)->ArgName("writes")->Arg(1)->Arg(32)->Arg(128);

/// What replay does with a batch before it is applied.
void batch_parsed(benchmark::State& state) {
  AlignedBuffer blocks(batch_bytes_max);
  blocks.clear();
  const u64 length = build_batch(static_cast<u32>(state.range(0)), blocks.span());
  const Bytes records = blocks.span().first(length);
  for (auto _ : state) {
    const auto parsed = parse_batch(records);
    if (!parsed) state.SkipWithError("the batch does not parse");
    benchmark::DoNotOptimize(parsed);
  }
}
BENCHMARK(batch_parsed)->ArgName("writes")->Arg(1)->Arg(32)->Arg(128);

// --- layers of a request: the engine on a device in memory -------------------------------------------------------------

constexpr u64 volume_bytes = 256 * MiB;

Rig& rig() {
  static Rig* const one = [] {
    auto* const made = new Rig({.pool_size = GiB});
    expect(made->run([&] { return made->engine().volume_create("v", volume_bytes, {}); }), "v");
    auto handle = made->open("v");
    Load load(*made, made->home(), {handle.get()}, {.once = true, .pattern = Pattern::dense});
    expect(made->run([&] { return load.run(); }), "the load");
    std::vector<std::unique_ptr<Handle>> handles;
    handles.push_back(std::move(handle));
    made->close(std::move(handles));
    return made;
  }();
  return *one;
}

/// Runs `work` that often on the home core and gives the benchmark the time that passed.
template <class Work>
void timed(benchmark::State& state, u64 times, Work work) {
  for (auto _ : state) {
    u64 took = 0;
    const auto all = [&]() -> Task<Status> {
      const u64 began = now_ns();
      Status status;
      for (u64 i = 0; i < times && status; ++i) status = co_await work(i);
      took = now_ns() - began;
      co_return status;
    };
    expect(rig().run(all), "the benchmark");
    state.SetIterationTime(static_cast<double>(took) / 1e9);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * times));
}

/// The walk of the map to one block, with all that a call into the engine costs, and nothing read.
void map_walk(benchmark::State& state) {
  auto handle = rig().open("v", true);
  Rng rng(3);
  timed(state, 10'000, [&](u64) -> Task<Status> {
    auto found = co_await handle->extents(rng.below(volume_bytes / block_size) * block_size, block_size, 1);
    if (!found) co_return found.error();
    co_return Status{};
  });
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(std::move(handle));
  rig().close(std::move(handles));
}
BENCHMARK(map_walk)->UseManualTime();

/// One read or write of a block, alone: walk, copy, checksum; a write is a batch of its own.
void request_alone(benchmark::State& state) {
  const bool read = state.range(0) != 0;
  auto handle = rig().open("v");
  Rng rng(3);
  AlignedBuffer block(block_size);
  block.clear();
  timed(state, 10'000, [&](u64) -> Task<Status> {
    const u64 offset = rng.below(volume_bytes / block_size) * block_size;
    if (read) return handle->read(offset, block.span());
    return handle->write(offset, block.span(), false);
  });
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(std::move(handle));
  rig().close(std::move(handles));
}
BENCHMARK(request_alone)->ArgName("read")->Arg(0)->Arg(1)->UseManualTime();

/// The difference of a volume and a snapshot of it, of which one block in sixteen was overwritten; by changed block.
void diff_by_changed_block(benchmark::State& state) {
  const std::vector<std::string> names{"v@diff"};
  expect(rig().run([&] { return rig().engine().snapshot_create(names, {}); }), "snapshot");
  auto handle = rig().open("v");
  const u64 changed = volume_bytes / block_size / 16;
  Load load(rig(), rig().home(), {handle.get()}, {.count = changed, .pattern = Pattern::spread});
  expect(rig().run([&] { return load.run(); }), "the load");
  for (auto _ : state) {
    const u64 began = now_ns();
    const auto found = rig().run([&] { return rig().engine().diff("v@diff", "v"); });
    state.SetIterationTime(static_cast<double>(now_ns() - began) / 1e9);
    if (!found) state.SkipWithError("no diff");
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * changed));
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(std::move(handle));
  rig().close(std::move(handles));
  expect(rig().run([&] { return rig().engine().remove(names, false, false); }), "remove");
}
BENCHMARK(diff_by_changed_block)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
