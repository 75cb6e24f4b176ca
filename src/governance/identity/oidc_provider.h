// Identity providers (OpenID Connect) as the operator describes them, and what their tokens say in Stoa's words.
// The file is described in docs/operating/identity.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "governance/identity/jwt.h"

namespace stoa::governance {

// A program that gets its own tokens from the issuer (client credentials) and works as a service account.
struct OidcClient {
  std::string id;       // at the issuer
  std::string subject;  // "sub" of its tokens, which some issuers make different from the id
  std::string name;     // of the service account
  std::string project, role;
  std::vector<std::string> scopes;
};

struct OidcProvider {
  std::string name;                    // what the command line and the audit log call it
  std::string issuer;                  // exactly as it calls itself
  std::vector<std::string> audiences;  // one of which a token must be for
  std::vector<infra::SignatureScheme> algorithms;  // empty: all that are known
  std::string client_id, login_scopes = "openid profile email", resource;  // for `stoa login`; without a client id it cannot be used there
  std::string tenant = "default", project = "default";
  std::string role;                    // of users whom no line of `roles` names; empty: these are refused
  std::string user_claim = "preferred_username", groups_claim = "groups";
  std::vector<std::pair<std::string, std::string>> groups;  // the issuer's name of a group, ours
  std::vector<std::pair<std::string, std::string>> roles;   // group (ours), role: the first that fits counts
  std::vector<OidcClient> clients;
  bool provision = true;               // users are made when they come the first time
  bool link_existing = false;          // a user of the same name that was made here may become the issuer's
};

// At most 32 providers, no two of one issuer. kInvalidArgument names file and line.
Result<std::vector<OidcProvider>> parse_providers(std::string_view yaml, std::string_view name);

// Who a verified token speaks for.
struct ExternalPrincipal {
  std::string provider, issuer, subject;
  bool service = false;
  std::string name, tenant, project, role;  // names
  std::vector<std::string> groups, scopes;  // sorted
  bool provision = true, link_existing = false;
};
// kUnauthenticated or kPermissionDenied say which claim is missing, or that no role is given.
Result<ExternalPrincipal> map_claims(const OidcProvider& provider, const Jwt& jwt);

}  // namespace stoa::governance
