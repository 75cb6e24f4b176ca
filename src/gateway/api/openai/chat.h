// POST /v1/chat/completions.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_chat(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
