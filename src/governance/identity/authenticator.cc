#include "governance/identity/authenticator.h"

namespace stoa::governance {

Result<Principal> Authenticator::authenticate(const Credentials& credentials) const {
  if (credentials.bearer.empty() && credentials.certificate != nullptr && nodes_ != nullptr) return nodes_->authenticate(*credentials.certificate);
  if (looks_like_jwt(credentials.bearer)) return token(credentials.bearer);
  auto principal = identity_.authenticate(credentials.bearer);
  if (principal) principal->method = "API key";
  return principal;
}

// The type says whose it is to check; each of them checks everything.
Result<Principal> Authenticator::token(std::string_view text) const {
  const auto refused = [] { return fail(error(ErrorCode::kUnauthenticated, "tokens of this kind are not accepted here").with_hint("send a key that works as 'Authorization: Bearer sk-stoa-...'")); };
  if (oidc_ != nullptr)
    if (auto known = oidc_->known(text)) return std::move(*known);
  STOA_TRY(jwt, parse_jwt(text));
  if (jwt.type == kDelegatedType) return delegated_ != nullptr ? delegated_->authenticate(jwt) : refused();
  if (jwt.type == kElevationType) return elevations_ != nullptr ? elevations_->authenticate(jwt) : refused();
  return oidc_ != nullptr ? oidc_->authenticate(text, jwt) : refused();
}

}  // namespace stoa::governance
