// POST /v1/rerank and /v2/rerank, in the shape that Cohere's and Jina's clients share.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_rerank(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
