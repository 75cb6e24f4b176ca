// /v1/responses: create (whole or streamed), show, delete, input items.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_responses(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
