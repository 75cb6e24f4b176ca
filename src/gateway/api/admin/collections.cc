// Collections made anew: other words, other sizes of passages, or another embedding model, beside what is searched.
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

Reply reindex(const AdminParts& parts, RequestScope& scope) {
  JsonObject object;
  if (!scope.request().body.empty()) {
    STOA_TRY(parsed, parse_body(scope.request().body));
    object = std::move(parsed);
  }
  const Fields body(object);
  data::ReindexSpec spec{.collection = std::string(scope.request().path_param("id"))};
  STOA_TRY(language, body.text("language"));
  STOA_TRY(tokens, body.integer("chunk_tokens", 0, 1'000'000));
  spec.language = std::move(language);
  if (tokens) spec.chunk_tokens = static_cast<int>(*tokens);
  STOA_TRY(job, parts.ingest.reindex(scope.call(), spec));
  return infra::HttpResponse::json(201, dump_json(JsonObject{{"id", job}, {"object", "stoa.ingest_job"}, {"collection", spec.collection}}));
}

}  // namespace

Status add_collection_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "collection");
  return routes.add("POST", "/v1/stoa/collections/{id}/reindex", Action::kDocumentWrite, [&parts](RequestScope& scope) { return reindex(parts, scope); });
}

}  // namespace stoa::gateway::admin
