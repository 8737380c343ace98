#include "serve/attach/driver.h"

#include <array>

#include "serve/attach/loop_driver.h"
#include "serve/attach/nbd_driver.h"

namespace brindle::attach {

namespace {

const LoopDriver loop;
const NbdDriver nbd;

}  // namespace

const Driver& driver_named(const std::string& name) {
  if (name == nbd.name()) return nbd;
  return loop;
}

std::vector<FoundDevice> find_devices(const Place& place) {
  std::vector<FoundDevice> out;
  for (const Driver* driver : std::array<const Driver*, 2>{&nbd, &loop}) {
    for (auto& device : driver->find(place)) out.push_back({driver, std::move(device)});
  }
  return out;
}

const Driver& driver_chosen(bool overlay) {
  if (overlay && loop.check()) return loop;
  if (nbd.check()) return nbd;
  return loop;
}

}  // namespace brindle::attach
