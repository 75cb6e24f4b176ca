#include "governance/access/policy/policy_set.h"

#include <algorithm>
#include <functional>
#include <map>

#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

std::uint64_t hash(std::string_view text) { return std::hash<std::string_view>{}(text); }

std::string place_of(const PolicyFile& file, Place place) { return fmt::format("{}:{}", file.name, place.line); }

// Calls visit(text) for each literal that the condition compares with `attribute`.
void each_literal(const Condition& condition, Attribute attribute, const std::function<void(const std::string&, Place)>& visit) {
  for (const auto& part : condition.parts) each_literal(part, attribute, visit);
  const auto* value = std::get_if<PolicyValue>(&condition.right);
  if (condition.left != attribute || value == nullptr || condition.op == Operator::kLike) return;
  if (condition.op >= Operator::kExists) return;
  if (const auto* text = std::get_if<std::string>(value)) visit(*text, condition.place);
  if (const auto* list = std::get_if<std::vector<std::string>>(value))
    for (const auto& text : *list) visit(text, condition.place);
}

}  // namespace

Result<PolicySet> PolicySet::compile(std::vector<PolicyFile> files, const PolicySet* base, Names names) {
  PolicySet set;
  set.files_ = std::move(files);
  for (const auto& file : set.files_)
    for (const auto& rule : file.rules) {
      const auto index = static_cast<RuleIndex>(set.rules_.size());
      set.rules_.push_back({&rule, &file, rule.when ? set.conditions_.add(*rule.when) : Conditions::kAlways});
      if (rule.kind == RuleKind::kRole) set.roles_.emplace_back(rule.name, index);
    }
  std::ranges::sort(set.roles_);
  STOA_CHECK(set.check_names(base));
  if (names == Names::kChecked) STOA_CHECK(set.check_roles(base));
  set.build_index();
  return set;
}

Status PolicySet::check_names(const PolicySet* base) const {
  std::map<std::pair<bool, std::string_view>, const Compiled*> seen;
  if (base != nullptr)
    for (const auto& each : base->rules_) seen.try_emplace({each.rule->kind == RuleKind::kRole, each.rule->name}, &each);
  for (RuleIndex i = 0; i < rules_.size(); ++i) {
    const Rule& rule = *rules_[i].rule;
    const auto [first, fresh] = seen.try_emplace({rule.kind == RuleKind::kRole, rule.name}, &rules_[i]);
    if (fresh) continue;
    const Compiled& other = *first->second;
    return fail(ErrorCode::kInvalidArgument, "{}:{}: the name \"{}\" is taken by {}", place_of(*rules_[i].file, rule.place), rule.place.column, rule.name,
                place_of(*other.file, other.rule->place));
  }
  return {};
}

// A role that is misspelt in a condition would never be met: a forbid on it would protect nothing.
Status PolicySet::check_roles(const PolicySet* base) const {
  std::vector<std::string_view> known;
  for (const auto& [name, rule] : roles_) known.push_back(name);
  if (base != nullptr)
    for (const auto& [name, rule] : base->roles_) known.push_back(name);
  std::ranges::sort(known);
  Status status;
  for (const auto& [rule, file, condition] : rules_) {
    if (!rule->when) continue;
    each_literal(*rule->when, Attribute::kPrincipalRole, [&, file = file](const std::string& role, Place place) {
      if (!status || std::ranges::binary_search(known, role)) return;
      const auto near = infra::nearest_name(role, known);
      status = fail(error(ErrorCode::kInvalidArgument, "{}:{}: there is no role \"{}\"", place_of(*file, place), place.column, role)
                        .with_hint(near.empty() ? "define it, or add the file that does" : fmt::format("did you mean \"{}\"?", near)));
    });
  }
  return status;
}

void PolicySet::build_index() {
  // Of the attributes by which a rule can be found, the one that finds the fewest others besides.
  std::vector<std::vector<RuleKey>> keys(rules_.size());
  std::map<std::pair<Attribute, std::string_view>, std::size_t> shared;
  for (RuleIndex i = 0; i < rules_.size(); ++i) {
    if (!rules_[i].rule->when) continue;
    keys[i] = Conditions::keys(*rules_[i].rule->when);
    for (const auto& key : keys[i])
      for (const auto value : key.values) ++shared[{key.attribute, value}];
  }
  for (RuleIndex i = 0; i < rules_.size(); ++i) {
    const RuleKey* best = nullptr;
    std::size_t best_cost = 0;
    for (const auto& key : keys[i]) {
      std::size_t cost = 0;
      for (const auto value : key.values) cost = std::max(cost, shared[{key.attribute, value}]);
      if (best == nullptr || cost < best_cost) best = &key, best_cost = cost;
    }
    add_to_index(i, best);
  }
  for (Index* index : {&forbids_, &boundaries_, &permits_})
    for (auto& bucket : *index)
      for (auto& keyed : bucket.keyed) std::ranges::sort(keyed.entries);
}

