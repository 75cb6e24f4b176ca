// The installation's own secrets, 32 bytes each, in <home>/secrets/: wrapped by the master key, so that a copy of the data folder alone can
// neither sign nor try out keys. Format: docs/formats/sealed.md.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "infra/crypto/secret.h"
#include "infra/keys/keys.h"

namespace stoa::governance {

enum class ServerSecret : std::uint8_t {
  kApiKeys,       // api-keys: keys the hashes of the API keys, and signs links to documents
  kTokenSigning,  // token-signing: the seed of the key that signs tokens of our own
  kAuditSigning,  // audit-signing: the seed of the key that signs checkpoints of the audit log, and so passports
};
inline constexpr std::array kServerSecrets{ServerSecret::kApiKeys, ServerSecret::kTokenSigning, ServerSecret::kAuditSigning};
std::string_view secret_name(ServerSecret secret);  // of its file

struct ServerSecretStatus {
  std::string_view name;
  std::string provider, master;  // that wrapped it
};

// Thread-safe, and several processes may use one folder. `keys` outlives it. Errors name the file and the next step: kUnavailable when it
// cannot be read or written or is damaged, or when others may read it or put another in its place (a new one would make every issued key
// useless, or part the audit log from the key that its checkpoints were given out with); otherwise those of the key management.
class ServerSecrets {
 public:
  // `home` exists.
  ServerSecrets(std::filesystem::path home, infra::KeyManagement& keys) : folder_(std::move(home) / "secrets"), keys_(keys) {}

  // Whether a master key has wrapped any of them: then there has to be that one.
  static Result<bool> any_wrapped(const std::filesystem::path& home);

  // Made where there is none, with mode 0600 in a folder of mode 0700. One that an earlier release has left in plain is wrapped in place. Kept
  // in memory from then on: the key management is asked once.
  Result<infra::SecretKey> load(ServerSecret secret);
  // Wraps those anew that another master key than `current` has wrapped; gives their number.
  Result<std::int64_t> rewrap(const infra::MasterKeyStatus& current);
  Result<std::vector<ServerSecretStatus>> status() const;  // of those that there are

 private:
  Result<infra::SecretKey> read(ServerSecret secret);
  Result<std::string> wrapped(ServerSecret secret, const infra::SecretKey& key);
  Result<infra::SecretKey> unwrapped(ServerSecret secret, const infra::WrappedKey& blob);
  // Puts `text` in the place of `seen` (nothing: no file). False when there is something else by now.
  Result<bool> exchange(ServerSecret secret, const std::optional<std::string>& seen, std::string_view text) const;

  const std::filesystem::path folder_;
  infra::KeyManagement& keys_;
  std::mutex mutex_;
  std::map<ServerSecret, infra::SecretKey> loaded_;
};

}  // namespace stoa::governance
