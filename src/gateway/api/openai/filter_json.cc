#include "gateway/api/openai/filter_json.h"

#include <cmath>

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxValues = 64;
constexpr int kMaxDepth = 8;

Result<data::Attribute> attribute(const Json& value, const Fields& owner, std::string_view key) {
  if (value.is_string()) return data::Attribute(std::string(value.get_string()));
  if (value.is_bool()) return data::Attribute(value.get_bool());
  if (value.is_number()) return data::Attribute(value.to_number<double>());
  return owner.wrong(key, "a string, a number, or true or false");
}

Result<data::Filter> parse(const JsonObject& object, const std::string& path, int depth) {
  const Fields fields(object, path);
  STOA_TRY(type, fields.required_text("type"));
  const auto op = data::parse_filter_op(type);
  if (!op) return fields.wrong("type", "one of eq, ne, gt, gte, lt, lte, in, nin, and, or");
  data::Filter filter{.op = *op, .key = {}, .values = {}, .filters = {}};
  if (*op == data::FilterOp::kAnd || *op == data::FilterOp::kOr) {
    if (depth >= kMaxDepth) return fields.wrong("filters", fmt::format("nested at most {} deep", kMaxDepth));
    STOA_TRY(parts, fields.array("filters", kMaxValues));
    if (parts == nullptr || parts->empty()) return fields.wrong("filters", "a non-empty list of filters; it is required");
    for (std::size_t i = 0; i < parts->size(); ++i) {
      const std::string item = fmt::format("{}[{}]", fields.path("filters"), i);
      const JsonObject* part = (*parts)[i].if_object();
      if (part == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", item).with_param(item));
      STOA_TRY(inner, parse(*part, item, depth + 1));
      filter.filters.push_back(std::move(inner));
    }
    return filter;
  }
  STOA_TRY(key, fields.required_text("key"));
  filter.key = std::move(key);
  const Json* value = fields.get("value");
  if (value == nullptr) return fields.wrong("value", "given");
  if (*op == data::FilterOp::kIn || *op == data::FilterOp::kNotIn) {
    STOA_TRY(values, fields.array("value", kMaxValues));
    for (const Json& item : *values) {
      STOA_TRY(one, attribute(item, fields, "value"));
      filter.values.push_back(std::move(one));
    }
    return filter;
  }
  STOA_TRY(one, attribute(*value, fields, "value"));
  filter.values.push_back(std::move(one));
  return filter;
}

}  // namespace

Result<data::Filter> parse_filter(const JsonObject& object, const std::string& path) {
  STOA_TRY(filter, parse(object, path, 1));
  if (auto status = filter.check(); !status) return fail(std::move(status).error().with_param(path));
  return std::move(filter);
}

Result<data::Attributes> parse_attributes(const Fields& body, std::string_view key) {
  data::Attributes out;
  STOA_TRY(object, body.object(key));
  if (object == nullptr) return out;
  for (const auto& [name, value] : *object) {
    STOA_TRY(one, attribute(value, body, key));
    out.emplace(name, std::move(one));
  }
  if (auto status = data::check_attributes(out); !status) return fail(std::move(status).error().with_param(body.path(key)));
  return out;
}

JsonObject attributes_json(const data::Attributes& attributes) {
  JsonObject out;
  for (const auto& [key, value] : attributes) {
    const double* number = std::get_if<double>(&value);
    if (number != nullptr && std::trunc(*number) == *number && std::abs(*number) < 9e15) {
      out[key] = static_cast<std::int64_t>(*number);  // 2024, not 2.024E3
    } else {
      std::visit([&](const auto& item) { out[key] = item; }, value);
    }
  }
  return out;
}

}  // namespace stoa::gateway::openai
