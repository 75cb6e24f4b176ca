// /v2: the Open Inference Protocol over every model: server and model metadata, readiness, infer (text to text, embeddings or scores), generate, generate_stream.
#pragma once

#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::oip {

// References outlive the server; so does this struct, which the routes refer to.
struct Dependencies {
  const Pipeline& pipeline;
  const openai::ServedModels& models;
  std::string version;  // of the program
};

// {"error": "..."}: all that clients of this protocol read.
infra::HttpResponse error_response(const Error& error, std::string_view request_id = {});
bool is_ours(std::string_view path);
infra::HttpResponse render_http_error(const infra::HttpRequest& request, int status, const Error& error);

// Errors: those of Router::add.
Status register_inference(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::oip
