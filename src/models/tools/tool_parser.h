// Splits an answer, as it streams, into content, reasoning and tool calls.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "models/tools/call_scanner.h"
#include "models/tools/parameter_scanner.h"
#include "models/tools/tool_format.h"

namespace stoa::models {

struct ToolEvent {
  enum class Kind {
    kContent,    // `text` of the answer
    kReasoning,  // `text` of the reasoning, without its tags
    kCall,       // call number `call` begins; `text` is the tool's name
    kArguments,  // `text`: the next piece of the call's arguments, JSON
    kCallEnd,    // `whole` tells whether the call was complete
  };
  Kind kind = Kind::kContent;
  std::string text;
  int call = 0;
  bool whole = true;
  bool operator==(const ToolEvent&) const = default;
};

// What cannot be a call is content. Held back are only the bytes that may still become a marker, and a call until its name is known
// (CallScanner::kMaxHeld at most). One thread at a time.
class ToolParser {
 public:
  // Without a format only reasoning is split off. `forms` is for kParameters: without it values are JSON where they look like it.
  ToolParser(std::optional<ToolFormat> format, Reasoning reasoning, std::shared_ptr<const ParameterForms> forms = nullptr);

  // Takes the next piece of the answer and appends what became clear. Pieces may end anywhere, also inside a character.
  void push(std::string_view text, std::vector<ToolEvent>& out);
  // The answer is over: what was held back is appended.
  void finish(std::vector<ToolEvent>& out);

  int calls() const { return calls_; }
  // Whether there has been reasoning, and whether the next text may be.
  bool reasoned() const { return reasoned_; }
  bool may_reason() const { return at_ == At::kStart || at_ == At::kReasoning; }

 private:
  enum class At { kStart, kReasoning, kAfterReasoning, kContent, kOpening, kName, kCall, kBetween, kAfterList };

  // Each looks at the front of held_ and returns false when it needs more text.
  bool start(bool last);
  bool reasoning(std::vector<ToolEvent>& out, bool last);
  bool content(std::vector<ToolEvent>& out, bool last);
  bool opening();
  bool name(std::vector<ToolEvent>& out, bool last);
  bool call(std::vector<ToolEvent>& out);
  bool between(bool last);
  bool after_list(bool last);
  void run(std::vector<ToolEvent>& out, bool last);
  void emit(ToolEvent::Kind kind, std::string_view text, std::vector<ToolEvent>& out);
  void begin_calls(std::string_view marker);
  std::string unread() const { return opening_ + std::visit([](const auto& scanner) { return scanner.raw(); }, scanner_); }
  bool lists_calls() const { return format_ == ToolFormat::kMistral || format_ == ToolFormat::kTagged; }
  std::size_t skip_space(std::size_t from) const;

  std::optional<ToolFormat> format_;
  ReasoningTags tags_;
  std::shared_ptr<const ParameterForms> forms_;
  std::string_view marker_;     // opens calls; empty where no format is set
  At at_;
  bool reasoned_;
  bool plain_ = false;          // Llama 3: the answer began as text
  std::string opening_;         // what stood before the call that is being read: content again if it is none
  std::string held_;
  std::variant<CallScanner, ParameterScanner> scanner_;
  bool announced_ = false;
  int calls_ = 0;
};

// Counts the tokens of an answer that are reasoning, its tags included.
class ReasoningCounter {
 public:
  explicit ReasoningCounter(Reasoning kind) : parser_(std::nullopt, kind), open_(kind != Reasoning::kNone) {}

  // The bytes of the next token. Returns how many tokens are now known to be reasoning, beyond those known before.
  int push(std::string_view token);

 private:
  ToolParser parser_;
  std::vector<ToolEvent> events_;
  bool open_;
  int undecided_ = 0;  // tokens that may yet turn out to begin it
};

}  // namespace stoa::models
