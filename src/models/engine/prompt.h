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
#include "models/tools/tool_format.h"
#include "models/tools/tool_prompt.h"

namespace stoa::models {

struct Prompt {
  std::vector<std::int32_t> tokens;
  Reasoning reasoning = Reasoning::kNone;  // whether the answer begins inside it, or may; for raw prompts, too, where nothing is split off
};

// Immutable: any number of threads may use one object.
//
// A control token ("<|im_end|>") that stands in the content of a message is text, not control: only the template may open and
// close turns, so that nobody can put words into another role's mouth. A raw prompt is the caller's own: there they count; but not around a gap
// that is to be filled, for code may well speak of them.
class PromptBuilder {
 public:
  // `tokenizer` outlives the builder. `source` is the model's chat template, empty when it has none; one that does not parse
  // fails the requests that need it, not the model. `tool_pattern` tells models whose template knows no tools of them (models/tools:
  // write_out_tools); empty: requests with tools fail there.
  PromptBuilder(const Tokenizer& tokenizer, std::string_view source, std::string tool_pattern);

  // Errors: kInvalidArgument (nothing to answer, or the template refuses; tools that are no JSON), kUnsupported (no template, no tools, no filling in).
  Result<Prompt> build(const ChatRequest& request) const;
  // How this model writes tool calls.
  ToolFormat tool_format() const { return known_format_.value_or(ToolFormat::kHermes); }

 private:
  Status add_gap(const ChatRequest& request, std::vector<std::int32_t>& out) const;
  Result<std::string> render(const ChatRequest& request) const;
  Result<ChatMessage> disarmed(const ChatMessage& message) const;
  Result<std::string> disarm_json(std::string_view json) const;
  std::string disarm(std::string_view content) const;
  std::size_t control_at(std::string_view text, std::int32_t& token) const;
  void encode(std::string_view text, std::vector<std::int32_t>& out) const;

  const Tokenizer& tokenizer_;
  Result<ChatTemplate> template_;
  std::optional<ToolFormat> known_format_;  // by the template
  std::optional<ToolWriting> writing_;      // where the template does not write tools
  std::vector<std::pair<std::string, std::int32_t>> controls_;  // text and id, longest first
  std::bitset<256> first_bytes_;                                // of their texts: most positions of a text need no more than this
};

}  // namespace stoa::models