void PolicySet::add_to_index(RuleIndex index, const RuleKey* key) {
  const Rule& rule = *rules_[index].rule;
  if (rule.kind == RuleKind::kRole) return;
  const std::uint64_t asked = rule.when ? Conditions::asked(*rule.when) : 0;
  Index& side = rule.kind == RuleKind::kForbid ? forbids_ : rule.kind == RuleKind::kBoundary ? boundaries_ : permits_;
  for (const auto& action : action_table()) {
    // A boundary speaks about the actions that it does not leave.
    if (rule.actions.has(action.action) == (rule.kind == RuleKind::kBoundary)) continue;
    asked_[static_cast<std::size_t>(action.action)] |= asked;
    Bucket& bucket = side[static_cast<std::size_t>(action.action)];
    if (key == nullptr) {
      bucket.always.push_back(index);
      continue;
    }
    auto keyed = std::ranges::find(bucket.keyed, key->attribute, &Keyed::attribute);
    if (keyed == bucket.keyed.end()) keyed = bucket.keyed.insert(keyed, Keyed{.attribute = key->attribute, .entries = {}, .rules = {}});
    keyed->rules.push_back(index);
    for (const auto value : key->values) keyed->entries.emplace_back(hash(value), index);
  }
}

std::optional<std::uint64_t> PolicySet::role_actions(std::string_view name) const {
  const auto found = std::ranges::lower_bound(roles_, name, {}, &std::pair<std::string_view, RuleIndex>::first);
  if (found == roles_.end() || found->first != name) return {};
  return rules_[found->second].rule->actions.mask;
}

std::vector<std::pair<const Rule*, const PolicyFile*>> PolicySet::roles() const {
  std::vector<std::pair<const Rule*, const PolicyFile*>> all;
  for (const auto& [name, rule] : roles_) all.emplace_back(rules_[rule].rule, rules_[rule].file);
  return all;
}

Truth PolicySet::truth(RuleIndex rule, const PolicyRequest& request) const {
  const std::uint32_t condition = rules_[rule].condition;
  return condition == Conditions::kAlways ? Truth::kYes : conditions_.truth(condition, request);
}

// The first rule of the bucket whose condition is at least `least`.
PolicySet::RuleIndex PolicySet::first(const Bucket& bucket, const PolicyRequest& request, Truth least) const {
  RuleIndex best = kNone;
  // Whether the rules behind this one still matter: their order is ascending, and an earlier one decides.
  const auto go_on = [&](RuleIndex rule) {
    if (rule >= best) return false;
    if (truth(rule, request) < least) return true;
    best = rule;
    return false;
  };
  for (const RuleIndex rule : bucket.always)
    if (!go_on(rule)) break;
  for (const auto& keyed : bucket.keyed) {
    const auto probe = [&](std::string_view value) {
      const std::uint64_t wanted = hash(value);
      for (auto entry = std::ranges::lower_bound(keyed.entries, std::pair{wanted, RuleIndex{0}}); entry != keyed.entries.end() && entry->first == wanted; ++entry)
        if (!go_on(entry->second)) break;
    };
    const auto& value = request.get(keyed.attribute);
    if (!value.known) {
      if (least == Truth::kYes) continue;
      for (const RuleIndex rule : keyed.rules)
        if (!go_on(rule)) break;
    } else if (attribute_info(keyed.attribute).type == AttributeType::kList) {
      for (const auto& item : value.list) probe(item);
    } else {
      probe(value.text);
    }
  }
  return best;
}

PolicyDecision PolicySet::decided(bool allowed, RuleIndex rule, const PolicyRequest& request) const {
  const bool unknown = rules_[rule].rule->kind != RuleKind::kRole && truth(rule, request) == Truth::kUnknown;
  return {allowed, unknown, request.action(), rules_[rule].rule, rules_[rule].file};
}

PolicyDecision PolicySet::decide(const PolicyRequest& request) const {
  const auto action = static_cast<std::size_t>(request.action());
  if (const RuleIndex rule = first(forbids_[action], request, Truth::kUnknown); rule != kNone) return decided(false, rule, request);
  if (const RuleIndex rule = first(boundaries_[action], request, Truth::kUnknown); rule != kNone) return decided(false, rule, request);
  if (const auto& role = request.get(Attribute::kPrincipalRole); role.known) {
    const auto found = std::ranges::lower_bound(roles_, role.text, {}, &std::pair<std::string_view, RuleIndex>::first);
    if (found != roles_.end() && found->first == role.text && rules_[found->second].rule->actions.has(request.action())) return decided(true, found->second, request);
  }
  if (const RuleIndex rule = first(permits_[action], request, Truth::kYes); rule != kNone) return decided(true, rule, request);
  return {.action = request.action()};
}

PolicyDecision PolicySet::boundary(const PolicyRequest& request) const {
  const RuleIndex rule = first(boundaries_[static_cast<std::size_t>(request.action())], request, Truth::kUnknown);
  return rule == kNone ? PolicyDecision{.allowed = true, .action = request.action()} : decided(false, rule, request);
}

std::string PolicyDecision::where() const { return rule ? place_of(*file, rule->place) : ""; }

std::string PolicyDecision::reason() const {
  const std::string_view name = action_name(action);
  if (rule == nullptr) return fmt::format("nothing permits {}", name);
  std::string out;
  switch (rule->kind) {
    case RuleKind::kForbid: out = fmt::format("the policy \"{}\" ({}) forbids {}", rule->name, where(), name); break;
    case RuleKind::kBoundary: out = fmt::format("the boundary \"{}\" ({}) does not leave {}", rule->name, where(), name); break;
    case RuleKind::kRole: out = fmt::format("the role {} ({}) may {}", rule->name, where(), name); break;
    case RuleKind::kPermit: out = fmt::format("the policy \"{}\" ({}) permits {}", rule->name, where(), name); break;
  }
  if (!rule->because.empty()) out += ": " + rule->because;
  if (unknown) out += " (it asks about something that is not known, which counts against the caller)";
  return out;
}

}  // namespace stoa::governance
