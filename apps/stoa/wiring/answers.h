// Small joints between modules that do not know each other.
#pragma once

#include "contracts/call.h"
#include "gateway/api/admin/admin.h"
#include "gateway/api/openai/response_store.h"
#include "models/engine/local_generator.h"

namespace stoa::wiring {

// The question and the answer behind a stored response, for ratings. kNotFound for a response of somebody else.
Result<gateway::admin::AnsweredQuestion> answered_question(gateway::openai::ResponseStore& responses, const Call& call, const std::string& id);

}  // namespace stoa::wiring
