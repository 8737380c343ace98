// labels.h: the verb `label` of volumes and of snapshots.
#pragma once

#include "cli/options.h"

namespace brindle::cli {

/// `label NAME K=V K-`: sets and removes labels of what exists. `check` refuses a wrong NAME.
void add_label_verb(CLI::App& group, Context& context, const std::string& shown, const char* what,
                    void (*check)(const std::string&), const char* example);

/// What to ask for: `set_labels` and `remove_labels`; of several changes to one label the last counts. Refuses one that is neither K=V nor K-.
Json label_changes(const std::vector<std::string>& changes);

}  // namespace brindle::cli
