// Who asks. Made by governance/identity from credentials; an argument of every call that touches tenant data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stoa {

// One action on one thing, by the kind and the name that decisions know it by ("dataset.read" on "dataset" "support@1"). An empty name
// stands for things of the kind that have none.
struct Grant {
  std::string action, kind, name;
};

// All ids are non-empty for a real principal; a default-constructed Principal belongs to no tenant and sees nothing.
struct Principal {
  std::string id;        // "user_..." or "key_..." of a service account: what ledger, audit and traces record
  std::string tenant;    // "tenant_..."
  std::string project;   // "proj_..." the call acts in
  std::string user;      // the user's name that access lists of documents mention; may be empty for a service account
  std::vector<std::string> groups;  // group names of that user, sorted
  std::string role;      // "developer": a name that policies define (share/roles.policy); one that none defines gives nothing
  std::vector<std::string> scopes{};  // what the key is limited to: actions such as "model.use", or "document.*"; empty: all that the role may
  std::string key{};     // "key_..." that was shown; empty for who acts without one (the local operator, a resumed job)
  std::vector<Grant> grants{};  // of a job with a delegated token: these and nothing else; empty: no such limit
  std::string on_behalf{};      // id of the principal whose rights such a job uses
  std::string elevation{};      // "glass_..." while break-glass access is in use
  std::string method{};         // how the caller was recognised, for people: "API key", "certificate"; empty inside the machine
  std::int64_t expires = 0;     // when what was shown ends, in microseconds since 1970; 0: not known, or never
};

}  // namespace stoa
