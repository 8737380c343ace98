// memory_server.cc: Brindle over NBD with the pool in memory: what the processor alone allows.
//
// memory_server --socket PATH [--pool-size SIZE] [--memory SIZE] NAME=SIZE...
//
// Prints `ready` when it serves. SIGTERM or SIGINT ends it in order.
#include <signal.h>

#include <cstdio>

#include "engine/words.h"
#include "serve/nbd/server.h"

namespace brindle::bench {
namespace {

int serve(int count, char** words) {
  RigOptions options;
  nbd::ServerOptions listening;
  std::vector<std::pair<std::string, u64>> volumes;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const size_t equals = word.find('=');
    if (word.rfind("--", 0) != 0 && equals != std::string::npos) {
      volumes.emplace_back(word.substr(0, equals), expect(parse_bytes(word.substr(equals + 1)), word));
      continue;
    }
    if (++i == count) fail(word + " needs a value");
    if (word == "--socket") listening.unix_path = words[i];
    else if (word == "--pool-size") options.pool_size = expect(parse_bytes(words[i]), word);
    else if (word == "--memory") options.memory_max = expect(parse_bytes(words[i]), word);
    else fail("no such option: " + word);
  }
  Rig rig(options);
  for (const auto& [name, size] : volumes) {
    const auto make = [&] { return rig.engine().volume_create(name, size, {}); };
    expect(rig.run(make), name);
  }
  auto server = expect(nbd::Server::listen(rig.engine(), rig.home(), {&rig.home()}, listening), "listening");
  std::printf("ready\n");
  std::fflush(stdout);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int number = 0;
  sigwait(&signals, &number);
  const auto close = [&]() -> Task<Status> {
    co_await server->close();
    co_return Status{};
  };
  expect(rig.run(close), "closing");
  server.reset();
  return 0;
}

}  // namespace
}  // namespace brindle::bench

int main(int count, char** words) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return brindle::bench::serve(count, words);
}
