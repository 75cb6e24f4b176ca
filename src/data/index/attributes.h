// Attributes of documents, and filters over them: the comparison and compound filters of the OpenAI vector store API.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace stoa::data {

using Attribute = std::variant<std::string, double, bool>;
using Attributes = std::map<std::string, Attribute>;  // at most 16, keys up to 64 bytes, texts up to 512 bytes

Status check_attributes(const Attributes& attributes);

// What policies can ask a document about itself: who brought it in, and its attributes "class", "residency" and "labels" (separated by commas); numbers and truth values as they are written: 3, true.
struct Marks {
  std::string owner, data_class, residency, labels;
  auto operator<=>(const Marks&) const = default;
};
Marks marks_of(std::string owner, const Attributes& attributes);

enum class FilterOp { kEq, kNe, kGt, kGte, kLt, kLte, kIn, kNotIn, kAnd, kOr };
Result<FilterOp> parse_filter_op(std::string_view name);  // eq ne gt gte lt lte in nin and or

// Comparisons use `key` and `values` (one value; any number for kIn and kNotIn), compounds use `filters`.
struct Filter {
  FilterOp op = FilterOp::kAnd;   // an empty kAnd lets everything through
  std::string key;
  std::vector<Attribute> values;
  std::vector<Filter> filters;

  // A missing attribute satisfies only kNe and kNotIn; so does one of another type. Order is by number or by bytes of text.
  bool matches(const Attributes& attributes) const;
  // kInvalidArgument: no value, order asked of a truth value, more than 8 levels or 64 parts.
  Status check() const;
};

}  // namespace stoa::data
