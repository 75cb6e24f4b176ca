// /v1/vector_stores: stores, their files, batches of files, search.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_vector_stores(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
