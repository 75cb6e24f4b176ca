#include "infra/keys/master_keys.h"

#include <charconv>

#include "infra/crypto/aead.h"

namespace stoa::infra {
namespace {

std::string bound_to(std::string_view master, std::string_view context) { return fmt::format("stoa master key {} for {}", master, context); }

}  // namespace

Result<WrappedKey> wrap_with(const MasterKeys& keys, std::string_view provider, const SecretKey& key, std::string_view context) {
  const auto& [version, master] = *keys.rbegin();
  WrappedKey wrapped{std::string(provider), std::to_string(version), {}};
  STOA_TRY(blob, seal_small(master.key, as_bytes(bound_to(wrapped.master, context)), key.bytes()));
  wrapped.blob = std::move(blob);
  return wrapped;
}

Result<SecretKey> unwrap_with(const MasterKeys& keys, std::string_view provider, const WrappedKey& wrapped, std::string_view context) {
  std::int64_t version = 0;
  const char* end = wrapped.master.data() + wrapped.master.size();
  const auto parsed = std::from_chars(wrapped.master.data(), end, version);
  const auto master = keys.find(version);
  if (parsed.ec != std::errc() || parsed.ptr != end || master == keys.end())
    return fail(error(ErrorCode::kNotFound, "{}: there is no master key of version '{}'", provider, wrapped.master.substr(0, 40))
                    .with_hint("bring back the keys that this data folder was written with"));
  auto plain = open_small(master->second.key, as_bytes(bound_to(wrapped.master, context)), wrapped.blob);
  if (!plain) return fail(std::move(plain).error().in(fmt::format("{}: the wrapped key for {}", provider, context)));
  auto key = SecretKey::from(*plain);
  wipe(*plain);
  return key;
}

Status add_master_key(MasterKeys& keys, Micros now) {
  STOA_TRY(key, SecretKey::random());
  keys.emplace(keys.empty() ? 1 : keys.rbegin()->first + 1, MasterKey{now, key});
  return {};
}

MasterKeyStatus describe_keys(const MasterKeys& keys, std::string_view provider, std::string name) {
  MasterKeyStatus status{std::string(provider), std::move(name), {}, {}};
  for (const auto& [version, key] : keys) status.versions.push_back(std::to_string(version));
  if (!status.versions.empty()) status.current = status.versions.back();
  return status;
}

}  // namespace stoa::infra
