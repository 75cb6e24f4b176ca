// Who may do what: the one place that decides, with a reason. Walls first, in code, so that no policy can open them; then the scopes of the
// key; then the policies of the installation and of the tenant (policy/policy_layers.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/policy/action.h"
#include "governance/access/policy/policy_layers.h"
#include "governance/access/policy/resource.h"

namespace stoa::governance {

struct Decision {
  bool allowed = false;
  bool wall = false;     // refused because it belongs to others: must look as if it were not there, where the resource is hidden
  std::string rule;      // of a wall: "access.nobody", "access.installation", "access.tenant", "access.project", "access.grant", "access.scope",
                         // "access.policies";
                         // of the policies: `role "viewer"`, `policy "office-hours"`, `boundary "contractors"`, "default"
  std::string where;     // "file:line" of a rule of the policies; else empty
  std::string reason;    // for people; with the rule's own words (`because`)
  std::string version;   // of the policies that were asked; empty where a wall came before them
};

// Id of the principal who works on the data folder itself (identity's local_operator); no key can stand for it.
inline constexpr std::string_view kLocalOperator = "local-operator";
inline bool is_local_operator(const Principal& principal) { return principal.id == kLocalOperator && principal.key.empty(); }

// Proof that Access::check allowed something. Functions that change or show tenant data and take a Permit cannot be called unchecked.
class Permit {
 public:
  const Principal& principal() const { return principal_; }
  Action action() const { return action_; }
  // What it was given for; an empty project means all of the tenant's.
  const std::string& tenant() const { return tenant_; }
  const std::string& project() const { return project_; }
  const Decision& decision() const { return decision_; }

 private:
  friend class Access;
  Permit(const Principal& principal, Action action, const Resource& resource, Decision decision)
      : principal_(principal), action_(action), tenant_(resource.tenant), project_(resource.project), decision_(std::move(decision)) {}
  Principal principal_;
  Action action_;
  std::string tenant_, project_;
  Decision decision_;
};

// The rule that a refusal of Access::check names; empty for other errors.
std::string_view rule_of(const Error& refusal);

// The policies at one moment: never changed, replaced as a whole.
struct PolicyState {
  struct Own {
    std::shared_ptr<const PolicySet> set;  // null when `broken`
    std::string version;                   // of both layers
    std::string broken;  // why they cannot be read: then nobody but the local operator may anything in that tenant
  };
  std::shared_ptr<const PolicySet> installation;
  std::string version;                     // stands for the texts: equal for equal ones
  std::map<std::string, Own, std::less<>> tenants;  // those that have policies of their own

  PolicyLayers layers(std::string_view tenant) const;
};

struct AccessOptions {
  std::string region;  // where this node works: context.region; empty: not known
  // What the budget of the caller's project still holds (context.budget_left), absent where there is none. Called only when a policy about
  // the action asks; thread-safe.
  std::function<std::optional<std::int64_t>(const Principal&)> budget_left;
  const Clock* clock = &Clock::system();
};

struct AccessExplanation {
  Decision decision;
  PolicyLayers layers;                        // keeps alive what `policies` views
  std::optional<PolicyExplanation> policies;  // absent where a wall came before them
};

// `policy "office-hours"`, `role "viewer"`, "default": the rule of a decision of policies.
std::string rule_id(const PolicyDecision& decision);

// Thread-safe. Policies are swapped while others decide; a decision is made by one state of them.
class Access {
 public:
  explicit Access(PolicyState state, AccessOptions options = {});
  struct Hooks {
    std::function<void()> refresh;       // brings the policies up to date; called by check() at most every `refresh_every`
    milliseconds refresh_every{1000};
    std::function<void(const PolicyRequest&, const Decision&)> decided;  // told of each check() that came to the policies
  };
  // Of the installation's files alone.
  static Result<std::unique_ptr<Access>> with_policies(std::vector<PolicyFile> files, AccessOptions options = {});

  // kPermissionDenied with rule and reason in the message, or kNotFound where a wall hides the resource.
  Result<Permit> check(const Call& call, Action action, const Resource& resource) const;

  // What check() would say. The rules, in order: a principal without tenant may nothing; the installation is the local operator's alone, who
  // works on the data folder itself and whom policies therefore do not hold; another tenant's resource is refused; so is another project's,
  // except to who may project.manage; a job's token must name the action and the thing, and the scopes of a key the action; then the policies.
  Decision decide(const Call& call, Action action, const Resource& resource) const;
  // What the policies alone say of one thing among those that check() let the caller through to, by what the thing says of itself (class, labels,
  // residency, owner): for leaving out of lists and search what policies forbid.
  bool permits(const Call& call, Action action, const Resource& resource) const;
  // Whether that depends on what the thing says of itself: otherwise it is the same for all of them.
  bool tells_apart(const Call& call, Action action) const;
  // Whether it depends on its name, which no two of them share.
  bool tells_names_apart(const Call& call, Action action) const;
  AccessExplanation explain(const Call& call, Action action, const Resource& resource) const;

  // kInvalidArgument when neither installation nor tenant defines it; says which there are.
  Status check_role(std::string_view tenant, std::string_view role) const;
  // kPermissionDenied unless the actor's own role gives every action that `role` gives, and no boundary takes one of them from the actor:
  // nobody can give more than they have.
  Status check_grant(const Call& actor, std::string_view role) const;

  std::shared_ptr<const PolicyState> state() const;
  void set_state(PolicyState state);
  void set_hooks(Hooks hooks);

  // What policies are told of a call. Views call and resource. `asked`: attribute bits of what is dear to know and wanted.
  PolicyRequest request(const Call& call, Action action, const Resource& resource, std::uint64_t asked = 0) const;

 private:
  using Decided = std::function<void(const PolicyRequest&, const Decision&)>;
  Decision decide(const Call& call, Action action, const Resource& resource, const Decided& decided) const;
  void keep_fresh() const;

  const AccessOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<const PolicyState> state_;
  std::shared_ptr<const Hooks> hooks_ = std::make_shared<const Hooks>();
  mutable std::atomic<std::int64_t> refresh_at_{0};  // of the steady clock, in nanoseconds
};

}  // namespace stoa::governance
