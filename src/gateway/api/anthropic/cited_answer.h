// Answers to messages whose documents are to be cited: made from the documents' passages, each sentence checked against them (gateway/grounding).
#pragma once

#include "gateway/api/anthropic/messages.h"
#include "gateway/api/anthropic/messages_json.h"

namespace stoa::gateway::anthropic {

// Whole, or streamed: then nothing is returned.
Result<std::optional<infra::HttpResponse>> answer_with_citations(const Dependencies& dependencies, RequestScope& scope, MessageCall call);

}  // namespace stoa::gateway::anthropic
