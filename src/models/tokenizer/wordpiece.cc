#include "models/tokenizer/wordpiece.h"

#include <algorithm>

namespace stoa::models {

void WordPiece::encode(std::string_view text, std::vector<TokenId>& out) const {
  const std::string clean = normalize_bert(text, options_.rules, table_);
  const std::string_view view = clean;
  std::string scratch;
  std::size_t start = 0;
  const auto finish = [&](std::size_t stop) {
    if (start < stop) word(view.substr(start, stop - start), scratch, out);
  };
  for (std::size_t at = 0; at < view.size();) {
    const auto rune = next_rune(view, at);
    const auto flags = table_.flags(rune.value);
    // BERT counts every ASCII sign as punctuation, also those Unicode calls symbols.
    const bool punctuation = (flags & unicode::kPunctuation) || (rune.value < 0x80 && (flags & unicode::kSymbol));
    const bool space = flags & unicode::kSpace;
    if (space || punctuation) {
      finish(at);
      start = at + rune.size;
      if (punctuation) word(view.substr(at, rune.size), scratch, out);
    }
    at += rune.size;
  }
  finish(view.size());
}

void WordPiece::word(std::string_view word, std::string& scratch, std::vector<TokenId>& out) const {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  const auto characters = static_cast<std::size_t>(std::ranges::count_if(word, [&](char c) { return !continues(c); }));
  const std::size_t before = out.size();
  const auto unknown = [&] {
    out.resize(before);
    if (vocabulary_.special.unk != kNoToken) out.push_back(vocabulary_.special.unk);
  };
  if (characters > options_.max_word_characters) return unknown();
  // The prefix of each look-up is written over bytes already matched, so that no piece is copied.
  const std::size_t room = std::max(options_.start_prefix.size(), options_.continuation_prefix.size());
  scratch.assign(room, ' ');
  scratch += word;
  for (std::size_t at = room; at < scratch.size();) {
    const auto& prefix = at == room ? options_.start_prefix : options_.continuation_prefix;
    std::copy(prefix.begin(), prefix.end(), scratch.begin() + static_cast<std::ptrdiff_t>(at - prefix.size()));
    TokenId found = kNoToken;
    std::size_t stop = scratch.size();
    while (stop > at) {
      found = vocabulary_.find(std::string_view(scratch).substr(at - prefix.size(), stop - at + prefix.size()));
      if (found != kNoToken) break;
      do --stop;
      while (stop > at && continues(scratch[stop]));
    }
    if (found == kNoToken) return unknown();
    out.push_back(found);
    at = stop;
  }
}

void WordPiece::append_bytes(TokenId id, std::string& out) const {
  const std::string_view text = vocabulary_.text(id);
  if (!options_.continuation_prefix.empty() && text.starts_with(options_.continuation_prefix)) {
    out += text.substr(options_.continuation_prefix.size());
  } else if (text.starts_with(options_.start_prefix)) {
    out += ' ';
    out += text.substr(options_.start_prefix.size());
  } else {
    out += text;
  }
}

}  // namespace stoa::models
