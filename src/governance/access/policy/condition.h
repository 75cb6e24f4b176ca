// Conditions, compiled: one flat array of nodes in the order of the text, so that looking at one touches neighbouring memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "governance/access/policy/policy.h"

namespace stoa::governance {

enum class Truth : std::uint8_t { kNo, kUnknown, kYes };  // `and` is the least, `or` the greatest

// True when the whole of `text` is like `pattern`, in which * stands for any run of characters. Time is the product of the lengths at worst.
bool is_like(std::string_view text, std::string_view pattern);

// A condition that can only hold when `attribute` is (or has, for a list) one of `values`, or is unknown.
struct RuleKey {
  Attribute attribute{};
  std::vector<std::string_view> values;
};

// Views the conditions that were added.
class Conditions {
 public:
  static constexpr std::uint32_t kAlways = 0xFFFFFFFF;

  std::uint32_t add(const Condition& condition);  // its place, for the functions below
  Truth truth(std::uint32_t at, const PolicyRequest& request) const;
  // What decided it, in words. `condition` is what was added as `at`.
  std::string why(const Condition& condition, std::uint32_t at, const PolicyRequest& request) const;

  // Bits (attribute_bit) of all that a condition asks for.
  static std::uint64_t asked(const Condition& condition);
  // The attributes by which a condition can be found.
  static std::vector<RuleKey> keys(const Condition& condition);

 private:
  struct Node {
    Operator op{};
    Attribute left{};
    bool by_attribute = false;
    Attribute right{};
    std::uint32_t end = 0;          // behind its last part
    std::uint32_t first = 0, count = 0;  // of lists_ for kIn, of ranges_ for kWithin
    std::int64_t number = 0;
    std::string_view text;
  };
  Truth compare(const Node& node, const PolicyRequest& request) const;
  bool holds(const Node& node, const PolicyRequest& request, const PolicyRequest::Value& left, const PolicyRequest::Value& right) const;

  std::vector<Node> nodes_;
  std::vector<std::string_view> lists_;  // each sorted
  std::vector<AddressRange> ranges_;
};

}  // namespace stoa::governance
