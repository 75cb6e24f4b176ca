// The port of key management: master keys that never leave where they are kept wrap the data keys that Stoa uses. What is wrapped may lie
// beside the data; without the master key it is noise. Adapters: keys/file (embedded), keys/pkcs11, keys/vault, keys/aws;
// open_memory_keys() is the twin for tests. All pass keys_contract.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "infra/crypto/secret.h"

namespace stoa::infra {

struct WrappedKey {
  std::string provider;  // who wrapped it: KeyManagement::provider()
  std::string master;    // version of the master key, as the provider names it
  Bytes blob;            // of the provider's own making; not secret
};

struct MasterKeyStatus {
  std::string provider;
  std::string key;                    // for people: the file, the token and label, the address and name
  std::string current;                // version that wraps now; empty where the provider does not tell
  std::vector<std::string> versions;  // that can still unwrap, oldest first; empty where the provider does not tell
};

// Thread-safe. Calls to a service outside are bounded in time.
// Errors: kUnavailable (cannot be reached, throttled, locked: the same call may succeed later), kPermissionDenied (credentials refused, or
// the master key disabled), kNotFound (no such master key or version), kDataLoss (the blob was changed, or wrapped for another context),
// kUnsupported (the provider does not let us rotate), kInvalidArgument (configuration). All name the provider; none names a secret.
class KeyManagement {
 public:
  virtual ~KeyManagement() = default;

  virtual std::string_view provider() const = 0;  // "file", "pkcs11", "vault", "aws", "memory"
  // `context` says what the key is for and is bound to the blob: unwrapping needs the same one. At most 256 bytes, not secret.
  virtual Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) = 0;
  virtual Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) = 0;
  // Makes a new version of the master key, which wraps from now on; the earlier ones still unwrap.
  virtual Status rotate() = 0;
  // Also the check that the provider answers.
  virtual Result<MasterKeyStatus> describe() = 0;
};

// Wraps with the first, and unwraps with whichever wrapped: for moving from one provider to another. Not empty; providers differ.
std::unique_ptr<KeyManagement> join_keys(std::vector<std::unique_ptr<KeyManagement>> providers);

// Master keys in memory, gone with the object.
std::unique_ptr<KeyManagement> open_memory_keys();

}  // namespace stoa::infra
