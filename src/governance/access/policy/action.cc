#include "governance/access/policy/action.h"

#include <algorithm>
#include <array>
#include <vector>

#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

constexpr std::array kActions{
    ActionInfo{Action::kModelList, "model.list", Reach::kProject},
    ActionInfo{Action::kModelUse, "model.use", Reach::kProject},
    ActionInfo{Action::kModelPriority, "model.priority", Reach::kProject},
    ActionInfo{Action::kModelManage, "model.manage", Reach::kProject},
    ActionInfo{Action::kDocumentRead, "document.read", Reach::kProject},
    ActionInfo{Action::kDocumentWrite, "document.write", Reach::kProject},
    ActionInfo{Action::kDocumentManage, "document.manage", Reach::kProject},
    ActionInfo{Action::kRatingWrite, "rating.write", Reach::kProject},
    ActionInfo{Action::kDatasetRead, "dataset.read", Reach::kProject},
    ActionInfo{Action::kDatasetWrite, "dataset.write", Reach::kProject},
    ActionInfo{Action::kTraceRead, "trace.read", Reach::kProject},
    ActionInfo{Action::kUsageRead, "usage.read", Reach::kProject},
    ActionInfo{Action::kBudgetManage, "budget.manage", Reach::kProject},
    ActionInfo{Action::kKeyManage, "key.manage", Reach::kProject},
    ActionInfo{Action::kUserManage, "user.manage", Reach::kTenant},
    ActionInfo{Action::kProjectManage, "project.manage", Reach::kTenant},
    ActionInfo{Action::kTenantManage, "tenant.manage", Reach::kInstallation},
    ActionInfo{Action::kPolicyRead, "policy.read", Reach::kTenant},
    ActionInfo{Action::kPolicyManage, "policy.manage", Reach::kTenant},
    ActionInfo{Action::kPassportRead, "passport.read", Reach::kProject},
    ActionInfo{Action::kAuditRead, "audit.read", Reach::kTenant},
    ActionInfo{Action::kSystemRead, "system.read", Reach::kProject},
    ActionInfo{Action::kTokenCreate, "token.create", Reach::kProject},
    ActionInfo{Action::kBreakGlassUse, "breakglass.use", Reach::kProject},
    ActionInfo{Action::kNodeManage, "node.manage", Reach::kInstallation},
    ActionInfo{Action::kProtectionManage, "protection.manage", Reach::kProject},
    ActionInfo{Action::kKmsManage, "kms.manage", Reach::kInstallation},
};
static_assert(kActions.size() <= 64, "sets of actions are bits of one word");

// "document.*" covers all that begin with "document.", other scopes themselves.
bool covers(std::string_view scope, std::string_view action) {
  return scope.ends_with(".*") ? action.starts_with(scope.substr(0, scope.size() - 1)) : scope == action;
}

}  // namespace

std::span<const ActionInfo> action_table() { return kActions; }
const ActionInfo& action_info(Action action) { return kActions[static_cast<std::size_t>(action)]; }

Result<Action> parse_action(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& each : kActions) {
    if (each.name == name) return each.action;
    names.push_back(each.name);
  }
  const auto near = infra::nearest_name(name, names);
  return fail(error(ErrorCode::kInvalidArgument, "there is no action '{}'", name.substr(0, 150))
                  .with_hint(near.empty() ? fmt::format("there are {}", action_names(~std::uint64_t{0})) : fmt::format("did you mean '{}'?", near))
                  .with_param("action"));
}

std::string action_names(std::uint64_t actions) {
  std::string names;
  for (const auto& each : kActions)
    if (actions & action_bit(each.action)) names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
  return names;
}

bool in_scope(std::span<const std::string> scopes, std::string_view action) {
  return scopes.empty() || std::ranges::any_of(scopes, [&](const std::string& scope) { return covers(scope, action); });
}

Status check_scopes(std::span<const std::string> scopes) {
  constexpr std::size_t kMost = 32;
  if (scopes.size() > kMost) return fail(ErrorCode::kInvalidArgument, "{} scopes, and a key has at most {}", scopes.size(), kMost);
  for (const auto& scope : scopes) {
    if (std::ranges::any_of(kActions, [&](const ActionInfo& each) { return covers(scope, each.name); })) continue;
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no action", scope.substr(0, 150))
                    .with_hint(fmt::format("There are: {}; or all that begin alike, such as document.*", action_names(~std::uint64_t{0}))));
  }
  return {};
}

bool scopes_within(std::span<const std::string> scopes, std::span<const std::string> within) {
  return std::ranges::all_of(kActions, [&](const ActionInfo& each) { return !in_scope(scopes, each.name) || in_scope(within, each.name); });
}

}  // namespace stoa::governance
