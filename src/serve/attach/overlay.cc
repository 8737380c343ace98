#include "serve/attach/overlay.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace brindle::attach {

namespace {

Error failed(const char* what) {
  return Error{errno == ENOSPC ? Code::no_space : Code::io, fmt::format("{}: {}", what, std::strerror(errno))};
}

}  // namespace

Result<std::unique_ptr<Overlay>> Overlay::open(const std::string& folder) {
  std::string path = folder + "/overlay-XXXXXX";
  Fd file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file.ok()) return failed("no file for the journal's replay");
  ::unlink(path.c_str());
  return std::unique_ptr<Overlay>(new Overlay(std::move(file)));
}

Status Overlay::write(u64 offset, Bytes from) {
  if (offset % sector != 0 || from.size() % sector != 0) return Error{Code::invalid, "a write of part of a sector"};
  for (size_t at = 0; at < from.size(); at += sector) {
    const auto [found, fresh] = places_.try_emplace((offset + at) / sector, places_.size());
    const ssize_t n = ::pwrite(file_.get(), from.data() + at, sector, static_cast<off_t>(found->second * sector));
    if (n == static_cast<ssize_t>(sector)) continue;
    const Error why = failed("writing the journal's replay");
    if (fresh) places_.erase(found);  // it reads as the snapshot's
    return why;
  }
  return {};
}

Status Overlay::patch(u64 offset, MutBytes into) const {
  if (places_.empty()) return {};
  for (u64 at = round_down(offset, sector); at < offset + into.size(); at += sector) {
    const auto found = places_.find(at / sector);
    if (found == places_.end()) continue;
    const u64 begin = std::max(at, offset);
    const u64 end = std::min(at + sector, offset + into.size());
    const ssize_t n = ::pread(file_.get(), into.data() + (begin - offset), end - begin,
                              static_cast<off_t>(found->second * sector + (begin - at)));
    if (n != static_cast<ssize_t>(end - begin)) return failed("reading the journal's replay");
  }
  return {};
}

}  // namespace brindle::attach
