// Tenants, their projects, users, groups and API keys; and from a bearer key, the Principal it stands for.
// Changes take the call, are decided by governance/access, and are written to the audit log in the same transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/audit/audit.h"
#include "infra/sql/sql.h"

namespace stoa::infra {
class WriteBehind;
}

namespace stoa::governance {

class Access;

struct Tenant {
  std::string id, name;
  Micros created = 0;
};
struct Project {
  std::string id, tenant, name;
  Micros created = 0;
};
struct User {
  std::string id, tenant, name;     // the name is what access lists mention; unique in the tenant
  std::vector<std::string> groups;  // names, sorted
  bool disabled = false;            // then none of the user's keys works
  Micros created = 0;
};

struct NewKey {
  std::string project;             // id, or name inside the actor's tenant; empty: the actor's project
  std::string user;                // name; empty for a service account
  std::string label;               // what the key is for, 0..128 bytes
  std::string role = "developer";  // one that policies define; it gives nothing that the actor's own does not
  std::optional<Micros> expires;   // absent: never
  std::vector<std::string> scopes; // what it is limited to (governance/access); within the actor's own; empty: all that the role may
};
struct ApiKey {
  std::string id;                  // "key_..."
  std::string prefix;              // 16 digits that may be shown; the key is "sk-stoa-<prefix>-<64 hexadecimal digits>"
  std::string tenant, project, user, label;
  std::string role;
  Micros created = 0;
  std::optional<Micros> expires, revoked, last_used;  // last use to the minute
  std::vector<std::string> scopes;
};
struct IssuedKey {
  ApiKey key;
  std::string secret;  // the whole key; shown once, stored nowhere
};

// Changes are "identity.tenant.create" and the like in the audit log, refused ones too.
// Names of tenants, projects, users and groups: 1..128 bytes of letters, digits and ._@+- (those of access lists).
// Thread-safe. Errors besides those of the store: kInvalidArgument, kNotFound, kConflict (name taken), kPermissionDenied.
class Identity {
 public:
  // `secret` keys the hashes of the API keys (ServerSecret::kApiKeys). What is passed by reference or pointer outlives the object. With `behind`, which is
  // stopped before it ends, the last use of keys is written behind the requests that use them.
  static Result<std::unique_ptr<Identity>> open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Bytes secret,
                                                const Clock& clock = Clock::system(), infra::WriteBehind* behind = nullptr);
  virtual ~Identity() = default;

  // From "sk-stoa-..." (without "Bearer "). kUnauthenticated, with one and the same message, for every key that does not work.
  virtual Result<Principal> authenticate(std::string_view key) = 0;

  // Reads the keys that were used last, so that their next use need not: as many as are remembered at all. Takes some microseconds for each; for a server,
  // on a thread of its own.
  virtual Status remember_keys() = 0;

  // Who the key of this id stands for now: for what acts later in the name of a caller. Refuses like authenticate().
  virtual Result<Principal> holder(std::string_view key_id) = 0;

  // The tenant "default" with its project "default": made when absent, so it may be called at every start.
  struct Place {
    Tenant tenant;
    Project project;
  };
  virtual Result<Place> ensure_default() = 0;
  // Where the caller is: its own tenant and project.
  virtual Result<Place> place(const Call& actor) = 0;
  // Who works on the data folder itself, through the command line: an admin, without a key, in the project "default" of the tenant
  // of that name. The way to the first key of a tenant.
  virtual Result<Principal> local_operator(std::string_view tenant = "default") = 0;

  virtual Result<Tenant> create_tenant(const Call& actor, std::string_view name) = 0;    // with its project "default"
  virtual Result<std::vector<Tenant>> tenants(const Call& actor) = 0;                    // all, by name: for the local operator
  virtual Result<Project> create_project(const Call& actor, std::string_view name) = 0;  // in the actor's tenant
  // Of the actor's tenant, by name; those who may not manage projects see their own only.
  virtual Result<std::vector<Project>> projects(const Call& actor) = 0;
  virtual Result<User> create_user(const Call& actor, std::string_view name, std::vector<std::string> groups = {}) = 0;
  virtual Result<User> set_groups(const Call& actor, std::string_view user, std::vector<std::string> groups) = 0;
  // Puts a user into a group, or takes them out; when that is so already, nothing changes.
  virtual Result<User> change_group(const Call& actor, std::string_view group, std::string_view user, bool member) = 0;
  virtual Status disable_user(const Call& actor, std::string_view user, bool disabled) = 0;
  virtual Result<std::vector<User>> users(const Call& actor) = 0;

  virtual Result<IssuedKey> issue_key(const Call& actor, const NewKey& key) = 0;
  virtual Result<std::vector<ApiKey>> keys(const Call& actor) = 0;  // of the actor's project, newest first
  // A new key in place of one that works: the same holder, role and scopes, and as long a life. The old one works for `overlap` more (at
  // most kMaxOverlap), so that whoever uses it can change over.
  static constexpr Micros kMaxOverlap = Micros{30} * 86'400 * 1'000'000;
  virtual Result<IssuedKey> rotate_key(const Call& actor, std::string_view id_or_prefix, Micros overlap) = 0;
  // By id or prefix, in the actor's tenant. Works at once, also in other processes that share the store.
  // Revoking again changes nothing.
  virtual Status revoke_key(const Call& actor, std::string_view id_or_prefix) = 0;
};

}  // namespace stoa::governance
