// Words of a text as the text index counts them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::data {

// NFKC and case folding (ICU), runs of letters, digits and marks (ideographs, kana and Thai letters one by one), then the English
// Snowball stemmer for words of ASCII letters. Not thread-safe: one per thread.
class Analyzer {
 public:
  Analyzer();
  ~Analyzer();
  Analyzer(Analyzer&&) noexcept;
  Analyzer& operator=(Analyzer&&) noexcept;

  std::vector<std::string> terms(std::string_view text);
  // Terms to search for: without the function and question words of English, unless nothing else is left. Passages keep
  // theirs, so that "to be or not to be" still finds its line.
  std::vector<std::string> query_terms(std::string_view text);

 private:
  struct State;
  std::vector<std::string> words(std::string_view text) const;
  const std::string& stem(const std::string& word);
  std::unique_ptr<State> state_;
};

}  // namespace stoa::data
