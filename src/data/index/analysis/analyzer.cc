#include "data/index/analysis/analyzer.h"

#include <algorithm>

#include <fmt/format.h>
#include <unicode/uvernum.h>

#include "data/index/analysis/stems.h"
#include "data/index/analysis/words.h"

namespace stoa::data {
namespace {

constexpr int kWordsVersion = 1;  // of this folder's own rules and tables

}  // namespace

void AnalysedText::add(std::string_view term, std::uint32_t position, std::uint32_t begin, std::uint32_t end) {
  tokens.push_back({static_cast<std::uint32_t>(bytes.size()), static_cast<std::uint32_t>(term.size()), position, begin, end, false});
  bytes += term;
}

void AnalysedText::clear() {
  bytes.clear();
  tokens.clear();
}

struct Analyzer::State {
  explicit State(const Language& own) : language(own), words(own), stems(own) {}
  const Language& language;
  WordCutter words;
  Stems stems;
  AnalysedText scratch;
};

Analyzer::Analyzer() : Analyzer(*find_language("english")) {}
Analyzer::Analyzer(const Language& language) : state_(std::make_unique<State>(language)) {}
Analyzer::~Analyzer() = default;
Analyzer::Analyzer(Analyzer&&) noexcept = default;
Analyzer& Analyzer::operator=(Analyzer&&) noexcept = default;

Result<Analyzer> Analyzer::of(std::string_view language) {
  const Language* found = find_language(language);
  if (found == nullptr) return fail(error(ErrorCode::kInvalidArgument, "no text is analysed as '{}'", language).with_hint("use the name of a language in English, or generic"));
  return Analyzer(*found);
}

void Analyzer::analyse(std::string_view text, Purpose purpose, AnalysedText& out) {
  out.clear();
  const bool is_query = purpose == Purpose::kQuery;
  std::uint32_t position = 0;
  // A pair of ideographs has the place of its first one, which comes right before it in a passage.
  state_->words.cut(text, is_query, [&](const CutWord& word) {
    const std::uint32_t place = word.shares_position ? position - 1 : position++;
    const std::size_t first = out.tokens.size();
    out.add(state_->stems.of(word.text), place, word.begin, word.end);
    if (is_query) {
      out.tokens[first].is_stop_word = std::ranges::binary_search(state_->language.stop_words, word.text);
    } else if (const auto other = state_->stems.unaccented(word.text); !other.empty() && other != out.term(out.tokens[first])) {
      out.add(other, place, word.begin, word.end);
    }
  });
}

std::vector<std::string> Analyzer::terms(std::string_view text) {
  analyse(text, Purpose::kPassage, state_->scratch);
  std::vector<std::string> result;
  result.reserve(state_->scratch.tokens.size());
  for (const auto& token : state_->scratch.tokens) result.emplace_back(state_->scratch.term(token));
  return result;
}

std::vector<std::string> Analyzer::query_terms(std::string_view text) {
  analyse(text, Purpose::kQuery, state_->scratch);
  const auto& tokens = state_->scratch.tokens;
  const bool all = std::ranges::all_of(tokens, &Token::is_stop_word);
  std::vector<std::string> result;
  for (const auto& token : tokens) {
    if (all || !token.is_stop_word) result.emplace_back(state_->scratch.term(token));
  }
  return result;
}

std::string Analyzer::prefix(std::string_view text) {
  std::string first;
  state_->words.cut(text, true, [&](const CutWord& word) {
    if (first.empty()) first = state_->stems.folded(word.text);
  });
  return first;
}

std::string words_version(std::string_view language) { return fmt::format("{} {} icu {}", language, kWordsVersion, U_ICU_VERSION); }

}  // namespace stoa::data
