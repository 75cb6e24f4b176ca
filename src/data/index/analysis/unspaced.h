// Words of scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), as ICU's dictionaries have them: for comparing
// texts, where a word is to be what it means. An index takes pairs of ideographs, which no dictionary can miss.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::data {

// How many bytes of `text` from its beginning are in such scripts, with the punctuation between and around their words; 0 when none are.
std::size_t unspaced_prefix(std::string_view text);

// The words of such a text, folded as those of an Analyzer are (full-width digits are digits).
std::vector<std::string> unspaced_words(std::string_view text);

}  // namespace stoa::data
