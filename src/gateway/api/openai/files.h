// /v1/files: upload, list, show, delete, content.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

Status register_files(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
