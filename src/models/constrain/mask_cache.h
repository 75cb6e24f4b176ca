// For a state of the automaton over an unknown stack: the tokens that are allowed whatever the stack holds, and where to go on looking
// once it matters. Almost all of a mask is known this way after the first look (the idea is XGrammar's).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "models/constrain/automaton.h"
#include "models/constrain/token_trie.h"

namespace stoa::models::constrain {

// Before the byte of trie node `node` the rule may have ended; with a counter on top of the stack, after `rounds` further rounds.
struct Escape {
  std::uint32_t rounds = 0;
  std::uint32_t node = 0;
};

struct MaskEntry {
  std::vector<std::uint64_t> bits;         // all tokens that stay above the unknown stack; empty where `ids` lists them
  std::vector<TokenId> ids;                // the same, when they are few or when a counter is on top: then by rounds, ascending
  std::vector<std::uint32_t> ids_until;    // ids[0 .. ids_until[r]) take at most r rounds; empty without a counter
  std::vector<Escape> escapes;             // by the node's byte, then by rounds: what stands on the stack reads few bytes, so few are looked at
  std::vector<std::uint32_t> escapes_from; // of byte b: [escapes_from[b], escapes_from[b + 1]); empty where there are none

  // Adds the tokens that take at most `rounds` further rounds.
  void add_to(std::span<std::uint64_t> mask, std::uint32_t rounds) const;
  // The escapes before byte `byte` that take `least` to `most` rounds.
  std::span<const Escape> escapes_before(std::uint8_t byte, std::uint32_t least, std::uint32_t most) const;
  std::size_t bytes() const;
};

// Thread-safe. Beyond its size entries are computed each time.
class MaskCache {
 public:
  static constexpr std::uint64_t kEntryWork = 4'000'000;  // of TrieWalk, some 20 ms: an entry over an ambiguous grammar may miss tokens

  MaskCache(const Automaton& automaton, const TokenTrie& trie, std::size_t max_bytes) : automaton_(automaton), trie_(trie), max_bytes_(max_bytes) {}

  // `body`: first state of the counter on top of the stack, kNoState where there is none. What it computes is taken from `work`; null when
  // that is 0 and the entry is not known.
  std::shared_ptr<const MaskEntry> find(std::uint32_t state, std::uint32_t body, std::uint64_t& work);
  std::size_t bytes() const;

 private:
  std::shared_ptr<const MaskEntry> compute(std::uint32_t state, std::uint32_t body, std::uint64_t& work) const;

  const Automaton& automaton_;
  const TokenTrie& trie_;
  std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const MaskEntry>> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace stoa::models::constrain
