// Master keys in a PKCS#11 token (a hardware security module, or SoftHSM): AES-256 keys that are made in the token, marked sensitive and not
// extractable, and encrypt there with AES-GCM. A version of the master key is a key object: its label is the configured one, its id the number.
#pragma once

#include <memory>
#include <string>

#include "infra/keys/keys.h"

namespace stoa::infra {

struct Pkcs11Options {
  std::string module;         // shared library of the token: "/usr/lib/softhsm/libsofthsm2.so"
  std::string token;          // its label
  std::string key = "stoa";   // label of the keys
  std::string pin;            // of the user; wiped when the keys are closed
};

// Loads the module, logs in, and makes the first key when there is none and `create` is set.
// kNotFound: no such module, token or key; kPermissionDenied: PIN refused or locked; kUnavailable: the token is out of reach; a session that
// the token has ended is opened again.
Result<std::unique_ptr<KeyManagement>> open_pkcs11_keys(Pkcs11Options options, bool create);

}  // namespace stoa::infra
