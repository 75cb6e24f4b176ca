// The compiled constraints of one model. Those that come again find their grammar and their masks ready.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "models/constrain/matcher.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

// Thread-safe. Keeps the constraints used last, by number and by bytes; those of running requests live on beside it.
class ConstraintCache {
 public:
  static constexpr std::size_t kEntries = 64;
  static constexpr std::size_t kBytes = std::size_t{256} << 20;
  static constexpr std::size_t kMaskBytes = std::size_t{16} << 20;  // of one constraint

  // `tokenizer` outlives the cache. `visible`: control tokens that constraints may use, by their text (models/tools: marker_tokens).
  ConstraintCache(const Tokenizer& tokenizer, std::vector<std::string> visible) : tokenizer_(tokenizer), visible_(std::move(visible)) {}

  // Equal keys have equal grammars. Compiles on the caller's thread, one thread a key, and computes the first mask: both can take tens of
  // milliseconds, which the engine's thread shall not spend. Errors: those of `compile`.
  Result<std::shared_ptr<const Constraint>> get(const std::string& key, const std::function<Result<Grammar>()>& compile);

 private:
  struct Entry {
    std::mutex compiling;
    std::shared_ptr<const Constraint> constraint;  // guarded by the cache's mutex
    std::uint64_t used = 0;                        // likewise
  };

  std::shared_ptr<const Constraint> ready(Entry& entry);
  std::shared_ptr<const TokenTrie> trie();
  void shrink();

  const Tokenizer& tokenizer_;
  const std::vector<std::string> visible_;
  std::once_flag built_;
  std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;  // guarded
  std::uint64_t clock_ = 0;                                          // guarded
};

}  // namespace stoa::models
