// /v1/files: upload, list, show, delete, content.
#pragma once

#include "gateway/api/openai/dependencies.h"

namespace stoa::gateway::openai {

// As the wire has it.
JsonObject file_json(const StoredFile& file);
bool is_purpose(std::string_view text);  // that files may be uploaded for
std::string purposes_text();             // "one of assistants, ..."
bool is_file_name(std::string_view text);

Status register_files(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
