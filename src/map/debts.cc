// debts.cc: what a head hid in pages that were not in memory: read and settled before a seal, and what becomes of it when the device does
// not read them.
#include <algorithm>

#include "base/planted.h"
#include "map/maps.h"

namespace brindle {

namespace {

// A debt whose page cannot be read: so often, with rests of 10, 40, 160 and 640 ms, before no seal waits for it any more.
constexpr u32 tries_max = 5;
constexpr u64 first_rest_ns = 10 * millisecond_ns;
constexpr u64 reads_at_once = 64;
constexpr u64 reads_a_turn = 16;  // a page takes some microseconds, and a device in memory lets nobody wait

}  // namespace

// --- noted ----------------------------------------------------------------------------------------------------------

/// Debts of a page, or what waits for it otherwise.
Maps::Pending& Maps::pending_of(const PageRef& page) {
  const auto stalled = stalled_debts_.find(page.name.raw);
  if (stalled != stalled_debts_.end()) dirty_debts_.insert(page.name.raw);
  Pending& pending = stalled != stalled_debts_.end() ? stalled->second : pending_[page.name.raw];
  pending.page = page;
  return pending;
}

/// Notes that the head hid an entry of a page that is not in memory; who its parent was counts, not who it will be.
void Maps::owe(const PageRef& page, u32 entry, Root* parent, u64 leaf) {
  pending_of(page).debts.push_back({entry, parent != nullptr, parent != nullptr ? parent->position : SlotName{},
                           parent != nullptr ? parent->number : 0});
  if (parent != nullptr && parent->kind == RootKind::branch) mark_rescan(*parent, leaf, leaf + 1);
}

/// The same for the base of a patch that is not in memory, when the head hides all of it.
void Maps::owe_base(const PageRef& page, Root* parent, u64 leaf) { owe(page, debt_of_base, parent, leaf); }

/// Nobody holds the page any more. With debts it has to be read once more first.
void Maps::free_page(const PageRef& page) {
  for (auto* debts : {&pending_, &stalled_debts_}) {
    const auto at = debts->find(page.name.raw);
    if (at == debts->end()) continue;
    at->second.let_go = true;
    if (debts == &stalled_debts_) dirty_debts_.insert(page.name.raw);
    return;
  }
  pool_.space().free_page(page);
}

// --- settled --------------------------------------------------------------------------------------------------------

void Maps::on_loaded(Page& page) {
  for (auto* debts : {&pending_, &stalled_debts_}) {
    const auto at = debts->find(page.place.name.raw);
    if (at == debts->end()) continue;
    const Pending pending = std::move(at->second);
    debts->erase(at);
    if (debts == &stalled_debts_) dirty_debts_.insert(page.place.name.raw);
    settle(page, pending);
  }
}

void Maps::settle(Page& page, const Pending& pending) {
  for (const Debt& debt : pending.debts) {
    if (debt.entry == debt_of_base) {
      const Link& base = as_patch(page).base;
      if (!base || (debt.has_parent && base.birth() < debt.parent_number)) continue;
      // One that could not be read when this patch was made: it is a patch itself, over one more page.
      if (base.kind() == PageKind::patch) pending_of(base.ref()).debts.push_back(debt);
      free_page(base.ref());
      continue;
    }
    if (debt.has_parent && page.kind == PageKind::patch && !as_patch(page).says(debt.entry)) {
      // What lies below is as old as its page. The parent's may be gone by now, with the parent.
      const Link& base = as_patch(page).base;
      if (base && base.birth() < debt.parent_number) continue;
    }
    Page* at = nullptr;
    if (const Missing missing = page_with(page, debt.entry, at)) pending_of(*missing).debts.push_back(debt);
    if (at == nullptr) continue;
    const SlotName old = name_in(*at, debt.entry);
    bool is_parents = debt.has_parent && old < debt.parent_position;
    if (planted(Plant::debt_parentless)) is_parents = false;
    if (planted(Plant::debt_late)) {
      is_parents = std::any_of(roots_.begin(), roots_.end(), [&](const auto& item) {
        return item.second->kind == RootKind::snapshot && old < item.second->position;
      });
    }
    if (old && !is_parents) pool_.space().free_block(old);
  }
  for (const Over& over : pending.blind) {
    Patch& patch = as_patch(*over.patch);
    const Patch& under = as_patch(page);
    const u64 before = patch.bytes();
    for (u32 entry = 0; entry < leaf_blocks; ++entry) {
      if (!under.covers(entry)) continue;
      const bool wins = !patch.covers(entry) || planted(Plant::blind_merge);
      if (wins) patch.set(entry, under.at(entry).name, under.at(entry).crc);
    }
    patch.base = under.base;
    patch.blind = false;
    if (!patch.base) patch.drop_hiding();
    grew(patch, before);
    settle_size_of(over);
  }
  for (const Over& over : pending.wide) settle_size_of(over);
  if (pending.let_go) pool_.space().free_page(page.place);
  pool_.touch();
}

// --- read before a seal ---------------------------------------------------------------------------------------------

/// Of pages with debts, some that nobody reads and that are due; `next_ns`: when else the next one will be.
std::vector<PageRef> Maps::next_to_settle(u64 now_ns, u64& next_ns) {
  std::vector<PageRef> pages;
  const u64 count = std::min(reads_a_turn, reads_at_once - settling_);
  for (auto at = pending_.begin(); at != pending_.end() && pages.size() < count; ++at) {
    Pending& pending = at->second;
    if (pending.reading || (planted(Plant::debt_kept) && pending.blind.empty())) continue;
    if (pending.due_ns > now_ns && !hurry_) {
      next_ns = std::min(next_ns, pending.due_ns);
      continue;
    }
    pending.reading = true;
    pages.push_back(pending.page);
  }
  return pages;
}

Task<void> Maps::settle_debts(u64 left) {
  const auto is_enough = [&] {
    const auto failed = [](const auto& item) { return item.second.tries > 0; };
    return pending_.size() <= left && std::none_of(pending_.begin(), pending_.end(), failed);
  };
  Gate gate(pool_.runtime());
  while (!is_enough()) {
    const u64 now = pool_.runtime().now_ns();
    u64 next_ns = ~u64{0};
    const std::vector<PageRef> pages = next_to_settle(now, next_ns);
    for (const PageRef& page : pages) gate.spawn(settle_one(page));
    if (settling_ >= reads_at_once || (pages.empty() && settling_ > 0)) {
      co_await settle_.wait();
    } else if (!pages.empty()) {
      co_await pool_.runtime().yield();  // requests go first
    } else if (next_ns != ~u64{0}) {
      co_await pool_.runtime().sleep(next_ns - now);
    } else {
      break;
    }
  }
  co_await gate.close();
}

Task<void> Maps::settle_one(PageRef page) {
  ++settling_;
  const Status status = co_await load(page);
  --settling_;
  ++settled_;
  settle_.notify_all();
  pool_.checkpoint_came_further();
  const auto at = pending_.find(page.name.raw);
  if (at == pending_.end()) co_return;
  at->second.reading = false;
  if (status) {
    // It may have come in before the debt was made known, and not through a load just now.
    if (Page* resident_page = cache_.find(page)) on_loaded(*resident_page);
    co_return;
  }
  const bool may_pass = status.code() != Code::corrupt && !planted(Plant::debt_dropped);
  Pending& pending = at->second;
  if (may_pass && ++pending.tries < tries_max) {
    pending.due_ns = pool_.runtime().now_ns() + (first_rest_ns << (2 * (pending.tries - 1)));
    co_return;
  }
  Pending given_up = std::move(pending);
  pending_.erase(at);
  give_up(std::move(given_up), may_pass);
}

/// The page cannot be read now; with damage, never. Patches over it stand alone, and keep it: what they do not cover is read
/// from it when it can be.
void Maps::give_up(Pending pending, bool may_pass) {
  for (const Over& over : pending.blind) as_patch(*over.patch).abandon_base();
  if (!pending.blind.empty()) pending.let_go = false;
  // Patches that wanted to become leaves stay patches.
  const bool wanted_only = pending.blind.empty() && pending.debts.empty() && !pending.let_go;
  pending.blind.clear();
  pending.wide.clear();
  if (wanted_only) return;
  const u64 name = pending.page.name.raw;
  if (may_pass) {
    stalled_debts_.emplace(name, std::move(pending));
    dirty_debts_.insert(name);
    return;
  }
  // What it named can never be told, so it stays allocated.
  lost_blocks_ += pending.debts.size();
  if (pending.let_go) pool_.space().free_page(pending.page);
}

Task<void> Maps::retry_stalled(bool to_the_end) {
  std::vector<PageRef> pages;
  for (const auto& [name, pending] : stalled_debts_) pages.push_back(pending.page);
  for (const PageRef& page : pages) {
    const Status status = co_await load(page);
    const auto at = stalled_debts_.find(page.name.raw);
    if (at == stalled_debts_.end()) continue;
    if (status) {
      if (Page* resident_page = cache_.find(page)) on_loaded(*resident_page);
    } else if (status.code() == Code::corrupt) {
      Pending damaged = std::move(at->second);
      stalled_debts_.erase(at);
      dirty_debts_.insert(page.name.raw);
      give_up(std::move(damaged), false);
    } else if (!to_the_end) {
      break;
    }
  }
  for (const RootId id : std::exchange(stalled_roots_, {})) work_.push_back(id);
}

}  // namespace brindle
