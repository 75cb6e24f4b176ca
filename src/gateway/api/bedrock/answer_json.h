// Answers of the Converse dialect: whole, and as the messages of an event stream.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateway/api/generation.h"

namespace stoa::gateway::bedrock {

// `tells_stop`: the stop sequence that ended it, if one did, is told in additionalModelResponseFields. The blocks stand in the order reasoningContent, text, toolUse. A call that
// the token limit cut off is left out, since its input is no object. kUnavailable for a complete call whose arguments are no object.
Result<JsonObject> answer_json(const Choice& answer, const UsageReport& usage, bool tells_stop);

// The events of one answer, in the order of the protocol: messageStart, the blocks, each until its stop; messageStop and metadata are made by the next two. One thread at a time.
class ConverseEvents {
 public:
  using Send = std::function<bool(std::string_view name, const JsonObject& payload)>;  // false: the client has gone
  explicit ConverseEvents(Send send) : send_(std::move(send)) {}

  bool add(const ChatDelta& delta);
  bool finish();                                   // closes what is open
  const std::string& text() const { return text_; }  // of all text blocks so far

 private:
  enum class Block { kNone, kReasoning, kText, kToolUse };
  bool begin();
  bool open(Block kind);
  bool piece(JsonObject delta);

  const Send send_;
  bool begun_ = false;
  Block block_ = Block::kNone;  // that is open
  int index_ = -1;              // of the last block
  std::string text_;
};

JsonObject stop_json(FinishReason finish, const std::string& stop, bool tells_stop);  // messageStop
JsonObject metadata_event(const UsageReport& usage);                                  // metadata, the last event

}  // namespace stoa::gateway::bedrock
