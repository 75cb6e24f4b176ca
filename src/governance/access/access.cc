#include "governance/access/access.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

namespace stoa::governance {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
constexpr Micros kHour = 3'600'000'000, kDay = 24 * kHour;

Decision refused(std::string_view rule, std::string reason) { return {.rule = std::string(rule), .where = {}, .reason = std::move(reason), .version = {}}; }

// The walls, which come before all policies. Absent: they leave it to them. `project`: whether it is in another project than the caller's,
// which is for those to reach who may project.manage.
std::optional<Decision> walls(const Principal& principal, const ActionInfo& action, const Resource& resource, bool& project) {
  if (principal.id.empty() || principal.tenant.empty()) return refused("access.nobody", "the caller belongs to no tenant");
  const bool local = is_local_operator(principal);
  if (action.reach == Reach::kInstallation || resource.tenant.empty()) {
    if (!local) return refused("access.installation", "only the local operator may manage the installation");
  } else if (resource.tenant != principal.tenant) {
    Decision decision = refused("access.tenant", "it belongs to another tenant");
    decision.wall = true;
    return decision;
  }
  if (local) return Decision{.allowed = true, .rule = "access.installation", .where = {}, .reason = "the local operator works on the data folder itself", .version = {}};
  project = resource.project.empty() ? action.reach == Reach::kProject : resource.project != principal.project;
  return {};
}

// Whether a job's token names this action on this thing. Compared as texts, the way grants are written: kinds may hold spaces ("ingest job"), and none
// is the first word of another whose things could be named with a space.
bool granted(const Principal& principal, std::string_view action, const Resource& resource) {
  const auto text = [](const std::string& kind, const std::string& name) { return name.empty() ? kind : kind + " " + name; };
  const std::string wanted = text(resource.kind, resource.name.empty() ? resource.path : resource.name);
  return std::ranges::any_of(principal.grants, [&](const Grant& grant) { return grant.action == action && text(grant.kind, grant.name) == wanted; });
}

// What is left of the walls where policies have to be asked: `reach` answers for project.manage.
std::optional<Decision> after_walls(const Principal& principal, const ActionInfo& action, const PolicyState& state, const Resource& resource, bool project, const std::function<bool()>& reach) {
  if (const auto own = state.tenants.find(principal.tenant); own != state.tenants.end() && !own->second.broken.empty())
    return refused("access.policies", fmt::format("the policies of the tenant cannot be read ({}); `stoa policies` repairs them on the server's machine", own->second.broken));
  if (!principal.grants.empty() && !granted(principal, action.name, resource))
    return refused("access.grant", fmt::format("the token is for other things only, and not for {} on {}", action.name, resource.text()));
  if (project && (!principal.grants.empty() || !reach())) {
    Decision decision = refused("access.project", "it belongs to another project");
    decision.wall = true;
    return decision;
  }
  if (!in_scope(principal.scopes, action.name)) return refused("access.scope", fmt::format("the key is limited to {}", fmt::join(principal.scopes, ", ")));
  return {};
}

std::string_view version_of(const PolicyState& state, std::string_view tenant) {
  const auto own = state.tenants.find(tenant);
  return own == state.tenants.end() ? state.version : own->second.version;
}

Decision said(const PolicyDecision& decision, const Principal& principal, std::string_view version) {
  std::string reason = decision.rule != nullptr ? decision.reason() : fmt::format("the role {} may not {}, and no policy permits it", principal.role, action_name(decision.action));
  return {.allowed = decision.allowed, .rule = rule_id(decision), .where = decision.where(), .reason = std::move(reason), .version = std::string(version)};
}

}  // namespace

std::string rule_id(const PolicyDecision& decision) {
  if (decision.rule == nullptr) return "default";
  switch (decision.rule->kind) {
    case RuleKind::kRole: return fmt::format("role \"{}\"", decision.rule->name);
    case RuleKind::kBoundary: return fmt::format("boundary \"{}\"", decision.rule->name);
    case RuleKind::kForbid:
    case RuleKind::kPermit: break;
  }
  return fmt::format("policy \"{}\"", decision.rule->name);
}

