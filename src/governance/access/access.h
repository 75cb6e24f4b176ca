// Who may do what: one function decides, with a reason. Roles give actions; tenants and projects are walls.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/principal.h"

namespace stoa::governance {

enum class Action : std::uint8_t {
  kModelList,      // see which models there are
  kModelUse,       // generate, embed
  kModelPriority,  // be served before others
  kModelManage,    // pull, load, unload
  kDocumentRead,   // list, search, open documents; each document's access list decides besides
  kDocumentWrite,  // upload, ingest, delete, set readers
  kRatingWrite,
  kDatasetRead,
  kDatasetWrite,
  kTraceRead,      // traces of the project
  kUsageRead,      // usage and cost of the project
  kBudgetManage,
  kKeyManage,      // make, list and revoke keys of the project
  kUserManage,     // users and groups of the tenant
  kProjectManage,  // projects of the tenant
  kTenantManage,   // tenants: installation-wide
  kAuditRead,
  kSystemRead,     // status, metrics, configuration
};

struct ActionInfo {
  Action action;
  std::string_view name;  // "document.read": in reasons, the audit log, and documentation
  Role least;             // this role and those above it may
};
std::span<const ActionInfo> action_table();
std::string_view action_name(Action action);

std::string_view role_name(Role role);  // viewer, developer, operator, admin
Result<Role> parse_role(std::string_view name);

// Scopes cap what a key may, whatever its role: names of actions, or all that begin alike ("document.*").
bool in_scope(std::span<const std::string> scopes, std::string_view action);  // without scopes everything is
// kInvalidArgument for one that names no action (it says which there are), or too many.
Status check_scopes(std::span<const std::string> scopes);
// Whether `scopes` give nothing that `within` does not.
bool scopes_within(std::span<const std::string> scopes, std::span<const std::string> within);

// What an action is done to. An empty project means the tenant as a whole, an empty tenant the installation; `name` is for messages
// ("document doc_01..."). `hidden`: others must not learn that it exists, so a wall answers kNotFound.
struct Resource {
  std::string tenant;
  std::string project;
  std::string name;
  bool hidden = false;

  static Resource of(const Principal& principal, std::string name) { return {principal.tenant, principal.project, std::move(name), false}; }
};

struct Decision {
  bool allowed = false;
  std::string_view rule;  // stable id: "access.role", "access.scope", "access.tenant", "access.project", "access.nobody", "access.installation"
  std::string reason;     // for people
};

// Id of the principal who works on the data folder itself (identity's local_operator); no key can stand for it.
inline constexpr std::string_view kLocalOperator = "local-operator";

// Pure; the rules in order: a principal without tenant may nothing; another tenant's resource is refused; another project's resource
// is refused, except to an admin of the tenant; then the role must have the action, and the key's scopes name it where it has any. The
// installation is the local operator's alone.
Decision decide(const Principal& principal, Action action, const Resource& resource);

// Proof that decide() allowed something. Functions that change or show tenant data and take a Permit cannot be called unchecked.
class Permit {
 public:
  const Principal& principal() const { return *principal_; }
  Action action() const { return action_; }

 private:
  friend Result<Permit> check_access(const Principal&, Action, const Resource&);
  Permit(const Principal& principal, Action action) : principal_(&principal), action_(action) {}
  const Principal* principal_;  // outlives the permit
  Action action_;
};

// kPermissionDenied with the rule in the message, or kNotFound where a wall hides the resource.
Result<Permit> check_access(const Principal& principal, Action action, const Resource& resource);

}  // namespace stoa::governance
