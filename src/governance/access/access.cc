#include "governance/access/access.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

namespace stoa::governance {
namespace {

constexpr std::array kActions{
    ActionInfo{Action::kModelList, "model.list", Role::kViewer},
    ActionInfo{Action::kModelUse, "model.use", Role::kDeveloper},
    ActionInfo{Action::kModelPriority, "model.priority", Role::kOperator},
    ActionInfo{Action::kModelManage, "model.manage", Role::kOperator},
    ActionInfo{Action::kDocumentRead, "document.read", Role::kViewer},
    ActionInfo{Action::kDocumentWrite, "document.write", Role::kDeveloper},
    ActionInfo{Action::kRatingWrite, "rating.write", Role::kViewer},
    ActionInfo{Action::kDatasetRead, "dataset.read", Role::kDeveloper},
    ActionInfo{Action::kDatasetWrite, "dataset.write", Role::kDeveloper},
    ActionInfo{Action::kTraceRead, "trace.read", Role::kDeveloper},
    ActionInfo{Action::kUsageRead, "usage.read", Role::kDeveloper},
    ActionInfo{Action::kBudgetManage, "budget.manage", Role::kAdmin},
    ActionInfo{Action::kKeyManage, "key.manage", Role::kAdmin},
    ActionInfo{Action::kUserManage, "user.manage", Role::kAdmin},
    ActionInfo{Action::kProjectManage, "project.manage", Role::kAdmin},
    ActionInfo{Action::kTenantManage, "tenant.manage", Role::kAdmin},
    ActionInfo{Action::kAuditRead, "audit.read", Role::kAdmin},
    ActionInfo{Action::kSystemRead, "system.read", Role::kViewer},
};

constexpr std::array<std::string_view, 4> kRoles{"viewer", "developer", "operator", "admin"};

// "document.*" covers all that begin with "document.", other scopes themselves.
bool covers(std::string_view scope, std::string_view action) {
  return scope.ends_with(".*") ? action.starts_with(scope.substr(0, scope.size() - 1)) : scope == action;
}

const ActionInfo& info(Action action) { return kActions[static_cast<std::size_t>(action)]; }

}  // namespace

std::span<const ActionInfo> action_table() { return kActions; }
std::string_view action_name(Action action) { return info(action).name; }
std::string_view role_name(Role role) { return kRoles[static_cast<std::size_t>(role)]; }

Result<Role> parse_role(std::string_view name) {
  const auto found = std::ranges::find(kRoles, name);
  if (found == kRoles.end()) return fail(ErrorCode::kInvalidArgument, "'{}' is not a role: viewer, developer, operator or admin", name);
  return static_cast<Role>(found - kRoles.begin());
}

bool in_scope(std::span<const std::string> scopes, std::string_view action) {
  return scopes.empty() || std::ranges::any_of(scopes, [&](const std::string& scope) { return covers(scope, action); });
}

Status check_scopes(std::span<const std::string> scopes) {
  constexpr std::size_t kMost = 32;
  if (scopes.size() > kMost) return fail(ErrorCode::kInvalidArgument, "{} scopes, and a key has at most {}", scopes.size(), kMost);
  for (const auto& scope : scopes) {
    if (std::ranges::any_of(kActions, [&](const ActionInfo& each) { return covers(scope, each.name); })) continue;
    std::string names;
    for (const auto& each : kActions) names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no action", scope.substr(0, 150)).with_hint(fmt::format("There are: {}; or all that begin alike, such as document.*", names)));
  }
  return {};
}

bool scopes_within(std::span<const std::string> scopes, std::span<const std::string> within) {
  return std::ranges::all_of(kActions, [&](const ActionInfo& each) { return !in_scope(scopes, each.name) || in_scope(within, each.name); });
}

Decision decide(const Principal& principal, Action action, const Resource& resource) {
  if (principal.id.empty() || principal.tenant.empty()) return {false, "access.nobody", "the caller belongs to no tenant"};
  const bool admin = principal.role >= Role::kAdmin;
  if (action == Action::kTenantManage || resource.tenant.empty()) {
    // What concerns the whole installation is for those who work on the data folder itself.
    if (principal.id == kLocalOperator) return {true, "access.installation", "the local operator may manage the installation"};
    return {false, "access.installation", "only the local operator may manage the installation"};
  }
  if (resource.tenant != principal.tenant) return {false, "access.tenant", "it belongs to another tenant"};
  if (!resource.project.empty() && resource.project != principal.project && !admin)
    return {false, "access.project", "it belongs to another project"};
  const ActionInfo& wanted = info(action);
  if (principal.role < wanted.least)
    return {false, "access.role", fmt::format("{} needs the role {}, and the caller is a {}", wanted.name, role_name(wanted.least), role_name(principal.role))};
  if (!in_scope(principal.scopes, wanted.name)) return {false, "access.scope", fmt::format("the key is limited to {}", fmt::join(principal.scopes, ", "))};
  return {true, "access.role", fmt::format("the role {} may {}", role_name(principal.role), wanted.name)};
}

Result<Permit> check_access(const Principal& principal, Action action, const Resource& resource) {
  const Decision decision = decide(principal, action, resource);
  if (decision.allowed) return Permit(principal, action);
  const bool wall = decision.rule == "access.tenant" || decision.rule == "access.project";
  if (wall && resource.hidden) return fail(ErrorCode::kNotFound, "there is no {}", resource.name);
  return fail(ErrorCode::kPermissionDenied, "{} on {} is not allowed: {} (rule {})", action_name(action), resource.name, decision.reason, decision.rule);
}

}  // namespace stoa::governance
