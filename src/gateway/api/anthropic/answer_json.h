// Answers of the Messages dialect: whole, and as the events of a stream.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateway/api/generation.h"

namespace stoa::gateway::anthropic {

struct MessageHead {
  std::string id;         // "msg_..."
  std::string model;
  int priority = 0;
  bool thinking = false;  // reasoning is shown
};

// The blocks of an answer stand in the order thinking, text, tool_use. A call that the token limit cut off is left out, since its input is no object.
// kUnavailable for a complete call whose arguments are no object: the model's place does not keep to the protocol.
Result<JsonObject> message_json(const MessageHead& head, const Choice& answer, const UsageReport& usage);
// A whole answer of blocks that are there already.
JsonObject message_json(const MessageHead& head, JsonArray content, const UsageReport& usage);
// `citations` (documents.h) may be empty.
JsonObject text_block(std::string_view text, JsonArray citations = {});

// The events of one answer, in the order of the protocol: message_start, ping, the blocks, each from its start to its stop, message_delta. The caller
// sends message_stop, or the error. One thread at a time.
class MessageEvents {
 public:
  using Send = std::function<bool(std::string_view type, const JsonObject& event)>;  // false: the client has gone
  MessageEvents(MessageHead head, std::int64_t prompt_tokens, Send send) : head_(std::move(head)), prompt_tokens_(prompt_tokens), send_(std::move(send)) {}

  bool add(const ChatDelta& delta);
  bool add_cited(std::string_view text, JsonArray citations);  // a text block of its own
  bool end(FinishReason finish, const std::string& stop, const UsageReport& usage);  // `stop` as ChatOutcome::stop
  const std::string& text() const { return text_; }  // of all text blocks so far

 private:
  enum class Block { kNone, kThinking, kText, kToolUse };

  bool begin();
  bool send(std::string_view type, JsonObject event) const;
  bool open(Block kind, JsonObject block);
  bool close();
  bool piece(std::string_view type, std::string_view key, std::string_view text);
  bool ping();

  const MessageHead head_;
  const std::int64_t prompt_tokens_;
  const Send send_;
  bool begun_ = false;
  Block block_ = Block::kNone;  // that is open
  int index_ = -1;              // of the last block
  int hidden_ = 0;              // pieces of reasoning that are not shown, since the last ping
  std::string text_;
};

}  // namespace stoa::gateway::anthropic
