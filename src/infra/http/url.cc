#include "infra/http/url.h"

#include <algorithm>
#include <charconv>

namespace stoa::infra {
namespace {

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_unreserved(char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void to_lower(std::string& text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : scheme == "http" ? 80 : 0; }

Status parse_authority(std::string_view text, std::string_view whole, Url& url) {
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    url.userinfo = text.substr(0, at);
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "URL '{}': '[' without ']'", whole);
    url.host = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (!text.empty() && text.front() != ':') return fail(ErrorCode::kInvalidArgument, "URL '{}': text after ']'", whole);
    if (!text.empty()) port = text.substr(1);
  } else {
    const auto colon = text.find(':');
    url.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
  }
  to_lower(url.host);
  url.port = default_port(url.scheme);
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port == 0)
      return fail(ErrorCode::kInvalidArgument, "URL '{}': bad port '{}'", whole, port);
  }
  return {};
}

// Path without its "." and ".." segments (RFC 3986, 5.2.4).
std::string remove_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  const bool absolute = !path.empty() && path.front() == '/';
  if (absolute) path.remove_prefix(1);
  bool open_end = false;
  while (true) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    open_end = segment == "." || segment == "..";
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  std::string out;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i > 0 || absolute) out += '/';
    out += kept[i];
  }
  if (open_end || out.empty()) out += '/';
  return out;
}

}  // namespace

std::string Url::target() const {
  std::string out = path.empty() ? "/" : path;
  if (!query.empty()) out += "?" + query;
  return out;
}

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != default_port(scheme)) out += fmt::format(":{}", port);
  return out;
}

std::string Url::origin() const { return scheme + "://" + authority(); }

Result<Url> parse_url(std::string_view text) {
  if (text.size() > 8192) return fail(ErrorCode::kInvalidArgument, "URL of {} bytes is too long (limit 8192)", text.size());
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return fail(ErrorCode::kInvalidArgument, "URL '{}' contains a space or control character; percent-encode it",
                  percent_encode(text, ":/?#[]@!$&'()*+,;=%"));
  Url url;
  const auto colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front()))
    return fail(ErrorCode::kInvalidArgument, "'{}' is not a URL: it has no scheme such as https://", text);
  url.scheme = text.substr(0, colon);
  for (const char c : url.scheme)
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
      return fail(ErrorCode::kInvalidArgument, "URL '{}': bad scheme", text);
  to_lower(url.scheme);
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const auto end = rest.find_first_of("/?");
  STOA_CHECK(parse_authority(rest.substr(0, end), text, url));
  if (url.host.empty() && url.scheme != "file") return fail(ErrorCode::kInvalidArgument, "URL '{}' names no host", text);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  const auto question = rest.find('?');
  url.path = rest.substr(0, question);
  if (question != std::string_view::npos) url.query = rest.substr(question + 1);
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  const auto special = reference.find_first_of(":/?#");
  if (special != std::string_view::npos && reference[special] == ':') return parse_url(reference);
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  reference = reference.substr(0, reference.find('#'));
  const auto question = reference.find('?');
  const std::string_view path = reference.substr(0, question);
  std::string merged;
  if (path.empty()) {
    merged = base.path;
  } else if (path.front() == '/') {
    merged = remove_dots(path);
  } else {
    const auto slash = base.path.rfind('/');
    merged = remove_dots((slash == std::string::npos ? "/" : base.path.substr(0, slash + 1)) + std::string(path));
  }
  std::string query = question != std::string_view::npos ? std::string(reference.substr(question + 1)) : path.empty() ? base.query : "";
  // Through the parser again, so that what a server sent is checked like any other URL.
  return parse_url(base.origin() + merged + (query.empty() ? "" : "?" + query));
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(ErrorCode::kInvalidArgument, "'{}' has a '%' without two hex digits", text.substr(0, 200));
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

Result<NameValues> parse_query(std::string_view text) {
  NameValues pairs;
  while (!text.empty()) {
    const auto amp = text.find('&');
    const auto pair = text.substr(0, amp);
    if (!pair.empty()) {
      if (pairs.size() >= kMaxQueryPairs) return fail(ErrorCode::kInvalidArgument, "more than {} query parameters", kMaxQueryPairs);
      const auto equals = pair.find('=');
      STOA_TRY(name, percent_decode(pair.substr(0, equals), true));
      STOA_TRY(value, percent_decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), true));
      pairs.emplace_back(std::move(name), std::move(value));
    }
    if (amp == std::string_view::npos) break;
    text.remove_prefix(amp + 1);
  }
  return pairs;
}

std::string format_query(const NameValues& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

}  // namespace stoa::infra
