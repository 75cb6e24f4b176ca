// /v1/uploads: files that come in parts.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_uploads(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
