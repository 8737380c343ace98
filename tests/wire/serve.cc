// serve.cc: a small NBD server for tests and measurements: an engine on a memory or file pool, its volumes made at the start.
//
// serve --socket PATH [--tcp ADDR:PORT] [--pool FILE] [--pool-size SIZE] [--touch SIZE] [--cores N] [--first-core N]
//       [--limit NAME=VALUE] NAME=SIZE|NAME@SNAP ...
//
// --touch: writes zeroes to so much of the pool first. The first touch of memory is slow, and is the machine's cost: who measures
// a pool in memory wants it over.
//
// Prints `ready` and the bound addresses on one line. SIGTERM closes it in order; it reports its threads' processor time then.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/aligned.h"
#include "base/names.h"
#include "device/file_device.h"
#include "device/memory_device.h"
#include "runtime/remote.h"
#include "serve/nbd/server.h"

namespace brindle {
namespace {

struct Arguments {
  nbd::ServerOptions server;
  std::string pool;
  u64 pool_size = 2 * GiB;
  u64 touch = 0;
  unsigned cores = 1;
  int first_core = -1;
  std::vector<std::string> names;
};

[[noreturn]] void fail(const std::string& message) {
  fmt::print(stderr, "serve: {}\n", message);
  std::exit(1);
}

u64 bytes_of(const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes) fail(bytes.error().message);
  return *bytes;
}

void set_limit(nbd::Limits& limits, const std::string& text) {
  const size_t equals = text.find('=');
  const std::map<std::string, u64*> known{{"connections", &limits.connections},   {"requests", &limits.requests},
                                          {"own_bytes", &limits.own_bytes},       {"shared_bytes", &limits.shared_bytes},
                                          {"negotiation_ms", &limits.negotiation_ns}, {"stall_ms", &limits.stall_ns}, {"stall_bytes", &limits.stall_bytes},
                                          {"close_ms", &limits.close_ns}};
  const auto found = known.find(text.substr(0, equals));
  if (equals == std::string::npos || found == known.end()) fail("no such limit: " + text);
  *found->second = bytes_of(text.substr(equals + 1)) * (text.find("_ms") != std::string::npos ? millisecond_ns : 1);
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word.rfind("--", 0) != 0) {
      arguments.names.push_back(word);
      continue;
    }
    if (++i == count) fail(word + " needs a value");
    const std::string value = words[i];
    if (word == "--socket") arguments.server.unix_path = value;
    else if (word == "--tcp") arguments.server.tcp.push_back(value);
    else if (word == "--pool") arguments.pool = value;
    else if (word == "--pool-size") arguments.pool_size = bytes_of(value);
    else if (word == "--touch") arguments.touch = bytes_of(value);
    else if (word == "--cores") arguments.cores = static_cast<unsigned>(bytes_of(value));
    else if (word == "--first-core") arguments.first_core = static_cast<int>(bytes_of(value));
    else if (word == "--limit") set_limit(arguments.server.limits, value);
    else fail("no such option: " + word);
  }
  return arguments;
}

Task<Status> touch(Device& device, u64 size) {
  AlignedBuffer zeroes(MiB);
  zeroes.clear();
  const Bytes from = zeroes.span();
  Status status;
  for (u64 at = 0; at + from.size() <= size && status; at += from.size()) status = co_await device.write(at, from);
  co_return status;
}

Task<Status> make(Engine& engine, std::string name) {
  if (const size_t equals = name.find('='); equals != std::string::npos) {
    const u64 size = bytes_of(name.substr(equals + 1));
    auto made = co_await engine.volume_create(name.substr(0, equals), size, Labels{});
    if (!made) co_return made.error();
    co_return Status{};
  }
  std::vector<std::string> names(1, name);
  co_return co_await engine.snapshot_create(std::move(names), Labels{});
}

int serve(Arguments arguments) {
  std::vector<std::unique_ptr<Reactor>> reactors;
  std::vector<Reactor*> cores;
  for (unsigned i = 0; i < arguments.cores; ++i) {
    ReactorOptions options;
    if (arguments.first_core >= 0) options.core = arguments.first_core + static_cast<int>(i);
    auto reactor = Reactor::create(options);
    if (!reactor) fail(reactor.error().message);
    cores.push_back(reactor->get());
    reactors.push_back(std::move(*reactor));
  }
  Reactor& home = *cores.front();
  std::unique_ptr<Device> device;
  if (arguments.pool.empty()) {
    device = std::make_unique<MemoryDevice>(arguments.pool_size);
  } else {
    const FileDeviceOptions options{.create = true, .size_max = arguments.pool_size};
    auto file = FileDevice::open(home, arguments.pool, options);
    if (!file) fail(file.error().message);
    device = std::move(*file);
  }
  std::vector<std::thread> threads;
  for (Reactor* core : cores) threads.emplace_back([core] { core->run(); });
  const Status touched = call_blocking(home, [&] { return touch(*device, std::min(arguments.touch, device->size_max())); });
  if (!touched) fail(touched.error().message);
  const EngineOptions engine_options{.create = true};
  const auto open = [&] { return Engine::open(home, *device, engine_options); };
  auto engine = call_blocking(home, open);
  if (!engine) fail(engine.error().message);
  for (const std::string& name : arguments.names) {
    const auto made = call_blocking(home, [&] { return make(**engine, name); });
    if (!made) fail(made.error().message);
  }
  auto server = nbd::Server::listen(**engine, home, cores, arguments.server);
  if (!server) fail(server.error().message);
  std::string ready = "ready";
  for (const std::string& address : (*server)->addresses()) ready += " " + address;
  fmt::print("{}\n", ready);
  std::fflush(stdout);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int number = 0;
  sigwait(&signals, &number);
  const auto close = [&]() -> Task<Status> {
    co_await (*server)->close();
    co_return co_await (*engine)->close();
  };
  const Status closed = call_blocking(home, close);
  for (Reactor* core : cores) core->stop();
  for (std::thread& thread : threads) thread.join();
  for (Reactor* core : cores) fmt::print("busy_ms {} sleeps {}\n", core->busy_ns() / millisecond_ns, core->sleeps());
  server->reset();
  engine->reset();
  if (!closed) fail(closed.error().message);
  return 0;
}

}  // namespace
}  // namespace brindle

int main(int count, char** words) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return brindle::serve(brindle::parse(count, words));
}
