// Tokens, key sets and descriptions of issuers, and the file of identity providers.
#include <cstdint>
#include <string>

#include "governance/identity/jwks.h"
#include "governance/identity/jwt.h"
#include "governance/identity/oidc_provider.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::governance;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto kKey = *stoa::infra::SigningKey::from_seed(stoa::Bytes(32, std::byte{7}));
  static const OidcProvider kProvider{.name = "corp", .issuer = "https://id.example", .audiences = {"stoa"}, .role = "viewer"};
  if (const auto jwt = parse_jwt(text)) {
    const JwtRules rules{.issuer = kProvider.issuer, .audiences = kProvider.audiences, .schemes = {}, .nonce = {}};
    if (check_claims(*jwt, rules, 0)) require(jwt->expires.has_value());
    if (const auto who = map_claims(kProvider, *jwt)) require(!who->name.empty() && !who->subject.empty());
    // What a reader takes for a token's claims, a writer can write: they come back the same.
    const auto again = parse_jwt(sign_jwt(kKey, "k", "JWT", jwt->claims));
    if (again) require(again->subject == jwt->subject && again->audiences == jwt->audiences);
  }
  if (const auto keys = KeySet::parse(text)) require(keys->size() >= 1 && keys->size() <= KeySet::kMaxKeys);
  if (const auto endpoints = parse_discovery(text, kProvider.issuer)) require(check_issuer_url(endpoints->keys).has_value());
  (void)parse_providers(text, "fuzz");
  return 0;
}
