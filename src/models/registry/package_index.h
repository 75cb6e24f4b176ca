// Where Python packages come from, and which wheel of a package a version is (PEP 503, PEP 691).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::models {

struct Wheel {
  std::string url;     // absolute
  std::string sha256;  // as the index says; may be empty
};

// The index this machine is set up to use: PIP_INDEX_URL, else what pip's configuration says, else pip's own default. Without a
// trailing slash. kUnavailable when none is set and pip is not installed. Runs python3 once, for 20 seconds at most.
Result<std::string> package_index_url();

// Picks the wheel of `version` from the index page of `package`: JSON (PEP 691) or HTML (PEP 503). `page_url` resolves relative
// links. kNotFound when there is no such wheel.
Result<Wheel> find_wheel(std::string_view page, std::string_view page_url, std::string_view package, std::string_view version);

// The form in which index pages are addressed: lower case, runs of -_. are one '-'.
std::string normalized_package(std::string_view name);

}  // namespace stoa::models
