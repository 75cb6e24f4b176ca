#include "infra/keys/keys.h"

#include <gtest/gtest.h>

#include "infra/keys/keys_contract.h"

namespace stoa::infra {
namespace {

TEST(MemoryKeysContract, Holds) { check_keys_contract(*open_memory_keys()); }

// Two memory twins share a name: one of them here takes the place of a provider that is no longer configured.
class Renamed final : public KeyManagement {
 public:
  std::string_view provider() const override { return "renamed"; }
  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    auto wrapped = inner_->wrap(key, context);
    if (wrapped) wrapped->provider = "renamed";
    return wrapped;
  }
  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override { return inner_->unwrap(wrapped, context); }
  Status rotate() override { return inner_->rotate(); }
  Result<MasterKeyStatus> describe() override { return inner_->describe(); }

 private:
  std::unique_ptr<KeyManagement> inner_ = open_memory_keys();
};

TEST(JoinedKeys, WrapWithTheFirstAndUnwrapWithAny) {
  auto old = std::make_unique<Renamed>();
  const SecretKey key = *SecretKey::random();
  const auto before = old->wrap(key, "c");
  std::vector<std::unique_ptr<KeyManagement>> both;
  both.push_back(open_memory_keys());
  both.push_back(std::move(old));
  const auto joined = join_keys(std::move(both));
  EXPECT_EQ(joined->wrap(key, "c")->provider, "memory");
  EXPECT_TRUE(same_key(*joined->unwrap(*before, "c"), key));
  WrappedKey unknown = *before;
  unknown.provider = "vault";
  const auto refused = joined->unwrap(unknown, "c");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_NE(refused.error().hint.find("kms.previous: vault"), std::string::npos);
}

}  // namespace
}  // namespace stoa::infra
