// multipart/form-data (RFC 7578): what file uploads of browsers and SDKs are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "infra/http/message.h"

namespace stoa::infra {

struct FormPart {
  std::string name;
  std::string filename;      // last path component only, never "." or ".."; empty for plain fields
  bool is_file = false;      // a filename was given, even an empty one
  std::string content_type;  // as sent; empty when absent
  std::string_view data;     // into the body that was parsed
};

struct FormLimits {
  std::size_t max_parts = 100;
  std::size_t max_part_header = 8u << 10;
};

// `content_type` is the request's header. kInvalidArgument for another media type, a missing boundary or malformed parts;
// kTooLarge beyond the limits. The parts refer to `body`, which has to outlive them.
Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body, const FormLimits& limits = {});

// The first part of that name, or null.
const FormPart* find_part(const std::vector<FormPart>& parts, std::string_view name);

}  // namespace stoa::infra
