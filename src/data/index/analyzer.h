// Words of a text as the text index counts them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::data {

// NFKC and case folding (ICU), words of letters and digits (ideographs and kana one by one), then the English Snowball stemmer
// for words of ASCII letters. No stop words are dropped: BM25's idf weighs them down, and dropping measured no better.
// Not thread-safe: one per thread, or one behind a lock.
class Analyzer {
 public:
  Analyzer();
  ~Analyzer();
  Analyzer(Analyzer&&) noexcept;
  Analyzer& operator=(Analyzer&&) noexcept;

  std::vector<std::string> terms(std::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stoa::data
