// engine_bench: an engine alone in a process, told what to do line by line, so that its runs can take turns with those of others.
//
// engine_bench [--file PATH] [--open] [--pool-size SIZE] [--memory SIZE] [--core N] [--second]
//              [--hollow] [--payload-file PATH] [--payload-size SIZE]
//
// Without --file the pool is in memory. --hollow: payload is forgotten (hollow_device.h), so that a pool may be far larger than where
// it is; --payload-file: a file that is made, and read where payload is asked for. Reads lines from its standard input, `VERB KEY=VALUE...` (verbs.h), and answers each
// with one line of JSON. `drop` ends the process as a crash would, at once. It closes the pool in order when the input ends.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>

#include "engine/verbs.h"

namespace {

using namespace brindle;
using namespace brindle::bench;

RigOptions parse(int count, char** words) {
  RigOptions options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--open") options.create = false;
    else if (word == "--second") options.second = true;
    else if (word == "--hollow") options.hollow = true;
    else if (i + 1 == count) fail(word + " needs a value, or is no option");
    else if (word == "--file") options.path = words[++i];
    else if (word == "--payload-file") options.payload_path = words[++i];
    else if (word == "--payload-size") options.payload_size = expect(parse_bytes(words[++i]), word);
    else if (word == "--pool-size") options.pool_size = expect(parse_bytes(words[++i]), word);
    else if (word == "--memory") options.memory_max = expect(parse_bytes(words[++i]), word);
    else if (word == "--core") options.core = std::atoi(words[++i]);
    else fail("no such option: " + word);
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  Rig rig(parse(count, words));
  namespace verbs = brindle::bench;  // the C library has a clone, a remove and a sync too
  using Verb = std::string (*)(Rig&, Words&);
  const std::map<std::string, Verb> known{
      {"volume", verbs::volume},   {"load", verbs::load},          {"snapshot", verbs::snapshot},
      {"clone", verbs::clone},     {"remove", verbs::remove},      {"sync", verbs::sync},
      {"tidy", verbs::tidy},       {"status", verbs::status},      {"touch", verbs::touch},
      {"latency", verbs::latency}, {"history", verbs::history},    {"chain", verbs::chain},
      {"clones", verbs::clones},   {"delete", verbs::delete_cost}, {"cores", verbs::cores},
      {"serve", verbs::serve}};
  std::printf("{\"ready\": true}\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    Words given(line);
    if (given.verb() == "drop") {
      std::printf("{}\n");
      std::fflush(stdout);
      _exit(0);
    }
    std::string answer;
    if (given.verb() == "reopen") {
      rig.reopen();
    } else if (const auto found = known.find(given.verb()); found != known.end()) {
      answer = found->second(rig, given);
    } else {
      fail("no such verb: " + given.verb());
    }
    given.all_used();
    std::printf("{%s}\n", answer.c_str());
    std::fflush(stdout);
  }
  return 0;
}
