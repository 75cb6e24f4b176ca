// POST /v1/messages and POST /v1/messages/count_tokens: the Anthropic dialect, over any model that generates text.
#pragma once

#include <string>

#include "data/index/embedder.h"
#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"
#include "gateway/batch/batch_desk.h"
#include "gateway/grounding/settings.h"

namespace stoa::gateway::anthropic {

// References outlive the server; so does this struct, which the routes refer to.
struct Dependencies {
  const Pipeline& pipeline;
  const openai::ServedModels& models;
  const BatchDesk* batches = nullptr;  // null: there are none
  std::string public_url{};            // "http://127.0.0.1:8080": put before the address of a batch's results
  const GroundingSettings* grounding = nullptr;  // of answers that cite documents; null: there are none
  data::Embedder* embedder = nullptr;  // for finding passages and checking answers; null: words only
};

// Messages, counting, and batches. Errors: those of Router::add.
Status register_messages(infra::Router& router, const Dependencies& dependencies);

// The header anthropic-version is any date, or absent: the dialect has one version. kInvalidArgument otherwise.
Status check_version(const infra::HttpRequest& request);

}  // namespace stoa::gateway::anthropic
