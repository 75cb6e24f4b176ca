// The two files a tokenizer comes from, as steps: used by load_gguf.cc and load_json.cc.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "models/formats/gguf.h"
#include "models/tokenizer/token_model.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tokenizer/vocabulary.h"

namespace stoa::models {

class TokenizerLoader {
 public:
  static Tokenizer make(std::unique_ptr<const Vocabulary> vocabulary, std::unique_ptr<const TokenModel> model) {
    return Tokenizer(std::move(vocabulary), std::move(model));
  }
  // BERT's way, [CLS] A [SEP] B [SEP], or RoBERTa's, <s> A </s></s> B </s> without token types, with the tokens around a single text.
  static PairFrame pair_frame(const Vocabulary& vocabulary, bool roberta) {
    PairFrame frame{vocabulary.prefix, vocabulary.suffix, vocabulary.suffix, roberta ? 0 : 1};
    if (roberta) frame.middle.insert(frame.middle.end(), vocabulary.suffix.begin(), vocabulary.suffix.end());
    return frame;
  }
};

}  // namespace stoa::models
