#include "commands/attributes.h"

#include <charconv>
#include <cmath>

namespace stoa::cli {

Json attribute_value(std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc() && end == text.data() + text.size() && std::isfinite(number)) return number;
  return Json(std::string(text));
}

Result<JsonObject> parse_attributes(const std::vector<std::string>& texts) {
  JsonObject attributes;
  for (const std::string& text : texts) {
    const auto sign = text.find('=');
    if (sign == 0 || sign == std::string::npos)
      return fail(error(ErrorCode::kInvalidArgument, "'{}' is no attribute", text).with_hint("write a name, '=' and a value: year=2024"));
    if (!attributes.emplace(text.substr(0, sign), attribute_value(std::string_view(text).substr(sign + 1))).second)
      return fail(error(ErrorCode::kInvalidArgument, "attribute '{}' is named twice", text.substr(0, sign)).with_hint("a document has one value for each"));
  }
  return attributes;
}

}  // namespace stoa::cli
