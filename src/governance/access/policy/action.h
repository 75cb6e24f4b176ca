// What can be done: the names that roles, policies, scopes of keys and the audit log use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::governance {

enum class Action : std::uint8_t {
  kModelList,       // see which models there are
  kModelUse,        // generate, embed
  kModelPriority,   // be served before others
  kModelManage,     // pull, load, unload
  kDocumentRead,    // list, search, open documents; each document's access list decides besides
  kDocumentWrite,   // upload, ingest, delete, set readers
  kDocumentManage,  // delete what others uploaded
  kRatingWrite,
  kDatasetRead,
  kDatasetWrite,
  kTraceRead,       // traces of the project
  kUsageRead,       // usage and cost of the project
  kBudgetManage,
  kKeyManage,       // make, list and revoke keys of the project
  kUserManage,      // users and groups of the tenant
  kProjectManage,   // projects of the tenant; whoever may reaches into all of them
  kTenantManage,    // tenants: installation-wide
  kPolicyRead,      // policies and roles of the tenant, and why a decision came out as it did
  kPolicyManage,    // set and roll back policies of the tenant
  kPassportRead,    // passports of one's own answers; with audit.read those of the tenant
  kAuditRead,
  kSystemRead,      // status, metrics, configuration
  kTokenCreate,     // lend rights to jobs, for minutes
  kBreakGlassUse,   // take the role break_glass for minutes, with a reason
  kNodeManage,      // nodes of the installation and their certificates
  kProtectionManage,  // the project's key: look at it, replace it, take it away and give it back
  kKmsManage,         // the master key and how all keys are wrapped: installation-wide
};

// How far an action reaches: into one project (all of the tenant's need project.manage), the tenant as a whole, or the installation.
enum class Reach : std::uint8_t { kProject, kTenant, kInstallation };

struct ActionInfo {
  Action action;
  std::string_view name;  // "document.read": in reasons, the audit log, and documentation
  Reach reach;
};
std::span<const ActionInfo> action_table();  // in the order of the enumeration
const ActionInfo& action_info(Action action);
inline std::string_view action_name(Action action) { return action_info(action).name; }
// kInvalidArgument with the nearest name that exists.
Result<Action> parse_action(std::string_view name);

inline std::uint64_t action_bit(Action action) { return std::uint64_t{1} << static_cast<unsigned>(action); }
// "model.use, document.read" of a set of bits, in the order of the table.
std::string action_names(std::uint64_t actions);

// Scopes cap what a key may, whatever its role: names of actions, or all that begin alike ("document.*").
bool in_scope(std::span<const std::string> scopes, std::string_view action);  // without scopes everything is
// kInvalidArgument for one that names no action (it says which there are), or too many.
Status check_scopes(std::span<const std::string> scopes);
// Whether `scopes` give nothing that `within` does not.
bool scopes_within(std::span<const std::string> scopes, std::span<const std::string> within);

}  // namespace stoa::governance
