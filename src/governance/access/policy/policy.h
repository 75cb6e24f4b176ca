// Policies: the text that says who may do what, read into plain structs. The language is described in docs/formats/policies.md; what it
// means is decided by policy_set.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "governance/access/policy/attributes.h"

namespace stoa::governance {

// Beyond a limit: kTooLarge with the place.
struct PolicyLimits {
  std::size_t max_bytes = 8u << 20;      // of a file
  std::size_t max_statements = 20'000;   // rules and tests of a file
  std::size_t max_text = 1024;           // bytes of a string
  std::size_t max_list = 256;            // items of a list, actions of a rule
  std::size_t max_depth = 32;            // parentheses and `not`s around a term
  std::size_t max_terms = 256;           // comparisons of one condition
};

struct Place {
  std::uint32_t line = 1, column = 1;  // from 1; columns count characters
};

enum class Operator : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,      // a string in a list
  kHas,     // a list has a string
  kLike,    // a string like a pattern: * is any run of characters
  kWithin,  // an address within a range
  kExists,  // the attribute is known; the one test that is never unknown itself
  kNot,
  kAnd,
  kOr,
};
std::string_view operator_name(Operator op);

// A comparison `left op right`, or `not`, `and`, `or` over parts (kNot has one, the others at least two, none of them of the same operator).
// Types fit together: the parser sees to it.
struct Condition {
  Operator op = Operator::kExists;
  Attribute left{};
  std::variant<PolicyValue, Attribute> right;  // unused by kExists
  std::vector<Condition> parts;
  Place place;
};

struct ActionSet {
  std::vector<std::string> patterns;  // as written: "document.read", "dataset.*", "*"
  std::uint64_t mask = 0;             // bit of each Action
  bool has(Action action) const { return mask >> static_cast<unsigned>(action) & 1; }
};

enum class RuleKind : std::uint8_t { kForbid, kBoundary, kRole, kPermit };

// A boundary's actions are the most it leaves. Roles have neither condition nor reason.
struct Rule {
  RuleKind kind = RuleKind::kForbid;
  std::string name;
  ActionSet actions;
  std::optional<Condition> when;
  std::string because;
  Place place;
};

struct PolicyTest {
  enum class By : std::uint8_t { kAnything, kRule, kRole, kDefault };
  std::string name;
  std::vector<std::pair<Attribute, PolicyValue>> fields;  // ascending, each once
  Action action{};
  bool permit = false;
  By by = By::kAnything;
  std::string by_name;  // of kRule and kRole
  Place place;
};

struct PolicyFile {
  std::string name;  // stands for the file in messages
  std::vector<Rule> rules;
  std::vector<PolicyTest> tests;
};

// One condition by itself, as after `when`: for rules that stand elsewhere.
Result<Condition> parse_condition(std::string_view text, std::string_view name, const PolicyLimits& limits = {});

// kInvalidArgument "file:line:column: what is wrong", with the nearest valid name as hint where a name is unknown.
Result<PolicyFile> parse_policies(std::string_view text, std::string_view name, const PolicyLimits& limits = {});
// kNotFound when it cannot be opened.
Result<PolicyFile> read_policies(const std::filesystem::path& file, const PolicyLimits& limits = {});
// `role: "admin", groups: ["hr"]` as attributes of `scope` (principal, resource or context): what stands in the braces of a test.
Result<std::vector<std::pair<Attribute, PolicyValue>>> parse_fields(std::string_view text, std::string_view scope, const PolicyLimits& limits = {});

// The canonical text: what it reads back as prints the same again. Comments are not kept.
std::string print_policies(const PolicyFile& file);
std::string print_condition(const Condition& condition);
std::string print_value(const PolicyValue& value);

}  // namespace stoa::governance
