#include "infra/keys/keys.h"

#include <algorithm>
#include <mutex>

#include "infra/keys/master_keys.h"

namespace stoa::infra {
namespace {

class MemoryKeys final : public KeyManagement {
 public:
  std::string_view provider() const override { return "memory"; }

  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    std::lock_guard lock(mutex_);
    if (keys_.empty()) STOA_CHECK(add_master_key(keys_, 0));
    return wrap_with(keys_, provider(), key, context);
  }
  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    std::lock_guard lock(mutex_);
    return unwrap_with(keys_, provider(), wrapped, context);
  }
  Status rotate() override {
    std::lock_guard lock(mutex_);
    if (keys_.empty()) STOA_CHECK(add_master_key(keys_, 0));
    return add_master_key(keys_, 0);
  }
  Result<MasterKeyStatus> describe() override {
    std::lock_guard lock(mutex_);
    if (keys_.empty()) STOA_CHECK(add_master_key(keys_, 0));
    return describe_keys(keys_, provider(), "in memory");
  }

 private:
  std::mutex mutex_;
  MasterKeys keys_;
};

class JoinedKeys final : public KeyManagement {
 public:
  explicit JoinedKeys(std::vector<std::unique_ptr<KeyManagement>> providers) : providers_(std::move(providers)) {}

  std::string_view provider() const override { return providers_.front()->provider(); }
  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override { return providers_.front()->wrap(key, context); }
  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    const auto who = std::ranges::find(providers_, wrapped.provider, [](const auto& each) { return each->provider(); });
    if (who == providers_.end())
      return fail(error(ErrorCode::kNotFound, "the key for {} was wrapped by '{}', which is not configured", context, wrapped.provider)
                      .with_hint(fmt::format("set kms.previous: {}, until 'stoa kms rewrap' has been run", wrapped.provider)));
    return (*who)->unwrap(wrapped, context);
  }
  Status rotate() override { return providers_.front()->rotate(); }
  Result<MasterKeyStatus> describe() override { return providers_.front()->describe(); }

 private:
  const std::vector<std::unique_ptr<KeyManagement>> providers_;
};

}  // namespace

std::unique_ptr<KeyManagement> join_keys(std::vector<std::unique_ptr<KeyManagement>> providers) {
  return std::make_unique<JoinedKeys>(std::move(providers));
}

std::unique_ptr<KeyManagement> open_memory_keys() { return std::make_unique<MemoryKeys>(); }

}  // namespace stoa::infra
