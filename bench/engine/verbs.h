// verbs.h: what engine_bench can be told to do. Each takes its words and gives the inside of a JSON object.
#pragma once

#include <string>

#include <vector>

#include "engine/load.h"
#include "engine/words.h"

namespace brindle::bench {

// basics.cc: volumes, load, and what the engine says of itself
std::string volume(Rig& rig, Words& words);
std::string load(Rig& rig, Words& words);
std::string snapshot(Rig& rig, Words& words);
std::string clone(Rig& rig, Words& words);
std::string remove(Rig& rig, Words& words);
std::string sync(Rig& rig, Words& words);
std::string tidy(Rig& rig, Words& words);
std::string status(Rig& rig, Words& words);

// questions.cc: what takes more than one step
std::string touch(Rig& rig, Words& words);
std::string latency(Rig& rig, Words& words);
std::string history(Rig& rig, Words& words);
std::string chain(Rig& rig, Words& words);
std::string clones(Rig& rig, Words& words);
std::string delete_cost(Rig& rig, Words& words);
std::string cores(Rig& rig, Words& words);

// serve.cc: the volumes over NBD, until the pool is closed
std::string serve(Rig& rig, Words& words);

/// "a,b,c"
std::vector<std::string> split(const std::string& list);
LoadOptions load_options(Words& words);

}  // namespace brindle::bench
