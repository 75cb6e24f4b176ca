// POST /v1/completions.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_completions(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
