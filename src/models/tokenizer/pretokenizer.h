// How byte-level BPE families cut text into words before merging. Each family is defined by a regular expression over Unicode
// categories; the cutters here are written by hand from those expressions, which are quoted beside them, and work in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "models/tokenizer/unicode_table.h"

namespace stoa::models {

enum class PreTokenizer : std::uint8_t {
  kNone,         // no cutting
  kGpt2,         // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kSmolLm,       // each \p{N} alone, then as kGpt2 (also starcoder, refact, command-r)
  kLlama3,       // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kQwen2,        // as kLlama3 with \p{N} alone
  kTekken,       // [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
                 //   with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  kGpt4o,        // as kTekken with (?i:'s|'t|'re|'ve|'m|'ll|'d)? after each word, and \p{N}{1,3}
  kDeepSeek3,    // \p{N}{1,3}, then [一-龥぀-ゟ゠-ヿ]+, then [ascii punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
                 //   ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kDeepSeekLlm,  // [\r\n], then \s?L+ of cased letters, \s?P+ of listed punctuation, \s+$, CJK and Hangul runs, \p{N}+
};

// The family that tokenizer.ggml.pre names; nothing for a name that is not read.
std::optional<PreTokenizer> pre_tokenizer_of_gguf(std::string_view name);
// The family of a Split regular expression in a tokenizer.json; nothing for another expression.
std::optional<PreTokenizer> pre_tokenizer_of_regex(std::string_view regex);

// Writes the end offset of each word of `text` (valid UTF-8) into `ends`, ascending, the last one text.size().
void split_words(PreTokenizer family, const UnicodeTable& table, std::string_view text, std::vector<std::size_t>& ends);

}  // namespace stoa::models
