#include "governance/audit/checkpoint.h"

#include <gtest/gtest.h>

#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

infra::SigningKey key(char c) { return *infra::SigningKey::from_seed(as_bytes(std::string(32, c))); }

TEST(Checkpoint, IsOpenedWithTheKeyThatSignedIt) {
  const auto root = merkle_leaf(as_bytes("x"));
  const auto note = sign_checkpoint(1234, root, key('a'));
  const auto mine = CheckpointKey::of(key('a').public_key());
  const auto opened = open_checkpoint(note, mine);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->size, 1234);
  EXPECT_EQ(opened->root, root);
  EXPECT_EQ(opened->log, mine.name);
  EXPECT_TRUE(note.starts_with(mine.name + "\n1234\n" + infra::to_base64(root) + "\n\n\u2014 " + mine.name + " ")) << note;
  EXPECT_TRUE(open_checkpoint(note + "\u2014 witness AAAA\n", mine)) << "others may sign below";

  EXPECT_EQ(open_checkpoint(note, CheckpointKey::of(key('b').public_key())).error().code, ErrorCode::kDataLoss);
  std::string changed = note;
  changed[changed.find("1234")] = '2';
  EXPECT_EQ(open_checkpoint(changed, mine).error().code, ErrorCode::kDataLoss);
  for (const std::string& text : {std::string(), std::string("\n\n"), note.substr(0, note.find("\n\n")), mine.name + "\n-1\n" + infra::to_base64(root) + "\n\n",
                                  mine.name + "\n1\nAAAA\n\n", std::string(5000, 'x')})
    EXPECT_EQ(open_checkpoint(text, mine).error().code, ErrorCode::kInvalidArgument) << text;
}

TEST(Checkpoint, KeysAreTexts) {
  const auto mine = CheckpointKey::of(key('a').public_key());
  const auto back = CheckpointKey::parse(mine.text() + "\n");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->name, mine.name);
  EXPECT_EQ(back->key, mine.key);
  std::string other_id = mine.text();
  other_id[mine.name.size() + 1] ^= 1;
  for (const std::string& text : {std::string(), std::string("a+b"), std::string("+00000000+AAAA"), mine.name + "+00000000+AAAA", other_id, mine.text() + "A"})
    EXPECT_FALSE(CheckpointKey::parse(text)) << text;
}

}  // namespace
}  // namespace stoa::governance
