// Unicode normalisation and case, from ICU: what some vocabularies apply to text before they look at it.
#pragma once

#include <string>
#include <string_view>

#include "models/tokenizer/unicode_table.h"

namespace stoa::models {

// False when `text` (valid UTF-8) is in NFC already, which is decided quickly; otherwise writes the composed text to `out`.
bool to_nfc(std::string_view text, std::string& out);

// What a BERT vocabulary does to text, as Hugging Face's BertNormalizer has it.
struct BertRules {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};
std::string normalize_bert(std::string_view text, const BertRules& rules, const UnicodeTable& table);

}  // namespace stoa::models
