// labels.h: the verb `label` of volumes and of snapshots.
#pragma once

#include "cli/options.h"

namespace brindle::cli {

/// `label NAME K=V K-`: sets and removes labels of what exists. `check` refuses a wrong NAME.
void add_label_verb(CLI::App& group, Context& context, const std::string& shown, const char* what,
                    void (*check)(const std::string&), const char* example);

/// The labels after the changes. Refuses a change that is neither K=V nor K-.
Json changed_labels(Json labels, const std::vector<std::string>& changes);

}  // namespace brindle::cli
