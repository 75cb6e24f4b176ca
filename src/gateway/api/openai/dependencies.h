// What the routes of the OpenAI dialect need, and the one call that adds them all.
#pragma once

#include <cstdint>
#include <string>

#include "data/retrieve/retriever.h"
#include "data/sources/catalog.h"
#include "data/sources/ingest.h"
#include "gateway/api/document_links.h"
#include "gateway/api/openai/file_store.h"
#include "gateway/api/openai/reply.h"
#include "gateway/api/openai/response_store.h"
#include "gateway/api/openai/served_models.h"
#include "gateway/api/openai/upload_store.h"
#include "gateway/api/pipeline.h"
#include "gateway/batch/batch_desk.h"
#include "gateway/grounding/settings.h"

namespace stoa::gateway::openai {

class BackgroundResponses;

// References outlive the server; so does this struct, which the routes refer to.
struct Dependencies {
  const Pipeline& pipeline;
  const ServedModels& models;
  data::Catalog& catalog;
  data::Ingest& ingest;
  data::Retriever& retriever;
  data::Embedder* embedder;  // for checking answers; null: words only
  FileStore& files;
  ResponseStore& responses;
  const DocumentLinks& links;  // what citations point to
  GroundingSettings grounding;
  std::string public_url;      // "http://127.0.0.1:8080": put before the links
  std::uint64_t max_upload = 512u << 20;
  const BatchDesk* batches = nullptr;  // null: there are none
  UploadStore* uploads = nullptr;      // null: files come whole
  BackgroundResponses* background = nullptr;  // null: callers wait for their responses
};

// Errors: those of Router::add.
Status register_openai(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
