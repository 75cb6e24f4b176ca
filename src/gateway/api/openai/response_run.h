// One run of POST /v1/responses: history, search, answer, record.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/api/openai/dependencies.h"
#include "gateway/api/openai/responses_events.h"
#include "gateway/api/sse_stream.h"
#include "gateway/grounding/answerer.h"
#include "gateway/grounding/aside.h"

namespace stoa::gateway::openai {

// Lives on the handler's stack.
class ResponseRun {
 public:
  ResponseRun(const Dependencies& dependencies, RequestScope& scope, ResponseCall call);

  Reply run();

 private:
  Status prepare();                   // model, rights, history
  Status answer();                    // search and generation into record_
  Status answer_from_documents();
  Status answer_from_model();
  Status search(const SearchText& text);
  Result<GroundedAnswer> grounded(GroundingRequest& request);  // searches and answers
  Status charge_asides();             // of an answer that failed
  Status fit(ChatRequest& request);   // truncation
  void note(const GroundedAnswer& answer);  // how it came about, in the response and in its record
  void cite(const GroundedAnswer& answer);
  bool say(std::string_view text);
  bool hear(const ChatDelta& delta);  // the same for a piece with calls
  bool call_tool(const ToolCallDelta& delta);
  bool end_call();
  Status finish(const GenerationOutcome& outcome, FinishReason finish);
  Status begin_events();
  Status store();

  const Dependencies& dependencies_;
  RequestScope& scope_;
  ResponseCall call_;
  std::shared_ptr<models::Generator> generator_;  // null: quote
  std::vector<ChatCharge> asides_;                // what short questions took before the answer
  std::vector<ChatMessage> history_;
  ResponseRecord record_;
  std::vector<Passage> passages_;
  SseStream stream_;
  ResponseEvents events_;
  bool begun_ = false;
};

}  // namespace stoa::gateway::openai
