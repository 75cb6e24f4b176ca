// Tokens of Google's service accounts: a JWT signed with the account's key is exchanged at its token_uri for a token that is good for about an
// hour (RFC 7523; Google Identity, "Using OAuth 2.0 for server to server applications").
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/time.h"
#include "infra/crypto/hash.h"
#include "infra/http/sender.h"

namespace stoa::gateway {

// What is needed of the JSON file of a service account.
struct ServiceAccount {
  std::string email, key_id, private_key, token_url;
};
// kInvalidArgument says which part is missing or wrong; never what it holds.
Result<ServiceAccount> parse_service_account(std::string_view json);

// Keeps tokens until shortly before their end. One thread at a time asks for a token of an account; the others go on with the one that there is, or wait
// for that one exchange. Thread-safe.
class AccessTokens {
 public:
  static constexpr std::size_t kMaxAccounts = 256;

  explicit AccessTokens(const Clock& clock = Clock::system()) : clock_(clock) {}
  // The token for a service account (its JSON). `request` lends its timeouts and its cancellation to the exchange. Errors: those of
  // parse_service_account as kUnavailable, since they are the configuration's; those of the sender; kUnavailable for what the token's place refuses.
  Result<std::string> get(const std::string& account, infra::HttpSender& sender, const infra::HttpClientRequest& request);

 private:
  struct Kept;
  std::shared_ptr<Kept> kept(const std::string& account);

  const Clock& clock_;
  std::mutex mutex_;
  std::map<infra::Sha256Digest, std::shared_ptr<Kept>> accounts_;  // by the digest of the account
};

}  // namespace stoa::gateway
