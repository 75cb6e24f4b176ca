// For tests: a decision point with the roles that come with Stoa.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "governance/access/access.h"

namespace stoa::governance {

// `source`: the folder of the source tree; `more`: policies beside the roles.
inline std::unique_ptr<Access> access_for_tests(std::string_view source, std::string_view more = {}, AccessOptions options = {}) {
  std::vector<PolicyFile> files;
  files.push_back(read_policies(std::string(source) + "/share/roles.policy").value());
  files.push_back(parse_policies(more, "more").value());
  return Access::with_policies(std::move(files), std::move(options)).value();
}

}  // namespace stoa::governance
