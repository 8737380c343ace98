// serve.cc: the volumes of an engine that is told what to do, over NBD.
#include "engine/verbs.h"
#include "serve/nbd/server.h"

namespace brindle::bench {

std::string serve(Rig& rig, Words& words) {
  const nbd::ServerOptions options{.unix_path = words.text("socket"), .tcp = {}, .limits = {}};
  const auto listen = [&]() -> Task<Result<std::unique_ptr<nbd::Server>>> {
    co_return nbd::Server::listen(rig.engine(), rig.home(), {&rig.home()}, options);
  };
  std::shared_ptr<nbd::Server> server = expect(rig.run(listen), "the server");
  rig.before_close([&rig, server]() mutable {
    const auto close = [&]() -> Task<Status> {
      co_await server->close();
      server.reset();
      co_return Status{};
    };
    expect(rig.run(close), "the server's end");
  });
  return "";
}

}  // namespace brindle::bench
