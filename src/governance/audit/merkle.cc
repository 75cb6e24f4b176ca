#include "governance/audit/merkle.h"

#include <algorithm>
#include <bit>

namespace stoa::governance {
namespace {

// The largest power of two below n, n > 1: where a tree is cut in two.
std::int64_t cut(std::int64_t n) { return std::int64_t{1} << (std::bit_width(static_cast<std::uint64_t>(n - 1)) - 1); }

// The root of the leaves from `begin` to `end`, a subtree that comes from cutting: complete where its size is a power of two.
Result<MerkleHash> subtree(std::int64_t begin, std::int64_t end, const MerkleNodes& nodes) {
  const std::int64_t n = end - begin;
  if (std::has_single_bit(static_cast<std::uint64_t>(n))) {
    const int level = std::countr_zero(static_cast<std::uint64_t>(n));
    return nodes(level, begin >> level);
  }
  STOA_TRY(left, subtree(begin, begin + cut(n), nodes));
  STOA_TRY(right, subtree(begin + cut(n), end, nodes));
  return merkle_node(left, right);
}

// One step of a check: to the parents of a leaf and of the last leaf.
void up(std::int64_t& leaf, std::int64_t& last) {
  leaf >>= 1;
  last >>= 1;
}

}  // namespace

MerkleHash merkle_leaf(ByteSpan entry) {
  infra::Sha256 hash;
  hash.update(std::string_view("\0", 1));
  hash.update(entry);
  return hash.finish();
}

MerkleHash merkle_node(const MerkleHash& left, const MerkleHash& right) {
  std::array<std::byte, 65> bytes;
  bytes[0] = std::byte{1};
  std::ranges::copy(left, bytes.begin() + 1);
  std::ranges::copy(right, bytes.begin() + 33);
  return infra::sha256(ByteSpan(bytes));
}

Result<MerkleHash> merkle_root(std::int64_t size, const MerkleNodes& nodes) {
  if (size == 0) return infra::sha256(ByteSpan());
  return subtree(0, size, nodes);
}

Result<std::vector<MerkleHash>> complete_subtrees(std::int64_t size, const MerkleNodes& nodes) {
  std::vector<MerkleHash> out;
  std::int64_t begin = 0;
  for (int level = 62; level >= 0; --level) {
    if ((size >> level & 1) == 0) continue;
    STOA_TRY(root, nodes(level, begin >> level));
    out.push_back(root);
    begin += std::int64_t{1} << level;
  }
  return out;
}

Result<std::vector<MerkleHash>> inclusion_proof(std::int64_t index, std::int64_t size, const MerkleNodes& nodes) {
  if (index < 0 || index >= size) return fail(ErrorCode::kInvalidArgument, "leaf {} is not in a tree of {} leaves", index, size);
  std::vector<MerkleHash> proof;
  for (std::int64_t begin = 0, end = size; end - begin > 1;) {
    const std::int64_t middle = begin + cut(end - begin);
    const bool left = index < middle;
    STOA_TRY(other, left ? subtree(middle, end, nodes) : subtree(begin, middle, nodes));
    proof.push_back(other);
    (left ? end : begin) = middle;
  }
  std::ranges::reverse(proof);
  return proof;
}

Result<std::vector<MerkleHash>> consistency_proof(std::int64_t old_size, std::int64_t size, const MerkleNodes& nodes) {
  if (old_size < 0 || old_size > size) return fail(ErrorCode::kInvalidArgument, "a tree of {} leaves does not begin with one of {}", size, old_size);
  std::vector<MerkleHash> proof;
  if (old_size == 0) return proof;
  std::int64_t begin = 0, end = size;
  while (end != old_size) {
    const std::int64_t middle = begin + cut(end - begin);
    const bool left = old_size <= middle;
    STOA_TRY(other, left ? subtree(middle, end, nodes) : subtree(begin, middle, nodes));
    proof.push_back(other);
    (left ? end : begin) = middle;
  }
  // The old tree as a whole needs no proof of itself.
  if (begin > 0) {
    STOA_TRY(rest, subtree(begin, end, nodes));
    proof.push_back(rest);
  }
  std::ranges::reverse(proof);
  return proof;
}

bool proves_inclusion(const MerkleHash& leaf, std::int64_t index, std::int64_t size, std::span<const MerkleHash> proof, const MerkleHash& root) {
  if (index < 0 || index >= size) return false;
  std::int64_t last = size - 1;
  MerkleHash hash = leaf;
  for (const MerkleHash& other : proof) {
    if (last == 0) return false;
    if (index % 2 == 1 || index == last) {
      hash = merkle_node(other, hash);
      while (index % 2 == 0 && index != 0) up(index, last);
    } else {
      hash = merkle_node(hash, other);
    }
    up(index, last);
  }
  return last == 0 && hash == root;
}

bool proves_consistency(std::int64_t old_size, const MerkleHash& old_root, std::int64_t size, const MerkleHash& root, std::span<const MerkleHash> proof) {
  if (old_size < 0 || old_size > size) return false;
  if (old_size == 0) return proof.empty() && old_root == infra::sha256(ByteSpan());
  if (old_size == size) return proof.empty() && old_root == root;
  std::int64_t leaf = old_size - 1, last = size - 1;
  while (leaf % 2 == 1) up(leaf, last);
  // The root of an old tree that is complete is the first hash itself.
  const bool whole = std::has_single_bit(static_cast<std::uint64_t>(old_size));
  if (!whole && proof.empty()) return false;
  MerkleHash before = whole ? old_root : proof.front(), now = before;
  for (const MerkleHash& other : proof.subspan(whole ? 0 : 1)) {
    if (last == 0) return false;
    if (leaf % 2 == 1 || leaf == last) {
      before = merkle_node(other, before);
      now = merkle_node(other, now);
      while (leaf % 2 == 0 && leaf != 0) up(leaf, last);
    } else {
      now = merkle_node(now, other);
    }
    up(leaf, last);
  }
  return last == 0 && before == old_root && now == root;
}

Result<MerkleFrontier> MerkleFrontier::of(std::int64_t size, std::vector<MerkleHash> complete) {
  if (size < 0 || std::popcount(static_cast<std::uint64_t>(size)) != static_cast<int>(complete.size()))
    return fail(ErrorCode::kInvalidArgument, "a tree of {} leaves is not made of {} complete ones", size, complete.size());
  MerkleFrontier frontier;
  frontier.size_ = size;
  frontier.complete_ = std::move(complete);
  return frontier;
}

void MerkleFrontier::add(const MerkleHash& leaf) {
  MerkleHash hash = leaf;
  for (std::int64_t n = size_++; n % 2 == 1; n >>= 1) {
    hash = merkle_node(complete_.back(), hash);
    complete_.pop_back();
  }
  complete_.push_back(hash);
}

MerkleHash MerkleFrontier::root() const {
  if (complete_.empty()) return infra::sha256(ByteSpan());
  MerkleHash hash = complete_.back();
  for (std::size_t i = complete_.size() - 1; i-- > 0;) hash = merkle_node(complete_[i], hash);
  return hash;
}

}  // namespace stoa::governance
