#include "gateway/api/admin/text_json.h"

namespace stoa::gateway::admin {

JsonObject text_version_json(std::string_view object, const governance::TextVersion& version, bool whole) {
  JsonObject out{{"object", object},          {"name", version.name},     {"version", version.version}, {"removed", version.removed},
                 {"digest", version.digest},  {"author", version.author}, {"comment", version.comment}, {"time", to_rfc3339(version.time)}};
  if (whole) out["text"] = version.text;
  return out;
}

JsonObject text_versions_json(std::string_view object, const std::vector<governance::TextVersion>& versions, bool whole) {
  JsonArray data;
  for (const auto& version : versions) data.push_back(text_version_json(object, version, whole));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace stoa::gateway::admin
