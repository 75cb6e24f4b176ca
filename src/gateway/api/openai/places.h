// Where a passage stands, on the wire: which file, and the place in it that can be opened.
#pragma once

#include <string>

#include "base/json.h"
#include "contracts/retrieval.h"

namespace stoa::gateway::openai {

// What the dialect calls a document: its file's id, or its own when it did not come through the files API.
std::string wire_file_id(const std::string& file_id, const std::string& document_id);
inline std::string wire_file_id(const Passage& passage) { return wire_file_id(passage.file_id, passage.document_id); }

// "ch-source.html".
std::string file_name(const Passage& passage);
// Adds document_id, title, section, anchor and page.
void add_place(JsonObject& out, const Passage& passage);

}  // namespace stoa::gateway::openai