PolicyLayers PolicyState::layers(std::string_view tenant) const {
  const auto own = tenants.find(tenant);
  return {installation, own == tenants.end() ? nullptr : own->second.set};
}

Access::Access(PolicyState state, AccessOptions options) : options_(std::move(options)), state_(std::make_shared<const PolicyState>(std::move(state))) {}

Result<std::unique_ptr<Access>> Access::with_policies(std::vector<PolicyFile> files, AccessOptions options) {
  STOA_TRY(set, PolicySet::compile(std::move(files)));
  return std::make_unique<Access>(PolicyState{std::make_shared<const PolicySet>(std::move(set)), {}, {}}, std::move(options));
}

std::shared_ptr<const PolicyState> Access::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

void Access::set_state(PolicyState state) {
  auto next = std::make_shared<const PolicyState>(std::move(state));
  std::lock_guard lock(mutex_);
  state_.swap(next);  // the old one ends after the lock
}

void Access::set_hooks(Hooks hooks) {
  auto next = std::make_shared<const Hooks>(std::move(hooks));
  std::lock_guard lock(mutex_);
  hooks_.swap(next);
}

// One of those who come when it is time does it, the others go on with what there is.
void Access::keep_fresh() const {
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::int64_t due = refresh_at_.load(std::memory_order_relaxed);
  if (now < due) return;
  std::shared_ptr<const Hooks> hooks;
  {
    std::lock_guard lock(mutex_);
    hooks = hooks_;
  }
  if (!hooks->refresh || !refresh_at_.compare_exchange_strong(due, now + std::chrono::nanoseconds(hooks->refresh_every).count())) return;
  hooks->refresh();
}

PolicyRequest Access::request(const Call& call, Action action, const Resource& resource, std::uint64_t asked) const {
  PolicyRequest request = PolicyRequest::of(call.principal, action, resource);
  const Origin& origin = call.origin;
  if (!origin.address.empty()) {
    request.set_text(Attribute::kContextAddress, origin.address);
    request.set_boolean(Attribute::kContextTls, origin.tls);
  }
  if (!origin.purpose.empty()) request.set_text(Attribute::kContextPurpose, origin.purpose);
  if (!origin.data_class.empty()) request.set_text(Attribute::kContextDataClass, origin.data_class);
  if (!origin.address.empty() || !origin.tags.empty()) request.set_list(Attribute::kContextTags, origin.tags);  // that a request has none is known
  if (!options_.region.empty()) request.set_text(Attribute::kContextRegion, options_.region);
  const Micros now = options_.clock->now();
  request.set_integer(Attribute::kContextHour, now % kDay / kHour);
  request.set_text(Attribute::kContextWeekday, kWeekdays[static_cast<std::size_t>((now / kDay + 3) % 7)]);  // the first day of 1970 was a Thursday
  if (asked & attribute_bit(Attribute::kContextBudgetLeft) && options_.budget_left)
    if (const auto left = options_.budget_left(call.principal)) request.set_integer(Attribute::kContextBudgetLeft, *left);
  return request;
}

Decision Access::decide(const Call& call, Action action, const Resource& resource) const { return decide(call, action, resource, {}); }

Decision Access::decide(const Call& call, Action action, const Resource& resource, const Decided& decided) const {
  const Principal& principal = call.principal;
  const ActionInfo& info = action_info(action);
  bool project = false;
  if (auto decision = walls(principal, info, resource, project)) return std::move(*decision);
  const auto state = this->state();
  const PolicyLayers layers = state->layers(principal.tenant);
  const auto reach = [&] {
    return in_scope(principal.scopes, action_name(Action::kProjectManage)) &&
           layers.decide(request(call, Action::kProjectManage, resource, layers.asked(Action::kProjectManage))).allowed;
  };
  if (auto decision = after_walls(principal, info, *state, resource, project, reach)) return std::move(*decision);
  const PolicyRequest asked = request(call, action, resource, layers.asked(action));
  Decision decision = said(layers.decide(asked), principal, version_of(*state, principal.tenant));
  if (decided) decided(asked, decision);
  return decision;
}

