#include "model/model.h"

#include <algorithm>

namespace brindle::model {

namespace {
const std::string zeroes(block_size, '\0');
}

Block Blocks::find(u64 number) const {
  const auto at = pages_.find(number / page_blocks);
  return at == pages_.end() ? nullptr : (*at->second)[number % page_blocks];
}

void Blocks::set(u64 number, Block block) {
  auto& page = pages_[number / page_blocks];
  auto changed = page ? std::make_shared<Page>(*page) : std::make_shared<Page>();
  Block& at = (*changed)[number % page_blocks];
  count_ += at == nullptr ? 1 : 0;
  at = std::move(block);
  page = std::move(changed);
}

void Blocks::erase(u64 first, u64 end) {
  for (auto at = pages_.lower_bound(first / page_blocks); at != pages_.end() && at->first * page_blocks < end;) {
    Page kept = *at->second;
    bool any = false;
    for (u64 i = 0; i < page_blocks; ++i) {
      const u64 number = at->first * page_blocks + i;
      if (kept[i] != nullptr && number >= first && number < end) {
        kept[i] = nullptr;
        --count_;
      }
      any = any || kept[i] != nullptr;
    }
    if (any) at->second = std::make_shared<const Page>(std::move(kept));
    at = any ? std::next(at) : pages_.erase(at);
  }
}

std::string Content::read(u64 offset, u64 length) const {
  std::string out;
  while (length > 0) {
    const u64 in_block = offset % block_size;
    const u64 part = std::min(length, block_size - in_block);
    const Block at = blocks.find(offset / block_size);
    out.append(at ? *at : zeroes, in_block, part);
    offset += part;
    length -= part;
  }
  return out;
}

void Content::write(u64 offset, const std::string& bytes) {
  for (u64 done = 0; done < bytes.size();) {
    const u64 number = (offset + done) / block_size;
    const u64 in_block = (offset + done) % block_size;
    const u64 part = std::min<u64>(bytes.size() - done, block_size - in_block);
    std::string block = read(number * block_size, block_size);
    block.replace(in_block, part, bytes, done, part);
    blocks.set(number, std::make_shared<const std::string>(std::move(block)));
    done += part;
  }
}

void Content::zero(u64 offset, u64 length, bool edges) {
  const u64 end = offset + length;
  const u64 first = div_up(offset, block_size);
  const u64 last = end / block_size;
  if (edges) {
    const u64 head_end = std::min(end, first * block_size);
    if (offset < head_end) write(offset, std::string(head_end - offset, '\0'));
    if (first <= last && last * block_size < end) write(last * block_size, std::string(end - last * block_size, '\0'));
  }
  if (first < last) blocks.erase(first, last);
}

void Content::resize(u64 to) {
  blocks.erase(to / block_size, ~u64{0});
  size = to;
}

bool Content::same_bytes(const Content& other) const {
  if (size != other.size) return false;
  std::set<u64> numbers;
  for (const auto& [number, block] : blocks) numbers.insert(number);
  for (const auto& [number, block] : other.blocks) numbers.insert(number);
  return std::all_of(numbers.begin(), numbers.end(), [&](u64 number) {
    return read(number * block_size, block_size) == other.read(number * block_size, block_size);
  });
}

const Content* State::find(const std::string& name) const {
  const auto& map = name.find('@') == std::string::npos ? volumes : snapshots;
  const auto at = map.find(name);
  return at == map.end() ? nullptr : &at->second;
}

std::vector<std::string> State::snapshots_of(const std::string& volume) const {
  std::vector<std::string> names;
  for (auto at = snapshots.lower_bound(volume + "@"); at != snapshots.end(); ++at) {
    if (at->first.compare(0, volume.size() + 1, volume + "@") != 0) break;
    names.push_back(at->first);
  }
  return names;
}

bool State::taken(const std::string& volume) const {
  return volumes.count(volume) > 0 || !snapshots_of(volume).empty();
}

void State::remove(const std::string& name) {
  volumes.erase(name);
  snapshots.erase(name);
  const std::string volume = name.substr(0, name.find('@'));
  if (!taken(volume)) saved_count.erase(volume);
}

u64 State::live_blocks() const {
  std::set<const std::string*> live;
  for (const auto* map : {&volumes, &snapshots}) {
    for (const auto& [name, content] : *map) {
      for (const auto& [number, block] : content.blocks) live.insert(block.get());
    }
  }
  return live.size();
}

u64 State::freed_blocks(const std::set<std::string>& names) const {
  std::set<const std::string*> freed, kept;
  for (const auto* map : {&volumes, &snapshots}) {
    for (const auto& [name, content] : *map) {
      for (const auto& [number, block] : content.blocks) (names.count(name) > 0 ? freed : kept).insert(block.get());
    }
  }
  u64 count = 0;
  for (const std::string* block : freed) count += kept.count(block) == 0 ? 1 : 0;
  return count;
}

bool State::same_bytes(const State& other) const {
  const auto same = [](const std::map<std::string, Content>& a, const std::map<std::string, Content>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
      return x.first == y.first && x.second.same_bytes(y.second);
    });
  };
  return same(volumes, other.volumes) && same(snapshots, other.snapshots);
}

}  // namespace brindle::model
