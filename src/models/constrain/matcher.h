// Grammars applied to tokens: which token may come next, for each sequence.
//
//   auto grammar = Grammar::from_json_schema(schema);                         // once a schema
//   auto constraint = std::make_shared<Constraint>(*grammar, trie);           // once a schema and vocabulary: holds cached masks
//   GrammarMatcher matcher(constraint);                                       // once a sequence
//   each step: token = unconstrained choice; if (!matcher.allows(token)) { matcher.mask(bits); token = choice among bits; }
//              matcher.accept(token);
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/constrain/grammar.h"
#include "models/constrain/token_trie.h"

namespace stoa::models {

namespace constrain {
struct MaskEntry;
class MaskCache;
}  // namespace constrain

// A grammar and a vocabulary, with the masks computed for them so far. Any number of threads.
class Constraint {
 public:
  static constexpr std::size_t kCacheBytes = std::size_t{32} << 20;

  Constraint(Grammar grammar, std::shared_ptr<const TokenTrie> trie, std::size_t cache_bytes = kCacheBytes);
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  const Grammar& grammar() const { return grammar_; }
  const TokenTrie& trie() const { return *trie_; }
  std::size_t cached_bytes() const;

 private:
  friend class GrammarMatcher;
  Grammar grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::unique_ptr<constrain::MaskCache> cache_;
};

// The state of one sequence. One thread at a time; a copy is independent (speculation may work on one and drop it).
class GrammarMatcher {
 public:
  static constexpr int kMaxRollback = 64;   // tokens that can be taken back

  explicit GrammarMatcher(std::shared_ptr<const Constraint> constraint);
  GrammarMatcher(const GrammarMatcher& other);
  GrammarMatcher& operator=(const GrammarMatcher& other);
  GrammarMatcher(GrammarMatcher&&) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&&) noexcept;
  ~GrammarMatcher();

  std::size_t words() const { return constraint_->trie().words(); }  // of a mask

  // Sets bit t % 64 of bits[t / 64] for each token t that may come next and clears all others; `bits` holds words() words.
  // End-of-generation tokens are set exactly where the output may end. False when no bit is set: the vocabulary cannot write what
  // must follow, or finished() holds.
  bool mask(std::span<std::uint64_t> bits);
  // The same for one token, without a mask: far cheaper where the model's own choice fits.
  bool allows(TokenId token);
  // Takes a token. kInvalidArgument (and nothing changes) when it is not allowed.
  Status accept(TokenId token);
  // Takes bytes, such as a prefix that was put into the prompt. False, and nothing changes, when they do not fit.
  // Counts as one token for rollback().
  bool accept_text(std::string_view bytes);
  // Takes back the last `tokens`. kInvalidArgument when there are fewer, or more than kMaxRollback.
  Status rollback(int tokens);

  // The bytes that must follow, as far as there is exactly one continuation; empty where there is a choice or the output may end.
  std::string forced(std::size_t max_bytes = 256);
  // forced() as tokens that may be appended without asking the model. The last token is left out unless the output ends after it,
  // because the model might write its end as part of a longer one.
  std::vector<TokenId> forced_tokens(const Tokenizer& tokenizer, std::size_t max_bytes = 256);

  bool can_end() const;    // the output so far is a whole one
  bool finished() const;   // and nothing can follow, or an end-of-generation token was accepted

 private:
  struct State;
  std::shared_ptr<const Constraint> constraint_;
  std::unique_ptr<State> state_;
};

}  // namespace stoa::models
