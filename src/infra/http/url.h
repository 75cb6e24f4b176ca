// URLs (RFC 3986, the parts HTTP uses) and application/x-www-form-urlencoded pairs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "infra/http/message.h"

namespace stoa::infra {

struct Url {
  std::string scheme;     // lower case
  std::string host;       // lower case; IPv6 without brackets
  std::uint16_t port = 0;  // of the URL, else the scheme's default, else 0
  std::string path;       // encoded, begins with '/' or is empty
  std::string query;      // encoded, without '?'
  std::string userinfo;   // encoded, without '@'

  // What the request line carries: path (at least "/") and query.
  std::string target() const;
  // "host" or "host:port" where the port is not the scheme's default; IPv6 in brackets.
  std::string authority() const;
  std::string origin() const;  // scheme://authority
};

// Fragments are dropped. kInvalidArgument names what is wrong; control characters and spaces are refused.
Result<Url> parse_url(std::string_view text);
// Resolves a reference ("../a", "/a?b", "//host/a", "https://...") against a base (RFC 3986, 5.2).
Result<Url> resolve_url(const Url& base, std::string_view reference);

// Encodes everything but unreserved characters; `keep` lists further characters to leave ("/" for paths).
std::string percent_encode(std::string_view text, std::string_view keep = "");
// kInvalidArgument for a bad escape. `plus_is_space` for query strings and forms.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

inline constexpr std::size_t kMaxQueryPairs = 1000;
Result<NameValues> parse_query(std::string_view text);
std::string format_query(const NameValues& pairs);

}  // namespace stoa::infra
