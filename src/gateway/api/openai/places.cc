#include "gateway/api/openai/places.h"

#include <fmt/ranges.h>

#include "infra/http/url.h"

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

std::string place_url(const std::string& base, const Passage& passage) {
  std::string url = base + "/v1/files/" + wire_file_id(passage) + "/content";
  if (!passage.anchor.empty()) return url + "#" + infra::percent_encode(passage.anchor);
  if (passage.page > 0) return fmt::format("{}#page={}", url, passage.page);
  return url;
}

}  // namespace stoa::gateway::openai
