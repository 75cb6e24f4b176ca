// Master keys in the transit engine of HashiCorp Vault (or OpenBao): it encrypts and decrypts, and the key stays there. The key's type must
// take associated data (aes256-gcm96, which is the default of `vault write -f transit/keys/NAME`).
//
// The token needs: update on <mount>/encrypt/<key> and <mount>/decrypt/<key>, read on <mount>/keys/<key>, and for rotation update on
// <mount>/keys/<key>/rotate.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "infra/http/sender.h"
#include "infra/keys/keys.h"

namespace stoa::infra {

struct VaultOptions {
  std::string address;            // "https://vault.corp.example:8200"
  std::string mount = "transit";
  std::string key = "stoa";
  std::string name_space{};       // of Vault Enterprise; empty: none
  // Asked before each call, so that a token that an agent renews in a file is always the newest.
  std::function<Result<std::string>()> token;
  milliseconds timeout{5'000};    // of one attempt
  int attempts = 3;               // when throttled, sealed or out of reach
  milliseconds pause{100};        // before the second attempt; twice as long before each further one
};

// `http` outlives it. kInvalidArgument for an address that is no URL or names with slashes.
Result<std::unique_ptr<KeyManagement>> open_vault_keys(HttpSender& http, VaultOptions options);

}  // namespace stoa::infra
