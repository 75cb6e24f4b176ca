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
};

}  // namespace stoa::models
