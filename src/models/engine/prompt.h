// From a request's messages or raw prompt to the tokens the model reads.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"
#include "models/tokenizer/chat_template.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

// Immutable: any number of threads may use one object.
//
// A control token ("<|im_end|>") that stands in the content of a message is text, not control: only the template may open and
// close turns, so that nobody can put words into another role's mouth. A raw prompt is the caller's own: there they count.
class PromptBuilder {
 public:
  // `tokenizer` outlives the builder. `source` is the model's chat template, empty when it has none; one that does not parse
  // fails the requests that need it, not the model.
  PromptBuilder(const Tokenizer& tokenizer, std::string_view source);

  // Errors: kInvalidArgument (nothing to answer, or the template refuses), kUnsupported (no template).
  Result<std::vector<std::int32_t>> tokens(const ChatRequest& request) const;

 private:
  std::string disarm(std::string_view content) const;
  std::size_t control_at(std::string_view text, std::int32_t& token) const;
  void encode(std::string_view text, std::vector<std::int32_t>& out) const;

  const Tokenizer& tokenizer_;
  Result<ChatTemplate> template_;
  std::vector<std::pair<std::string, std::int32_t>> controls_;  // text and id, longest first
  std::bitset<256> first_bytes_;                                // of their texts: most positions of a text need no more than this
};

}  // namespace stoa::models
