#include "governance/access/policy/condition.h"

#include <algorithm>
#include <span>

namespace stoa::governance {
namespace {

Truth as_truth(bool holds) { return holds ? Truth::kYes : Truth::kNo; }
Truth negated(Truth truth) { return static_cast<Truth>(2 - static_cast<int>(truth)); }

std::string shown(Attribute attribute, const PolicyRequest& request) {
  const auto& value = request.get(attribute);
  const AttributeInfo& info = attribute_info(attribute);
  if (!value.known) return fmt::format("{} is not known", info.name);
  switch (info.type) {
    case AttributeType::kInteger: return fmt::format("{} is {}", info.name, value.number);
    case AttributeType::kBoolean: return fmt::format("{} is {}", info.name, value.number != 0);
    case AttributeType::kList: return fmt::format("{} is {}", info.name, print_value(std::vector<std::string>(value.list.begin(), value.list.end())));
    case AttributeType::kText:
    case AttributeType::kAddress: break;
  }
  return fmt::format("{} is {}", info.name, print_value(std::string(value.text)));
}

// Keys on the same attribute in all parts of an `or`, with the values of all.
std::vector<RuleKey> common(std::vector<std::vector<RuleKey>> parts) {
  std::vector<RuleKey> out = std::move(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i)
    std::erase_if(out, [&](RuleKey& key) {
      const auto same = std::ranges::find(parts[i], key.attribute, &RuleKey::attribute);
      if (same == parts[i].end()) return true;
      key.values.insert(key.values.end(), same->values.begin(), same->values.end());
      return false;
    });
  return out;
}

}  // namespace

bool is_like(std::string_view text, std::string_view pattern) {
  std::size_t at = 0, want = 0, star = std::string_view::npos, resume = 0;
  while (at < text.size()) {
    if (want < pattern.size() && pattern[want] == '*') {
      star = want++;
      resume = at;
    } else if (want < pattern.size() && pattern[want] == text[at]) {
      ++want, ++at;
    } else if (star != std::string_view::npos) {
      want = star + 1;  // let the last star take one more
      at = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', want) == std::string_view::npos;
}

std::uint32_t Conditions::add(const Condition& condition) {
  const auto at = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({.op = condition.op, .left = condition.left});
  for (const auto& part : condition.parts) add(part);
  Node& node = nodes_[at];
  node.end = static_cast<std::uint32_t>(nodes_.size());
  if (condition.op >= Operator::kExists) return at;
  if (const auto* attribute = std::get_if<Attribute>(&condition.right)) {
    node.by_attribute = true;
    node.right = *attribute;
    return at;
  }
  const auto& value = std::get<PolicyValue>(condition.right);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    node.first = static_cast<std::uint32_t>(lists_.size());
    node.count = static_cast<std::uint32_t>(list->size());
    lists_.insert(lists_.end(), list->begin(), list->end());
    std::sort(lists_.begin() + node.first, lists_.end());
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    node.text = *text;
    if (condition.op == Operator::kWithin) {
      node.first = static_cast<std::uint32_t>(ranges_.size());
      ranges_.push_back(parse_range(*text).value());  // the parser has read it before
    }
  } else {
    const auto* number = std::get_if<std::int64_t>(&value);
    node.number = number ? *number : std::get<bool>(value);
  }
  return at;
}

Truth Conditions::truth(std::uint32_t at, const PolicyRequest& request) const {
  const Node& node = nodes_[at];
  if (node.op < Operator::kNot) return compare(node, request);
  if (node.op == Operator::kNot) return negated(truth(at + 1, request));
  const bool all = node.op == Operator::kAnd;
  Truth so_far = all ? Truth::kYes : Truth::kNo;
  const Truth settled = negated(so_far);
  for (std::uint32_t part = at + 1; part < node.end && so_far != settled; part = nodes_[part].end) {
    const Truth one = truth(part, request);
    so_far = all ? std::min(so_far, one) : std::max(so_far, one);
  }
  return so_far;
}

Truth Conditions::compare(const Node& node, const PolicyRequest& request) const {
  const auto& left = request.get(node.left);
  if (node.op == Operator::kExists) return as_truth(left.known);
  if (!left.known) return Truth::kUnknown;
  if (!node.by_attribute) {
    const PolicyRequest::Value literal{.known = true, .number = node.number, .text = node.text, .list = {}};
    return as_truth(holds(node, request, left, literal));
  }
  const auto& right = request.get(node.right);
  return right.known ? as_truth(holds(node, request, left, right)) : Truth::kUnknown;
}

bool Conditions::holds(const Node& node, const PolicyRequest& request, const PolicyRequest::Value& left, const PolicyRequest::Value& right) const {
  // What a value is not stays empty or 0 on both sides, so that one comparison serves all types.
  const auto equal = [&] { return left.number == right.number && left.text == right.text; };
  switch (node.op) {
    case Operator::kEqual: return equal();
    case Operator::kNotEqual: return !equal();
    case Operator::kLess: return left.number < right.number;
    case Operator::kLessEqual: return left.number <= right.number;
    case Operator::kGreater: return left.number > right.number;
    case Operator::kGreaterEqual: return left.number >= right.number;
    case Operator::kIn:
      if (node.by_attribute) return std::ranges::find(right.list, left.text) != right.list.end();
      return std::binary_search(lists_.begin() + node.first, lists_.begin() + node.first + node.count, left.text);
    case Operator::kHas: return std::ranges::find(left.list, right.text) != left.list.end();
    case Operator::kLike: return is_like(left.text, right.text);
    case Operator::kWithin: return ranges_[node.first].contains(request.address());
    case Operator::kExists:
    case Operator::kNot:
    case Operator::kAnd:
    case Operator::kOr: break;
  }
  return false;
}

std::string Conditions::why(const Condition& condition, std::uint32_t at, const PolicyRequest& request) const {
  const Truth result = truth(at, request);
  if (condition.op == Operator::kNot) return "not: " + why(condition.parts.front(), at + 1, request);
  if (condition.op == Operator::kAnd || condition.op == Operator::kOr) {
    // One part decides when it makes `and` fail or `or` hold; else all that are as the whole.
    const bool one = condition.op == Operator::kAnd ? result == Truth::kNo : result == Truth::kYes;
    std::string out;
    std::uint32_t node = at + 1;
    for (const auto& part : condition.parts) {
      if (truth(node, request) == result) {
        out += (out.empty() ? "" : "; ") + why(part, node, request);
        if (one) break;
      }
      node = nodes_[node].end;
    }
    return out;
  }
  const std::string_view verb = result == Truth::kYes ? "holds" : result == Truth::kNo ? "does not hold" : "is unknown";
  std::string out = fmt::format("{} {}: {}", print_condition(condition), verb, shown(condition.left, request));
  if (const auto* right = std::get_if<Attribute>(&condition.right); right && condition.op != Operator::kExists) out += " and " + shown(*right, request);
  return out;
}

std::uint64_t Conditions::asked(const Condition& condition) {
  std::uint64_t bits = 0;
  for (const auto& part : condition.parts) bits |= asked(part);
  if (!condition.parts.empty()) return bits;
  bits |= attribute_bit(condition.left);
  if (const auto* right = std::get_if<Attribute>(&condition.right); right && condition.op != Operator::kExists) bits |= attribute_bit(*right);
  return bits;
}

std::vector<RuleKey> Conditions::keys(const Condition& condition) {
  if (condition.op == Operator::kAnd || condition.op == Operator::kOr) {
    std::vector<std::vector<RuleKey>> parts;
    for (const auto& part : condition.parts) parts.push_back(keys(part));
    if (condition.op == Operator::kOr) return common(std::move(parts));
    std::vector<RuleKey> out;
    for (auto& part : parts) std::ranges::move(part, std::back_inserter(out));
    return out;
  }
  const auto* value = std::get_if<PolicyValue>(&condition.right);
  if (value == nullptr || condition.op == Operator::kNot || condition.op == Operator::kExists) return {};
  const AttributeType type = attribute_info(condition.left).type;
  const bool text_equals = condition.op == Operator::kEqual && type == AttributeType::kText;
  if (text_equals || condition.op == Operator::kHas) return {{condition.left, {std::get<std::string>(*value)}}};
  if (condition.op != Operator::kIn) return {};
  const auto& list = std::get<std::vector<std::string>>(*value);
  return {{condition.left, {list.begin(), list.end()}}};
}

}  // namespace stoa::governance
