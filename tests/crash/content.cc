#include "crash/content.h"

#include "base/aligned.h"

namespace brindle::crash {

namespace {

u64 hash_of_text(const std::string& text) { return hash_of(std::as_bytes(std::span(text))); }

u64 entry_term(const std::string& name, u64 size) { return mix(hash_of_text(name), size + 1); }
u64 data_term(u64 name_hash, u64 block, Bytes bytes) {
  const u64 hash = hash_of(bytes);
  return hash == zero_hash() ? 0 : mix(mix(name_hash, block), hash);
}

constexpr u64 extents_max = 100'000;
constexpr u64 read_max = 256 * KiB;

}  // namespace

u64 content_of(const model::State& state) {
  u64 sum = 1;
  for (const auto* entries : {&state.volumes, &state.snapshots}) {
    for (const auto& [name, content] : *entries) {
      sum += entry_term(name, content.size);
      const u64 name_hash = hash_of_text(name);
      for (const auto& [number, block] : content.blocks) {
        sum += data_term(name_hash, number, std::as_bytes(std::span(*block)));
      }
    }
  }
  return sum;
}

Result<u64> content_of(FairRuntime& runtime, Engine& engine) {
  const Error stuck{Code::io, "it never returned"};
  u64 sum = 1;
  AlignedBuffer buffer(read_max);
  for (const bool snapshots : {false, true}) {
    for (const EntryInfo& info : engine.list(snapshots, "")) {
      if (info.deleted) continue;
      sum += entry_term(info.name, info.size);
      const u64 name_hash = hash_of_text(info.name);
      const auto handle = engine.open_handle(info.name, true);
      if (!handle) return handle.error();
      const auto extents = runtime.run((*handle)->extents(0, info.size, extents_max));
      if (!extents) return stuck;
      if (!*extents) return extents->error();
      u64 offset = 0;
      for (const Extent& extent : **extents) {
        for (u64 done = 0; extent.data && done < extent.length;) {
          const MutBytes into = buffer.span().first(std::min(read_max, extent.length - done));
          const auto status = runtime.run((*handle)->read(offset + done, into));
          if (!status) return stuck;
          if (!*status) return status->error();
          for (u64 at = 0; at < into.size(); at += block_size) {
            sum += data_term(name_hash, (offset + done + at) / block_size, into.subspan(at, block_size));
          }
          done += into.size();
        }
        offset += extent.length;
      }
    }
  }
  return sum;
}

std::vector<std::string> all_names(Engine& engine) {
  std::vector<std::string> names;
  for (const bool snapshots : {false, true}) {
    for (const EntryInfo& info : engine.list(snapshots, "")) {
      if (!info.deleted) names.push_back(info.name);
    }
  }
  return names;
}

}  // namespace brindle::crash
