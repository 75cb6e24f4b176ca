// Stems and diacritics of folded words. Internal to this folder.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/index/analysis/languages.h"

struct sb_stemmer;

namespace stoa::data {

class Stems {
 public:
  explicit Stems(const Language& language);
  ~Stems();
  Stems(Stems&&) noexcept;

  // The word's stem, without diacritics where the language folds them. Valid until the next call.
  std::string_view of(std::string_view word);
  // The stem of the word without its diacritics; empty when the language keeps them or the word has none. Valid until the next call of this.
  std::string_view unaccented(std::string_view word);
  // Without diacritics where the language folds them.
  std::string folded(std::string_view word) const;

 private:
  // Stems of words seen lately: each word has one place, and the last one there stays.
  struct Known {
    unsigned char word_size = 0, stem_size = 0;
    std::array<char, 23> word, stem;
  };
  struct Delete {
    void operator()(sb_stemmer* stemmer) const;
  };
  std::string_view stem(std::string_view word);
  bool is_stemmed(std::string_view word) const;

  const Language& language_;
  std::unique_ptr<sb_stemmer, Delete> stemmer_;
  std::vector<Known> known_;
  std::string prepared_, result_, unaccented_;
};

}  // namespace stoa::data
