// What an answer has to look like, as the wire says it: response_format, text.format, and the fields that vLLM adds.
#pragma once

#include <optional>

#include "contracts/chat.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::openai {

// `format` is an object with `type`: text, json_object or json_schema. The schema stands under `json_schema` (chat), or beside the type
// (responses: `flat`). Nothing for text.
Result<std::optional<AnswerConstraint>> parse_format(const Fields& format, bool flat);

// guided_json, guided_regex, guided_choice, guided_grammar and guided_json_object, or the same in `structured_outputs` without the prefix.
Result<std::optional<AnswerConstraint>> parse_guided(const Fields& body);

// Chat: `response_format` or the guided fields, not both.
Result<std::optional<AnswerConstraint>> parse_chat_constraint(const Fields& body);

}  // namespace stoa::gateway::openai
