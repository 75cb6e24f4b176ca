#include "governance/audit/merkle.h"

#include <string>

#include <gtest/gtest.h>

#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

// The leaves and roots that Certificate Transparency's implementations are tested with.
constexpr std::string_view kLeaves[] = {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
constexpr std::string_view kRoots[] = {"6e340b9c", "fac54203", "aeb6bcfe", "d37ee418", "4e3bbb1f", "76e67dad", "ddb89be4",
                                       "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

std::vector<MerkleHash> vectors() {
  std::vector<MerkleHash> leaves;
  for (const auto text : kLeaves) leaves.push_back(merkle_leaf(*infra::from_hex(text)));
  return leaves;
}

std::vector<MerkleHash> numbered(int count) {
  std::vector<MerkleHash> leaves;
  for (int i = 0; i < count; ++i) leaves.push_back(merkle_leaf(as_bytes(std::to_string(i))));
  return leaves;
}

// The definition: no storage, no cleverness.
MerkleHash plain_root(std::span<const MerkleHash> leaves) {
  if (leaves.empty()) return infra::sha256(ByteSpan());
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = 1;
  while (2 * k < leaves.size()) k *= 2;
  return merkle_node(plain_root(leaves.first(k)), plain_root(leaves.subspan(k)));
}

MerkleNodes nodes_of(const std::vector<MerkleHash>& leaves) {
  return [&leaves](int level, std::int64_t index) -> Result<MerkleHash> {
    const auto width = std::size_t{1} << level, begin = static_cast<std::size_t>(index) * width;
    if (begin + width > leaves.size()) return fail(ErrorCode::kInternal, "subtree {} {} is not complete", level, index);
    return plain_root(std::span(leaves).subspan(begin, width));
  };
}

TEST(Merkle, RootsOfTheKnownVectors) {
  EXPECT_EQ(infra::to_hex(*merkle_root(0, nodes_of({}))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const auto leaves = vectors();
  MerkleFrontier frontier;
  for (std::size_t n = 1; n <= leaves.size(); ++n) {
    frontier.add(leaves[n - 1]);
    const std::string root = infra::to_hex(*merkle_root(static_cast<std::int64_t>(n), nodes_of(leaves)));
    EXPECT_TRUE(root.starts_with(kRoots[n - 1])) << n << " " << root;
    EXPECT_EQ(infra::to_hex(frontier.root()), root);
  }
}

TEST(Merkle, EveryProofOfSmallTreesHoldsAndNoChangedOneDoes) {
  const auto leaves = numbered(40);
  const auto nodes = nodes_of(leaves);
  std::vector<MerkleHash> roots;
  for (std::int64_t n = 0; n <= 40; ++n) roots.push_back(plain_root(std::span(leaves).first(static_cast<std::size_t>(n))));
  for (std::int64_t size = 1; size <= 40; ++size) {
    const auto& root = roots[static_cast<std::size_t>(size)];
    EXPECT_EQ(*merkle_root(size, nodes), root);
    for (std::int64_t index = 0; index < size; ++index) {
      auto proof = *inclusion_proof(index, size, nodes);
      const auto& leaf = leaves[static_cast<std::size_t>(index)];
      EXPECT_TRUE(proves_inclusion(leaf, index, size, proof, root)) << index << " of " << size;
      EXPECT_FALSE(proves_inclusion(merkle_leaf(as_bytes("no")), index, size, proof, root));
      EXPECT_FALSE(proves_inclusion(leaf, index + 1, size, proof, root)) << index << " of " << size;
      if (proof.empty()) continue;
      proof.back()[5] ^= std::byte{1};
      EXPECT_FALSE(proves_inclusion(leaf, index, size, proof, root));
      proof.pop_back();
      EXPECT_FALSE(proves_inclusion(leaf, index, size, proof, root));
    }
    for (std::int64_t old = 0; old <= size; ++old) {
      auto proof = *consistency_proof(old, size, nodes);
      const auto& before = roots[static_cast<std::size_t>(old)];
      EXPECT_TRUE(proves_consistency(old, before, size, root, proof)) << old << " in " << size;
      EXPECT_FALSE(proves_consistency(old, merkle_leaf(as_bytes("no")), size, root, proof)) << old << " in " << size;
      EXPECT_TRUE(old == 0 || !proves_consistency(old, before, size, merkle_leaf(as_bytes("no")), proof)) << old << " in " << size;
      if (proof.empty()) continue;
      proof.front()[31] ^= std::byte{0x80};
      EXPECT_FALSE(proves_consistency(old, before, size, root, proof)) << old << " in " << size;
    }
  }
}

TEST(Merkle, RefusesWhatIsNotInTheTree) {
  const auto leaves = numbered(3);
  const auto nodes = nodes_of(leaves);
  for (const std::int64_t index : {-1, 3, 4}) EXPECT_EQ(inclusion_proof(index, 3, nodes).error().code, ErrorCode::kInvalidArgument);
  for (const std::int64_t old : {-1, 4}) EXPECT_EQ(consistency_proof(old, 3, nodes).error().code, ErrorCode::kInvalidArgument);
  const std::vector<MerkleHash> many(100);
  EXPECT_FALSE(proves_inclusion(leaves[0], 0, 3, many, leaves[1]));
  EXPECT_FALSE(proves_inclusion(leaves[0], INT64_MAX - 1, INT64_MAX, many, leaves[1]));
  EXPECT_FALSE(proves_consistency(1, leaves[0], INT64_MAX, leaves[1], many));
  EXPECT_FALSE(proves_consistency(3, leaves[0], 5, leaves[1], {}));
}

}  // namespace
}  // namespace stoa::governance