bool Access::permits(const Call& call, Action action, const Resource& resource) const {
  if (is_local_operator(call.principal)) return true;
  const auto state = this->state();
  if (const auto own = state->tenants.find(call.principal.tenant); own != state->tenants.end() && !own->second.broken.empty()) return false;
  const PolicyLayers layers = state->layers(call.principal.tenant);
  return layers.decide(request(call, action, resource, layers.asked(action))).allowed;
}

bool Access::tells_apart(const Call& call, Action action) const {
  constexpr std::array kOfThings{Attribute::kResourceName, Attribute::kResourceOwner, Attribute::kResourceClass, Attribute::kResourceLabels, Attribute::kResourceResidency};
  if (is_local_operator(call.principal)) return false;
  const std::uint64_t asked = state()->layers(call.principal.tenant).asked(action);
  return std::ranges::any_of(kOfThings, [&](Attribute attribute) { return (asked & attribute_bit(attribute)) != 0; });
}

bool Access::tells_names_apart(const Call& call, Action action) const {
  return !is_local_operator(call.principal) && (state()->layers(call.principal.tenant).asked(action) & attribute_bit(Attribute::kResourceName)) != 0;
}

AccessExplanation Access::explain(const Call& call, Action action, const Resource& resource) const {
  AccessExplanation out{.decision = decide(call, action, resource), .layers = state()->layers(call.principal.tenant), .policies = {}};
  if (!out.decision.rule.starts_with("access."))
    out.policies = out.layers.explain(request(call, action, resource, out.layers.asked(action)));
  return out;
}

std::string_view rule_of(const Error& refusal) {
  constexpr std::string_view kBegin = " (rule ";
  const std::string_view text = refusal.message;
  const auto begin = text.rfind(kBegin);
  if (refusal.code != ErrorCode::kPermissionDenied || begin == std::string_view::npos || !text.ends_with(')')) return {};
  return text.substr(begin + kBegin.size(), text.size() - begin - kBegin.size() - 1);
}

Result<Permit> Access::check(const Call& call, Action action, const Resource& resource) const {
  keep_fresh();
  std::shared_ptr<const Hooks> hooks;
  {
    std::lock_guard lock(mutex_);
    hooks = hooks_;
  }
  Decision decision = decide(call, action, resource, hooks->decided);
  if (decision.allowed) return Permit(call.principal, action, resource, std::move(decision));
  if (decision.wall && resource.hidden) return fail(ErrorCode::kNotFound, "there is no {}", resource.text());
  return fail(ErrorCode::kPermissionDenied, "{}{}{} is not allowed: {} (rule {})", action_name(action), resource.name.empty() ? "" : " on ",
              resource.name.empty() ? "" : resource.text(), decision.reason, decision.rule);
}

Status Access::check_role(std::string_view tenant, std::string_view role) const {
  const PolicyLayers layers = state()->layers(tenant);
  if (layers.role_actions(role)) return {};
  std::string names;
  for (const auto* set : {layers.installation.get(), layers.tenant.get()})
    if (set != nullptr)
      for (const auto& [rule, file] : set->roles()) names += (names.empty() ? "" : ", ") + rule->name;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a role", role.substr(0, 150)).with_hint(fmt::format("there are {}", names)).with_param("role"));
}

Status Access::check_grant(const Call& actor, std::string_view role) const {
  const Principal& principal = actor.principal;
  if (is_local_operator(principal)) return {};
  const PolicyLayers layers = state()->layers(principal.tenant);
  const std::uint64_t wanted = layers.role_actions(role).value_or(0);
  std::uint64_t left = layers.role_actions(principal.role).value_or(0);
  const Resource own = Resource::of(principal, "role", std::string(role));
  for (const auto& info : action_table())
    if (wanted & left & action_bit(info.action) && !layers.boundary(request(actor, info.action, own, layers.asked(info.action))).allowed) left &= ~action_bit(info.action);
  if (const std::uint64_t more = wanted & ~left; more != 0)
    return fail(error(ErrorCode::kPermissionDenied, "the role {} may {}, and who gives it may not", role, action_names(more)).with_param("role"));
  return {};
}

}  // namespace stoa::governance
