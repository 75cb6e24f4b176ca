// The formats of JSON Schema as regular expressions. Each describes a subset of what the format's RFC allows: enough to write every
// usual value, small enough for an automaton.
#include <string>
#include <string_view>
#include <utility>

#include "models/constrain/schema_shape.h"

namespace stoa::models::constrain {

std::optional<std::string> format_regex(std::string_view format) {
  // RFC 3339 without leap seconds; 29 February in the years that have it.
  const std::string date =
      "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
      "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
  const std::string time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
  const std::string label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?";
  const std::string octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  const std::string group = "[0-9a-fA-F]{1,4}";
  const std::string path = "(?:[a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2})*";
  const std::string query = "(?:\\?(?:[a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?(?:#(?:[a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?";
  const std::pair<std::string_view, std::string> formats[] = {
      {"date", date},
      {"time", time},
      {"date-time", date + "T" + time},
      {"duration", "P(?:[0-9]{1,9}W|(?:[0-9]{1,9}D|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?)(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|"
                   "[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))?|T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))"},
      {"email", "[a-zA-Z0-9_%+-]+(?:\\.[a-zA-Z0-9_%+-]+)*@" + label + "(?:\\." + label + ")+"},
      {"hostname", label + "(?:\\." + label + ")*"},
      {"ipv4", octet + "(?:\\." + octet + "){3}"},
      {"ipv6", "(?:(?:" + group + ":){7}" + group + "|(?:" + group + ":){1,6}:" + group + "|::" + group + "|(?:" + group + ":){1,7}:|::)"},
      {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
      {"uri", "[a-zA-Z][a-zA-Z0-9+.-]*:(?://" + label + "(?:\\." + label + ")*(?::[0-9]{1,5})?(?:/" + path + ")?|[a-zA-Z0-9]" + path + ")" + query},
      {"byte", "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"},
      {"json-pointer", "(?:/(?:[^/~\"\\\\\\x00-\\x1f]|~[01])*)*"},
      // These say how a value is shown or carried, not which values there are.
      {"password", ""},
      {"binary", ""},
  };
  for (const auto& [name, regex] : formats)
    if (name == format) return regex.empty() ? regex : "^(?:" + regex + ")$";
  return std::nullopt;
}

}  // namespace stoa::models::constrain
