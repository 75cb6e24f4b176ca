// Any bytes as a JSON Schema, a regular expression and a GBNF grammar (the first byte chooses): an error, or an automaton that can be
// walked, within the limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "models/constrain/automaton.h"
#include "models/constrain/matcher.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  if (size == 0) return 0;
  static const auto trie = TokenTrie::build(std::vector<std::string>{"{", "}", "\"", "a", "ab", "\":", "1", "12", ",", "[", "]", " ", "\xc3", "\xa9", "<end>"}, std::vector<TokenId>{14});
  const GrammarLimits limits{.max_bytes = 1 << 14, .max_rules = 200, .max_nodes = 5000, .max_states = 2000, .max_work = 100'000, .max_table = 300'000, .max_repeat = 1000};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto grammar = data[0] == 'r' ? Grammar::from_regex(text, limits) : data[0] == 'g' ? Grammar::from_gbnf(text, limits) : Grammar::from_json_schema(text, limits);
  if (!grammar) return 0;
  if (grammar->states() > limits.max_states) std::abort();
  GrammarMatcher matcher(std::make_shared<const Constraint>(*grammar, trie));
  std::vector<std::uint64_t> bits(trie->words());
  for (std::size_t step = 0; step < 12 && matcher.mask(bits); ++step) {
    // What the mask allows is accepted, and nothing else is.
    TokenId chosen = kNoToken;
    for (TokenId token = 0; token < trie->size(); ++token) {
      const bool allowed = bits[0] >> token & 1;
      if (allowed != matcher.allows(token)) std::abort();
      if (allowed && (chosen == kNoToken || (step + size) % static_cast<std::size_t>(token + 2) == 0)) chosen = token;
    }
    const std::string forced = matcher.forced(16);
    if (!forced.empty() && !GrammarMatcher(matcher).accept_text(forced)) std::abort();
    if (!matcher.accept(chosen)) std::abort();
  }
  return 0;
}
