// What the routes that give answers note in the record of one (governance/passport): the model with its parameters, and the grounds.
#pragma once

#include "gateway/api/openai/responses_json.h"
#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"
#include "gateway/grounding/answerer.h"
#include "gateway/grounding/settings.h"
#include "governance/passport/answer_record.h"

namespace stoa::gateway::openai {

std::int64_t code_points(std::string_view text);  // of valid UTF-8

// The model that is asked, and of a route what answers in the end. `request.model` need not be one of `models`: quoting answers without one. `models`
// outlives the scope.
void note_model(RequestScope& scope, const ServedModels& models, const ChatRequest& request);

// An answer's citations, in their order, without links.
std::vector<Annotation> annotations_of(const GroundedAnswer& answer);

// Passages, citations and how the answer was made from them; `annotations` stand for the answer's citations, in their order.
void note_grounds(governance::AnswerRecord& record, const GroundedAnswer& answer, const std::vector<Annotation>& annotations, const GroundingSettings& settings);

}  // namespace stoa::gateway::openai
