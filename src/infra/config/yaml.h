// Reading YAML: a read-only tree whose values know their line, so that errors name "file:line". Used for the configuration and
// for data files (models, prices, prompts). Bounds: size, depth, number of values; anchors, aliases and tags are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace stoa::infra {

struct YamlLimits {
  std::size_t max_bytes = 4u << 20;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 200'000;
};

// Immutable once parsed; cheap to copy by reference, not by value. Errors of the readers are kInvalidArgument.
class YamlNode {
 public:
  enum class Kind { kNull, kScalar, kSequence, kMap };
  using Entry = std::pair<std::string, YamlNode>;

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  int line() const { return line_; }  // from 1
  std::string where() const;          // "share/prices.yaml:12"

  // The value as a type. Quoted scalars are text only: `port: "80"` is not a number.
  Result<std::string> text() const;   // any scalar, as written
  Result<std::int64_t> integer(std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX) const;
  Result<double> number() const;      // finite
  Result<bool> boolean() const;       // true or false

  // Members in the order of the file; empty for scalars.
  std::span<const YamlNode> items() const { return items_; }
  std::span<const Entry> entries() const { return entries_; }
  const YamlNode* find(std::string_view key) const;         // nullptr when absent
  Result<const YamlNode*> at(std::string_view key) const;   // an error that names where and the missing key
  // An error that names the first key that is not in `known`, and the nearest that is.
  Status only(std::span<const std::string_view> known) const;

  Error wrong(std::string_view what) const;  // kInvalidArgument "file:line: what"

 private:
  friend class YamlBuilder;
  Kind kind_ = Kind::kNull;
  bool quoted_ = false;
  int line_ = 0;
  std::shared_ptr<const std::string> name_;
  std::string scalar_;
  std::vector<YamlNode> items_;
  std::vector<Entry> entries_;
};

// `name` stands for the file in errors. Exactly one document; an empty one is a null node. Keys are unique scalars.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view name, const YamlLimits& limits = {});
Result<YamlNode> read_yaml(const std::filesystem::path& file, const YamlLimits& limits = {});

// The candidate with the smallest edit distance to `text`, or empty when none is near enough to be meant.
std::string_view nearest_name(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace stoa::infra
