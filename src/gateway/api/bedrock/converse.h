// POST /model/{modelId}/converse, /converse-stream and /count-tokens: the dialect of Amazon Bedrock's Converse, over any model that generates text.
#pragma once

#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::bedrock {

// References outlive the server; so does this struct, which the routes refer to.
struct Dependencies {
  const Pipeline& pipeline;
  const openai::ServedModels& models;
};

// Errors: those of Router::add.
Status register_converse(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::bedrock
