#include "gateway/api/openai/dependencies.h"

#include "gateway/api/openai/batches.h"
#include "gateway/api/openai/chat.h"
#include "gateway/api/openai/completions.h"
#include "gateway/api/openai/embeddings.h"
#include "gateway/api/openai/files.h"
#include "gateway/api/openai/models.h"
#include "gateway/api/openai/rerank.h"
#include "gateway/api/openai/responses.h"
#include "gateway/api/openai/uploads.h"
#include "gateway/api/openai/vector_stores.h"

namespace stoa::gateway::openai {

Status register_openai(infra::Router& router, const Dependencies& dependencies) {
  for (const auto family : {register_models, register_chat, register_completions, register_embeddings, register_rerank, register_files, register_vector_stores,
                            register_responses, register_batches, register_uploads})
    STOA_CHECK(family(router, dependencies));
  return {};
}

}  // namespace stoa::gateway::openai
