// POST /v1/messages and POST /v1/messages/count_tokens: the Anthropic dialect, over any model that generates text.
#pragma once

#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::anthropic {

// References outlive the server; so does this struct, which the routes refer to.
struct Dependencies {
  const Pipeline& pipeline;
  const openai::ServedModels& models;
};

// Errors: those of Router::add.
Status register_messages(infra::Router& router, const Dependencies& dependencies);

// The header anthropic-version is any date, or absent: the dialect has one version. kInvalidArgument otherwise.
Status check_version(const infra::HttpRequest& request);

}  // namespace stoa::gateway::anthropic
