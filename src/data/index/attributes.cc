#include "data/index/attributes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace stoa::data {
namespace {

constexpr std::size_t kMaxAttributes = 16, kMaxKey = 64, kMaxText = 512;
constexpr std::size_t kMaxLevels = 8, kMaxParts = 64, kMaxValues = 256;

constexpr std::array<std::pair<std::string_view, FilterOp>, 10> kOps{{{"eq", FilterOp::kEq},
                                                                      {"ne", FilterOp::kNe},
                                                                      {"gt", FilterOp::kGt},
                                                                      {"gte", FilterOp::kGte},
                                                                      {"lt", FilterOp::kLt},
                                                                      {"lte", FilterOp::kLte},
                                                                      {"in", FilterOp::kIn},
                                                                      {"nin", FilterOp::kNotIn},
                                                                      {"and", FilterOp::kAnd},
                                                                      {"or", FilterOp::kOr}}};

bool is_compound(FilterOp op) { return op == FilterOp::kAnd || op == FilterOp::kOr; }
bool is_list(FilterOp op) { return op == FilterOp::kIn || op == FilterOp::kNotIn; }
bool is_order(FilterOp op) { return op == FilterOp::kGt || op == FilterOp::kGte || op == FilterOp::kLt || op == FilterOp::kLte; }

bool compare(FilterOp op, const Attribute& left, const Attribute& right) {
  if (left.index() != right.index()) return false;
  switch (op) {
    case FilterOp::kGt: return left > right;
    case FilterOp::kGte: return left >= right;
    case FilterOp::kLt: return left < right;
    default: return left <= right;
  }
}

Status check_part(const Filter& filter, std::size_t level, std::size_t& parts) {
  if (level > kMaxLevels || ++parts > kMaxParts) {
    return fail(ErrorCode::kInvalidArgument, "a filter has at most {} levels and {} parts", kMaxLevels, kMaxParts);
  }
  if (is_compound(filter.op)) {
    for (const auto& part : filter.filters) STOA_CHECK(check_part(part, level + 1, parts));
    return {};
  }
  if (filter.key.empty() || filter.key.size() > kMaxKey) {
    return fail(ErrorCode::kInvalidArgument, "a filter's key has 1 to {} bytes, this one has {}", kMaxKey, filter.key.size());
  }
  if (is_list(filter.op) ? filter.values.size() > kMaxValues : filter.values.size() != 1) {
    return fail(ErrorCode::kInvalidArgument, "the filter on '{}' has {} values", filter.key, filter.values.size());
  }
  if (is_order(filter.op) && std::holds_alternative<bool>(filter.values[0])) {
    return fail(ErrorCode::kInvalidArgument, "the filter on '{}' asks for the order of true and false", filter.key);
  }
  return {};
}

}  // namespace

Marks marks_of(std::string owner, const Attributes& attributes) {
  const auto text = [&](const char* name) {
    const auto found = attributes.find(name);
    return found == attributes.end() ? std::string() : std::visit([](const auto& value) { return fmt::format("{}", value); }, found->second);
  };
  return {std::move(owner), text("class"), text("residency"), text("labels")};
}

Status check_attributes(const Attributes& attributes) {
  if (attributes.size() > kMaxAttributes) {
    return fail(ErrorCode::kInvalidArgument, "a document has at most {} attributes, not {}", kMaxAttributes, attributes.size());
  }
  for (const auto& [key, value] : attributes) {
    if (key.empty() || key.size() > kMaxKey) {
      return fail(ErrorCode::kInvalidArgument, "the name of an attribute has 1 to {} bytes, '{}' has {}", kMaxKey, key.substr(0, kMaxKey), key.size());
    }
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && text->size() > kMaxText) {
      return fail(ErrorCode::kInvalidArgument, "the attribute '{}' has {} bytes, more than {}", key, text->size(), kMaxText);
    }
    if (const auto* number = std::get_if<double>(&value); number != nullptr && !std::isfinite(*number)) {
      return fail(ErrorCode::kInvalidArgument, "the attribute '{}' is not a finite number", key);
    }
  }
  return {};
}

Result<FilterOp> parse_filter_op(std::string_view name) {
  const auto found = std::ranges::find(kOps, name, &std::pair<std::string_view, FilterOp>::first);
  if (found == kOps.end()) {
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a filter type", name).with_hint("use eq, ne, gt, gte, lt, lte, in, nin, and, or"));
  }
  return found->second;
}

bool Filter::matches(const Attributes& attributes) const {
  const auto passes = [&](const Filter& part) { return part.matches(attributes); };
  if (op == FilterOp::kAnd) return std::ranges::all_of(filters, passes);
  if (op == FilterOp::kOr) return std::ranges::any_of(filters, passes);
  const bool negative = op == FilterOp::kNe || op == FilterOp::kNotIn;
  const auto found = attributes.find(key);
  if (found == attributes.end()) return negative;
  if (is_order(op)) return !values.empty() && compare(op, found->second, values[0]);
  const bool listed = std::ranges::find(values, found->second) != values.end();
  return listed != negative;
}

Status Filter::check() const {
  std::size_t parts = 0;
  return check_part(*this, 1, parts);
}

}  // namespace stoa::data
