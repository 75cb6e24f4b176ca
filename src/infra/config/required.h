// Members that a map of YAML has to have, into variables. Errors are kInvalidArgument and name the line.
#pragma once

#include <string>
#include <string_view>

#include "infra/config/yaml.h"

namespace stoa::infra {

Status read_required(const YamlNode& map, std::string_view key, std::string& out);       // not empty
Status read_required(const YamlNode& map, std::string_view key, int& out, int most);     // 1 to `most`
Status read_required(const YamlNode& map, std::string_view key, double& out);            // 0 to 1

}  // namespace stoa::infra
