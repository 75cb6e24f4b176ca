#include "infra/config/required.h"

namespace stoa::infra {

Status read_required(const YamlNode& map, std::string_view key, std::string& out) {
  STOA_TRY(node, map.at(key));
  STOA_TRY(text, node->text());
  if (text.empty()) return fail(node->wrong(fmt::format("'{}' must not be empty", key)));
  out = std::move(text);
  return {};
}

Status read_required(const YamlNode& map, std::string_view key, int& out, int most) {
  STOA_TRY(node, map.at(key));
  STOA_TRY(number, node->integer(1, most));
  out = static_cast<int>(number);
  return {};
}

Status read_required(const YamlNode& map, std::string_view key, double& out) {
  STOA_TRY(node, map.at(key));
  STOA_TRY(number, node->number());
  if (number < 0 || number > 1) return fail(node->wrong(fmt::format("'{}' must be from 0 to 1", key)));
  out = number;
  return {};
}

}  // namespace stoa::infra
