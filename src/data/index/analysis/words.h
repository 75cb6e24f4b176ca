// Cuts text into folded words. Internal to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/index/analysis/languages.h"

namespace stoa::data {

struct CutWord {
  std::string_view text;  // folded; valid until the next word
  std::uint32_t begin = 0, end = 0;  // bytes of the source
  bool shares_position = false;      // with the word before
};

class WordCutter {
 public:
  explicit WordCutter(const Language& language);
  ~WordCutter();
  WordCutter(WordCutter&&) noexcept;

  using Sink = std::function<void(const CutWord&)>;
  // With `is_query`, single characters of a run that has pairs are left out.
  void cut(std::string_view text, bool is_query, const Sink& sink);

 private:
  struct Unicode;  // what only text beyond ASCII needs, made when the first such comes
  void cut_ascii(std::string_view text, std::size_t from, std::size_t to, const Sink& sink);
  Unicode& unicode();

  const Language& language_;
  std::unique_ptr<Unicode> unicode_;
  std::string word_;
};

}  // namespace stoa::data
