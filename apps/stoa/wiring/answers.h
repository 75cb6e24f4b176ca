// Small joints between modules that do not know each other.
#pragma once

#include "base/metrics.h"
#include "contracts/call.h"
#include "gateway/api/admin/admin.h"
#include "gateway/api/openai/response_store.h"

namespace stoa::wiring {

// The question and the answer behind a stored response, for ratings. kNotFound for a response of somebody else.
Result<gateway::admin::AnsweredQuestion> answered_question(gateway::openai::ResponseStore& responses, const Call& call, const std::string& id);

// How busy the engine is, from the gauges that it keeps.
gateway::admin::EngineStatus engine_status(Metrics& metrics, const std::string& model, std::int64_t slots);

}  // namespace stoa::wiring
