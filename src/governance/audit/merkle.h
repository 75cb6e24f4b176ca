// Merkle trees over a log, as RFC 6962 section 2.1 defines them: the root of a log's first n entries, the proof that an entry is one of
// them, and the proof that a longer log begins with a shorter one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {

using MerkleHash = infra::Sha256Digest;

MerkleHash merkle_leaf(ByteSpan entry);                                        // SHA-256(0x00 || entry)
MerkleHash merkle_node(const MerkleHash& left, const MerkleHash& right);       // SHA-256(0x01 || left || right)

// The root of the 2^level leaves from index * 2^level on, all of which are there.
using MerkleNodes = std::function<Result<MerkleHash>(int level, std::int64_t index)>;

// What a tree of `size` leaves is made of: asks for complete subtrees only, about log2(size) of them.
Result<MerkleHash> merkle_root(std::int64_t size, const MerkleNodes& nodes);
// The complete subtrees of a tree of `size` leaves, as MerkleFrontier has them.
Result<std::vector<MerkleHash>> complete_subtrees(std::int64_t size, const MerkleNodes& nodes);
// That leaf `index` (from 0) is in the tree of `size` leaves. kInvalidArgument when it is not.
Result<std::vector<MerkleHash>> inclusion_proof(std::int64_t index, std::int64_t size, const MerkleNodes& nodes);
// That the tree of `size` leaves begins with that of the first `old_size`, 0 <= old_size <= size; empty for 0.
Result<std::vector<MerkleHash>> consistency_proof(std::int64_t old_size, std::int64_t size, const MerkleNodes& nodes);

// The checks of both (RFC 9162, sections 2.1.3.2 and 2.1.4.2), which need nothing but what is passed. Any input is safe.
bool proves_inclusion(const MerkleHash& leaf, std::int64_t index, std::int64_t size, std::span<const MerkleHash> proof, const MerkleHash& root);
bool proves_consistency(std::int64_t old_size, const MerkleHash& old_root, std::int64_t size, const MerkleHash& root, std::span<const MerkleHash> proof);

// The root of a log read from its beginning, in memory that grows with the logarithm of its size.
class MerkleFrontier {
 public:
  MerkleFrontier() = default;
  // Of a log of `size` entries that was read before: complete() of then. kInvalidArgument when they are not as many.
  static Result<MerkleFrontier> of(std::int64_t size, std::vector<MerkleHash> complete);

  void add(const MerkleHash& leaf);
  std::int64_t size() const { return size_; }
  MerkleHash root() const;
  // Roots of the complete subtrees, largest first: one for each bit of size().
  const std::vector<MerkleHash>& complete() const { return complete_; }

 private:
  std::int64_t size_ = 0;
  std::vector<MerkleHash> complete_;
};

}  // namespace stoa::governance
