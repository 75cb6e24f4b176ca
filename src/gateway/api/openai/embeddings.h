// POST /v1/embeddings.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_embeddings(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
