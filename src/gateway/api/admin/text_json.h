// Versioned texts as the HTTP API words them, which the command line prints of a data folder too.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "governance/versions/versioned_texts.h"

namespace stoa::gateway::admin {

// `object`: "stoa.route". `whole`: with the text.
JsonObject text_version_json(std::string_view object, const governance::TextVersion& version, bool whole);
JsonObject text_versions_json(std::string_view object, const std::vector<governance::TextVersion>& versions, bool whole);

}  // namespace stoa::gateway::admin
