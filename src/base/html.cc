#include "base/html.h"

namespace stoa {

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

Json html_escaped(const Json& value) {
  if (value.is_string()) return Json(html_escaped(std::string_view(value.get_string())));
  if (value.is_array()) {
    JsonArray out;
    for (const Json& item : value.get_array()) out.push_back(html_escaped(item));
    return out;
  }
  if (!value.is_object()) return value;
  JsonObject out;
  for (const auto& [name, member] : value.get_object()) out[html_escaped(std::string_view(name))] = html_escaped(member);
  return out;
}

}  // namespace stoa
