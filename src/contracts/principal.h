// Who asks. Made by governance/identity from credentials; an argument of every call that touches tenant data.
#pragma once

#include <string>
#include <vector>

namespace stoa {

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
};

}  // namespace stoa
