// GET /v1/models and /v1/models/{id}.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_models(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
