// A set of master keys in memory and how they wrap: what the file adapter and the memory twin share. Internal to infra/keys.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "infra/keys/keys.h"

namespace stoa::infra {

struct MasterKey {
  Micros created = 0;
  SecretKey key;
};
using MasterKeys = std::map<std::int64_t, MasterKey>;  // by version, from 1; the last one wraps

// `keys` is not empty.
Result<WrappedKey> wrap_with(const MasterKeys& keys, std::string_view provider, const SecretKey& key, std::string_view context);
// kNotFound when the version is not among `keys`.
Result<SecretKey> unwrap_with(const MasterKeys& keys, std::string_view provider, const WrappedKey& wrapped, std::string_view context);
// Beyond the last version there is a new random one.
Status add_master_key(MasterKeys& keys, Micros now);
MasterKeyStatus describe_keys(const MasterKeys& keys, std::string_view provider, std::string name);

}  // namespace stoa::infra
