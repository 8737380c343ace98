// basics.cc: volumes, load, and what the engine says of itself.
#include "engine/verbs.h"

namespace brindle::bench {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

LoadOptions load_options(Words& words) {
  LoadOptions options;
  options.depth = words.number("depth", options.depth);
  options.block = words.number("block", options.block);
  options.ms = words.number("ms", options.ms);
  options.warm_ms = words.number("warm_ms", options.warm_ms);
  options.count = words.number("count", 0);
  options.flush_every = words.number("flush_every", 0);
  options.seed = words.number("seed", now_ns());
  options.read = words.text("rw", "write") == "read";
  options.fua = words.flag("fua");
  options.once = words.flag("once");
  options.untimed = words.flag("untimed");
  const auto pattern = parse_pattern(words.text("pattern", "random"));
  if (!pattern) fail("no such pattern");
  options.pattern = *pattern;
  return options;
}

std::string volume(Rig& rig, Words& words) {
  const std::string name = words.text("name", "v");
  const u64 size = words.number("size", GiB);
  const auto make = [&] { return rig.engine().volume_create(name, size, {}); };
  expect(rig.run(make), name);
  return "";
}

std::string load(Rig& rig, Words& words) {
  const LoadOptions options = load_options(words);
  std::vector<std::unique_ptr<Handle>> handles;
  std::vector<Handle*> volumes;
  for (const std::string& name : split(words.text("name", "v"))) {
    handles.push_back(rig.open(name, options.read));
    volumes.push_back(handles.back().get());
  }
  Load load(rig, rig.home(), volumes, options);
  const u64 written = rig.device().written;
  const u64 writes = rig.device().writes;
  const u64 busy = rig.home().busy_ns();
  expect(rig.run([&] { return load.run(); }), "the load");
  const std::string counted =
      fmt::format(R"(, "device_written": {}, "device_writes": {}, "cpu_ms": {:.1f})", rig.device().written - written,
                  rig.device().writes - writes, static_cast<double>(rig.home().busy_ns() - busy) / 1e6);
  rig.close(std::move(handles));
  return load.measure().json() + counted;
}

std::string snapshot(Rig& rig, Words& words) {
  const auto names = split(words.text("names"));
  expect(rig.run([&] { return rig.engine().snapshot_create(names, {}); }), "snapshot");
  return "";
}

std::string clone(Rig& rig, Words& words) {
  const std::string source = words.text("source");
  const auto names = split(words.text("names"));
  expect(rig.run([&] { return rig.engine().clone(source, names, {}); }), "clone");
  return "";
}

std::string remove(Rig& rig, Words& words) {
  const auto names = split(words.text("names"));
  const bool with_snapshots = words.flag("with_snapshots");
  expect(rig.run([&] { return rig.engine().remove(names, with_snapshots, false); }), "remove");
  return "";
}

std::string sync(Rig& rig, Words&) {
  expect(rig.run([&] { return rig.engine().sync(); }), "sync");
  return "";
}

std::string tidy(Rig& rig, Words& words) {
  const auto names = split(words.text("name", ""));
  Engine::Progress progress;
  expect(rig.run([&] { return rig.engine().tidy(names, &progress); }), "tidy");
  return fmt::format(R"("rewritten": {}, "shared": {})", progress.rewritten, progress.shared);
}

std::string status(Rig& rig, Words&) {
  const auto ask = [&]() -> Task<PoolStatus> { co_return rig.engine().status(); };
  const PoolStatus now = rig.run(ask);
  const auto& device = rig.device();
  const PoolCounters& pool = rig.engine().pool_counters();
  return fmt::format(
      R"("size": {}, "used": {}, "free": {}, "live_blocks": {}, "table_bytes": {}, "kept": {}, "cache_bytes": {}, "segment_bytes": {}, "resident": {}, )"
      R"("log_bytes": {}, "checkpoints": {}, "replayed_batches": {}, "replay_us": {}, "written": {}, "writes": {}, )"
      R"("read": {}, "reads": {}, "flushes": {}, "filled": {}, "write_bytes": {}, "log_written": {}, "pages_written": {}, )"
      R"("tables_written": {}, "compacted_chunks": {}, "compacted_written": {}, "compacted_read": {}, "compaction_us": {}, )"
      R"("room_wait_us": {})",
      now.size, now.used, now.free, rig.engine().live_blocks(), rig.engine().table_bytes(), rig.kept_bytes(),
      now.cache_bytes, now.segment_bytes, resident_bytes(), now.log_bytes, now.checkpoints, now.replayed_batches,
      now.replay_us, device.written.load(), device.writes.load(), device.read.load(), device.reads.load(),
      device.flushes.load(), device.filled.load(), now.write_bytes, pool.log_bytes_written, pool.page_bytes_written,
      pool.table_bytes_written, pool.compacted_chunks, pool.compacted_bytes, pool.compaction_read_bytes,
      pool.compaction_ns / 1000, pool.room_wait_ns / 1000);
}

}  // namespace brindle::bench
