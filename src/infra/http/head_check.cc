#include "infra/http/head_check.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "infra/http/url.h"

namespace stoa::infra {
namespace {

constexpr std::array<std::string_view, 7> kMethods{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
// A second one could be the one that whoever stands in front has looked at.
constexpr std::array<std::string_view, 7> kOnce{"Host", "Authorization", "X-Api-Key", "Content-Length", "Content-Type", "Content-Encoding", "Expect"};

template <class... Args>
HeadProblem problem(int status, ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {status, error(code, format, std::forward<Args>(args)...)};
}

bool is_request_line(std::string_view line) {
  const auto first = line.find(' '), last = line.rfind(' ');
  if (first == 0 || first == std::string_view::npos || last == first || line.find(' ', first + 1) != last) return false;
  return line.substr(last + 1) == "HTTP/1.1" || line.substr(last + 1) == "HTTP/1.0";
}

bool is_host(std::string_view host) {
  return std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~:[]").find(c) != std::string_view::npos;
  });
}

bool has_dot_part(std::string_view decoded) {
  while (true) {
    const auto slash = decoded.find('/');
    if (const auto part = decoded.substr(0, slash); part == "." || part == "..") return true;
    if (slash == std::string_view::npos) return false;
    decoded.remove_prefix(slash + 1);
  }
}

}  // namespace

std::optional<HeadProblem> check_head_bytes(std::string_view bytes, std::size_t from) {
  const auto malformed = [](std::string_view why) { return problem(400, ErrorCode::kInvalidArgument, "malformed HTTP request: {}", why); };
  const auto first_end = bytes.find('\n');
  for (std::size_t i = from; i < bytes.size(); ++i) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    if (c >= ' ' && c != 0x7f) {
      if (c == ' ' && i > 0 && bytes[i - 1] == '\n') return malformed("a header field goes on in the next line");
      continue;
    }
    if (c == '\t') {
      if (i > 0 && bytes[i - 1] == '\n') return malformed("a header field goes on in the next line");
    } else if (c == '\r') {
      if (i + 1 < bytes.size() && bytes[i + 1] != '\n') return malformed("a line does not end in CR LF");
    } else if (c == '\n') {
      if (i == 0 || bytes[i - 1] != '\r') return malformed("a line does not end in CR LF");
      if (i == first_end && !is_request_line(bytes.substr(0, i - 1))) return malformed("the first line is not of the form 'GET /path HTTP/1.1'");
    } else {
      return malformed("there is a control character in its head");
    }
  }
  return std::nullopt;
}

std::optional<HeadProblem> check_head(const HttpRequest& request) {
  if (std::ranges::find(kMethods, request.method) == kMethods.end())
    return problem(501, ErrorCode::kUnsupported, "the method {} is not understood", request.method.substr(0, 40));
  if (request.target.size() > kMaxTarget)
    return problem(414, ErrorCode::kTooLarge, "the request target of {} bytes exceeds the limit of {}", request.target.size(), kMaxTarget);
  const auto& fields = request.headers.all();
  if (fields.size() > kMaxFields) return problem(431, ErrorCode::kTooLarge, "{} header fields exceed the limit of {}", fields.size(), kMaxFields);
  for (const std::string_view name : kOnce) {
    const auto count = std::ranges::count_if(fields, [&](const HttpHeaders::Field& field) { return equals_ignoring_case(field.first, name); });
    if (count > 1) return problem(400, ErrorCode::kInvalidArgument, "the request has {} {} fields, not one", count, name);
  }
  if (request.target == "*" && request.method != "OPTIONS") return problem(400, ErrorCode::kInvalidArgument, "the request target '*' is for OPTIONS only");
  const std::string_view host = request.headers.get("Host");
  if (!is_host(host)) return problem(400, ErrorCode::kInvalidArgument, "the Host field is not a host");
  if (!request.target.starts_with('/') && request.target != "*") {
    const auto target = parse_url(request.target);
    const auto named = target ? parse_url(target->scheme + "://" + std::string(host)) : target;
    if (!target || !named || !target->userinfo.empty() || named->authority() != target->authority())
      return problem(400, ErrorCode::kInvalidArgument, "the request target and the Host field name different hosts");
  }
  if (const std::string_view length = request.headers.get("Content-Length"); !std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; }))
    return problem(400, ErrorCode::kInvalidArgument, "the Content-Length field is not a number");
  const std::string_view coding = request.headers.get("Content-Encoding");
  if (!coding.empty() && !equals_ignoring_case(coding, "identity")) {
    HeadProblem coded = problem(415, ErrorCode::kUnsupported, "bodies with Content-Encoding are not taken");
    coded.error.hint = "send the body as it is";
    return coded;
  }
  return std::nullopt;
}

Status check_path(std::string_view path) {
  const auto bad = [&](std::string_view why) { return fail(ErrorCode::kInvalidArgument, "the path {}", why); };
  STOA_TRY(decoded, percent_decode(path));
  for (const char c : decoded) {
    if (c == '\\') return bad("has a backslash");
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return bad("has a control character");
  }
  if (!is_valid_utf8(decoded)) return bad("is not UTF-8");
  if (has_dot_part(decoded)) return bad("has '.' or '..' as a part");
  return {};
}

}  // namespace stoa::infra
