// child.h: plays histories in child processes: an engine that crashed is left as it lay, a broken promise ends the process,
// and what hangs is ended by the clock; none of it reaches the one who asked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "sim/player.h"

namespace brindle::sim {

struct ChildOptions {
  bool verbose = false;
  unsigned seconds_max = 60;  // of the processor, for one history
};

/// What one history came to.
struct Verdict {
  u64 seed = 0;
  Played played;
};

/// A child that plays some seeds, one after the other, and ends with the first failure.
class Child {
 public:
  Child(std::vector<u64> seeds, std::optional<Profile> profile, const ChildOptions& options);
  Child(const History& history, const ChildOptions& options);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  int fd() const { return from_; }
  const std::vector<u64>& seeds() const { return seeds_; }
  /// Takes what the child has said so far; false: it has ended. To be called when `fd` is readable.
  bool read();
  /// All verdicts, once the child has ended. One that died is a failure of the seed that it played.
  std::vector<Verdict> take();

 private:
  template <class Body>
  void start(Body body, const ChildOptions& options);
  std::string last_words();

  std::vector<u64> seeds_;
  pid_t pid_ = 0;
  int from_ = -1;
  int errors_ = -1;
  std::string said_;
};

/// Plays one history in a child and waits for it.
Verdict play_apart(const History& history, const ChildOptions& options);

}  // namespace brindle::sim
