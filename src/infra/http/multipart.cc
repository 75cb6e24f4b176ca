#include "infra/http/multipart.h"

#include <algorithm>

namespace stoa::infra {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes `; name=value` or `; name="value"` pairs off a header value. Quoted text ends at an unescaped quote.
struct Parameter {
  std::string_view name;
  std::string value;
};
bool next_parameter(std::string_view& rest, Parameter& out) {
  const auto semicolon = rest.find(';');
  if (semicolon == std::string_view::npos) return false;
  rest.remove_prefix(semicolon + 1);
  const auto equals = rest.find_first_of("=;");
  out = {trim(rest.substr(0, equals)), {}};
  if (equals == std::string_view::npos || rest[equals] == ';') {
    rest = equals == std::string_view::npos ? std::string_view() : rest.substr(equals);
    return true;
  }
  rest = trim(rest.substr(equals + 1));
  if (!rest.starts_with('"')) {
    const auto end = rest.find(';');
    out.value = trim(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    return true;
  }
  std::size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    // Browsers escape a quote as %22, some clients as \" : only that escape is undone, since "C:\dir" is sent raw.
    if (rest[i] == '\\' && i + 1 < rest.size() && rest[i + 1] == '"') ++i;
    out.value += rest[i];
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return true;
}

std::string last_component(std::string_view path) {
  const auto slash = path.find_last_of("/\\");
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  if (path == "." || path == "..") return {};
  std::string name;
  for (const char c : path)
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) name += c;
  return name;
}

Status read_part_header(std::string_view head, FormPart& part) {
  bool disposed = false;
  while (!head.empty()) {
    const auto end = head.find("\r\n");
    const auto line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "multipart: header line without ':'");
    const auto name = trim(line.substr(0, colon));
    auto value = trim(line.substr(colon + 1));
    if (equals_ignoring_case(name, "content-type")) part.content_type = value;
    if (!equals_ignoring_case(name, "content-disposition")) continue;
    if (!equals_ignoring_case(trim(value.substr(0, value.find(';'))), "form-data"))
      return fail(ErrorCode::kInvalidArgument, "multipart: a part is not form-data");
    Parameter parameter;
    while (next_parameter(value, parameter)) {
      if (equals_ignoring_case(parameter.name, "name")) {
        part.name = parameter.value;
        disposed = true;
      } else if (equals_ignoring_case(parameter.name, "filename")) {
        part.filename = last_component(parameter.value);
        part.is_file = true;
      }
    }
  }
  if (!disposed) return fail(ErrorCode::kInvalidArgument, "multipart: a part has no name");
  return {};
}

Result<std::string> boundary_of(std::string_view content_type) {
  if (!equals_ignoring_case(trim(content_type.substr(0, content_type.find(';'))), "multipart/form-data"))
    return fail(error(ErrorCode::kInvalidArgument, "the body is '{}', not multipart/form-data", content_type.substr(0, 100))
                    .with_hint("send the file as a form upload"));
  Parameter parameter;
  while (next_parameter(content_type, parameter)) {
    if (!equals_ignoring_case(parameter.name, "boundary")) continue;
    if (parameter.value.empty() || parameter.value.size() > 70) break;
    return parameter.value;
  }
  return fail(ErrorCode::kInvalidArgument, "multipart/form-data without a boundary of 1 to 70 characters");
}

}  // namespace

Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body, const FormLimits& limits) {
  STOA_TRY(boundary, boundary_of(content_type));
  const std::string first = "--" + boundary, next = "\r\n--" + boundary;
  // A preamble before the first boundary is allowed and ignored.
  if (!body.starts_with(first)) {
    const auto start = body.find(next);
    if (start == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "multipart: the boundary '{}' is not in the body", boundary);
    body.remove_prefix(start + 2);
  }
  body.remove_prefix(first.size());
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    while (body.starts_with(' ') || body.starts_with('\t')) body.remove_prefix(1);
    if (!body.starts_with("\r\n")) return fail(ErrorCode::kInvalidArgument, "multipart: text after a boundary");
    if (parts.size() >= limits.max_parts) return fail(ErrorCode::kTooLarge, "multipart: more than {} parts", limits.max_parts);
    // The head ends with an empty line; searching from the line break before it also finds an empty head.
    const auto head_end = body.substr(0, limits.max_part_header + 4).find("\r\n\r\n");
    if (head_end == std::string_view::npos)
      return fail(body.size() > limits.max_part_header ? ErrorCode::kTooLarge : ErrorCode::kInvalidArgument,
                  "multipart: headers of part {} do not end within {} bytes", parts.size() + 1, limits.max_part_header);
    FormPart part;
    STOA_CHECK(read_part_header(head_end == 0 ? std::string_view() : body.substr(2, head_end - 2), part));
    body.remove_prefix(head_end + 4);
    // The line break before a boundary belongs to it; for empty data it is the one that ended the head.
    const auto data_end = body.starts_with(first) ? 0 : body.find(next);
    if (data_end == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "multipart: part '{}' is cut off", part.name);
    part.data = body.substr(0, data_end);
    body.remove_prefix(body.starts_with(first) ? first.size() : data_end + next.size());
    parts.push_back(std::move(part));
  }
  return parts;
}

const FormPart* find_part(const std::vector<FormPart>& parts, std::string_view name) {
  for (const auto& part : parts)
    if (part.name == name) return &part;
  return nullptr;
}

}  // namespace stoa::infra
