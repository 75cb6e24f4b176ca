// Policies at work: files compiled into one immutable set that answers who may do what, and says by which rule.
//
// The rules, first to last; the first that applies decides:
//   1. a `forbid` that names the action and applies: denied;
//   2. a boundary that applies and does not leave the action: denied;
//   3. the caller's role has the action: permitted;
//   4. a `permit` that names the action and applies: permitted;
//   5. nothing did: denied.
// Within a step the order is that of the files and of the statements in them.
//
// What is not known never helps the one who asks. A comparison with an attribute that the request does not have is unknown, and `not`,
// `and`, `or` keep that where it matters (Kleene's logic: false and unknown is false, true or unknown is true). A permit applies only when its
// condition is true; a forbid and a boundary apply unless theirs is false. `exists` guards a forbid that is meant otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "governance/access/policy/condition.h"
#include "governance/access/policy/policy.h"

namespace stoa::governance {

// Views the set that made it.
struct PolicyDecision {
  bool allowed = false;
  bool unknown = false;             // it rests on something that is not known
  Action action{};
  const Rule* rule = nullptr;       // nullptr: nothing permits it
  const PolicyFile* file = nullptr;

  std::string_view rule_name() const { return rule ? std::string_view(rule->name) : "default"; }
  std::string where() const;        // "file:line", empty by default
  std::string reason() const;       // for people, with rule and place
};

struct RuleNote {
  const Rule* rule = nullptr;
  std::string where;
  bool applies = false;
  std::string why;  // `resource.class == "restricted" does not hold: resource.class is "public"`
};
struct PolicyExplanation {
  PolicyDecision decision;
  std::vector<RuleNote> notes;    // of the rules that are about the action, in the order of the steps above
  std::size_t others = 0;         // rules that are not about it
};

struct PolicyTestFailure {
  std::string where;    // "file:line"
  std::string test;
  std::string message;  // what was expected and what came
};
struct PolicyTestReport {
  std::size_t run = 0;
  std::vector<PolicyTestFailure> failures;
};

// Thread-safe. Deciding allocates nothing and takes time by the number of rules that can apply, not by the number of rules.
class PolicySet {
 public:
  // kInvalidArgument names both places when a name is used twice (policies and boundaries share their names, roles have their own), and the
  // place of a role that is compared with and defined nowhere. `base`: a set that these files stand beside; its names are taken, its
  // roles are there.
  enum class Names { kChecked, kAny };  // kAny: roles that are compared with may be defined nowhere
  static Result<PolicySet> compile(std::vector<PolicyFile> files, const PolicySet* base = nullptr, Names names = Names::kChecked);

  PolicySet(PolicySet&&) = default;
  PolicySet& operator=(PolicySet&&) = default;

  PolicyDecision decide(const PolicyRequest& request) const;
  // Only the boundaries: denied by the first that applies and does not leave the action, allowed without a rule otherwise.
  PolicyDecision boundary(const PolicyRequest& request) const;
  PolicyExplanation explain(const PolicyRequest& request) const;
  PolicyTestReport run_tests() const;
  std::span<const PolicyFile> files() const { return files_; }
  std::size_t rules() const { return rules_.size(); }
  // The actions of a role as bits (action_bit); absent when no file defines it.
  std::optional<std::uint64_t> role_actions(std::string_view name) const;
  std::vector<std::pair<const Rule*, const PolicyFile*>> roles() const;  // by name
  // Bits (attribute_bit) of what rules about this action ask for.
  std::uint64_t asked(Action action) const { return asked_[static_cast<std::size_t>(action)]; }

 private:
  using RuleIndex = std::uint32_t;
  static constexpr RuleIndex kNone = 0xFFFFFFFF;

  struct Compiled {
    const Rule* rule;
    const PolicyFile* file;
    std::uint32_t condition;  // kAlways without one
  };
  // Rules of one attribute, found by the hash of the values for which they may apply. A rule may be found that does not apply: its whole
  // condition is looked at afterwards, so hashes that collide do no harm.
  struct Keyed {
    Attribute attribute{};
    std::vector<std::pair<std::uint64_t, RuleIndex>> entries;  // ascending
    std::vector<RuleIndex> rules;                              // ascending: all of them, for when the attribute is not known
  };
  struct Bucket {
    std::vector<RuleIndex> always;  // ascending: those without such an attribute
    std::vector<Keyed> keyed;
  };
  using Index = std::array<Bucket, 64>;  // by action

  PolicySet() = default;
  Status check_names(const PolicySet* base) const;
  Status check_roles(const PolicySet* base) const;
  void build_index();
  void add_to_index(RuleIndex rule, const RuleKey* key);
  Truth truth(RuleIndex rule, const PolicyRequest& request) const;
  RuleIndex first(const Bucket& bucket, const PolicyRequest& request, Truth least) const;
  PolicyDecision decided(bool allowed, RuleIndex rule, const PolicyRequest& request) const;
  RuleNote note(RuleIndex rule, const PolicyRequest& request) const;

  std::vector<PolicyFile> files_;  // never changed: the rest views them
  std::vector<Compiled> rules_;
  std::vector<std::pair<std::string_view, RuleIndex>> roles_;  // ascending
  Conditions conditions_;
  Index forbids_, boundaries_, permits_;
  std::array<std::uint64_t, 64> asked_{};
};

}  // namespace stoa::governance
