// What every adapter of KeyManagement does. A test of an adapter defines KeysContract tests by calling these with its own object.
#pragma once

#include <gtest/gtest.h>

#include "infra/crypto/hash.h"
#include "infra/keys/keys.h"

namespace stoa::infra {

inline bool same_key(const SecretKey& a, const SecretKey& b) { return constant_time_equal(a.bytes(), b.bytes()); }

// `rotates`: false for a provider whose rotation is not ours to start.
inline void check_keys_contract(KeyManagement& keys, bool rotates = true) {
  const SecretKey key = *SecretKey::random(), other = *SecretKey::random();
  const auto wrapped = keys.wrap(key, "project proj_1");
  ASSERT_TRUE(wrapped) << wrapped.error().message;
  EXPECT_EQ(wrapped->provider, keys.provider());
  EXPECT_FALSE(wrapped->blob.empty());
  EXPECT_EQ(as_text(wrapped->blob).find(as_text(key.bytes())), std::string_view::npos) << "the key stands in its wrapping";

  const auto opened = keys.unwrap(*wrapped, "project proj_1");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(same_key(*opened, key));

  // Another context, a changed blob, no blob.
  EXPECT_EQ(keys.unwrap(*wrapped, "project proj_2").error().code, ErrorCode::kDataLoss);
  for (const std::size_t at : {std::size_t{0}, wrapped->blob.size() / 2, wrapped->blob.size() - 1}) {
    WrappedKey changed = *wrapped;
    changed.blob[at] ^= std::byte{1};
    const auto refused = keys.unwrap(changed, "project proj_1");
    ASSERT_FALSE(refused) << at;
    EXPECT_NE(refused.error().code, ErrorCode::kInternal);
    EXPECT_NE(refused.error().message.find(keys.provider()), std::string::npos) << refused.error().message;
  }
  WrappedKey empty = *wrapped;
  empty.blob.clear();
  EXPECT_FALSE(keys.unwrap(empty, "project proj_1"));

  const auto before = keys.describe();
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_EQ(before->provider, keys.provider());
  EXPECT_FALSE(before->key.empty());
  if (!rotates) {
    EXPECT_EQ(keys.rotate().error().code, ErrorCode::kUnsupported);
    return;
  }
  ASSERT_TRUE(keys.rotate());
  const auto after = keys.describe();
  ASSERT_TRUE(after);
  EXPECT_NE(after->current, before->current);
  const auto newer = keys.wrap(other, "project proj_1");
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->master, after->current);
  EXPECT_TRUE(same_key(*keys.unwrap(*newer, "project proj_1"), other));
  EXPECT_TRUE(same_key(*keys.unwrap(*wrapped, "project proj_1"), key)) << "what was wrapped before the rotation stays readable";
}

}  // namespace stoa::infra
