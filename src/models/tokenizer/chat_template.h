// Chat templates: the Jinja program a model file carries, run by a bounded interpreter of the subset such templates use.
// Language and whitespace rules follow Jinja 2 as Hugging Face sets it up (trim_blocks, lstrip_blocks, loop controls).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "contracts/chat.h"

namespace stoa::models {

struct TemplateInput {
  std::span<const ChatMessage> messages;
  bool add_generation_prompt = true;  // end with the opening of the assistant's turn
  std::string bos_token;              // text of the tokens; empty where the tokenizer adds them itself
  std::string eos_token;
  std::string tools_json;             // a JSON array of tool definitions; empty: `tools` is none
  std::string extra_json;             // a JSON object of further variables (for example enable_thinking); empty: none
  Micros now = 0;                     // what strftime_now() tells, UTC
};

struct TemplateLimits {
  std::size_t max_source_bytes = 1u << 20;
  std::size_t max_output_bytes = 64u << 20;  // also bounds every string and list made on the way
  std::size_t max_steps = 20'000'000;        // evaluated nodes
  std::size_t max_depth = 100;               // nesting of source constructs, and of calls and values at run time
};

class JinjaTemplate;

// Immutable after parse; any number of threads may render at once.
class ChatTemplate {
 public:
  // Errors: kInvalidArgument (syntax), kUnsupported (a construct outside the subset), kTooLarge; each names the line.
  static Result<ChatTemplate> parse(std::string source, const TemplateLimits& limits = {});

  // Errors: kInvalidArgument (raise_exception's message, wrong types, undefined values), kUnsupported, kTooLarge (a limit).
  Result<std::string> render(const TemplateInput& input) const;

  const std::string& source() const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

 private:
  explicit ChatTemplate(std::unique_ptr<const JinjaTemplate> program);
  std::unique_ptr<const JinjaTemplate> program_;
};

}  // namespace stoa::models
