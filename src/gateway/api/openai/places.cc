#include "gateway/api/openai/places.h"

#include <fmt/ranges.h>

namespace stoa::gateway::openai {

std::string wire_file_id(const std::string& file_id, const std::string& document_id) { return file_id.empty() ? document_id : file_id; }

std::string file_name(const Passage& passage) { return passage.path.empty() ? passage.title : passage.path; }

void add_place(JsonObject& out, const Passage& passage) {
  out["document_id"] = passage.document_id;
  out["title"] = passage.title;
  out["section"] = fmt::format("{}", fmt::join(passage.section, " > "));
  out["anchor"] = passage.anchor;
  out["page"] = passage.page > 0 ? Json(passage.page) : Json(nullptr);
}

}  // namespace stoa::gateway::openai
