// Collections made anew (other words, other sizes of passages, another embedding model, beside what is searched), and how they are searched.
#include "gateway/api/admin/routes.h"
#include "gateway/api/search_json.h"

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
  STOA_TRY(model, body.text("embedding_model"));
  spec.language = std::move(language);
  spec.embedding_model = std::move(model);
  if (tokens) spec.chunk_tokens = static_cast<int>(*tokens);
  STOA_TRY(job, parts.ingest.reindex(scope.call(), spec));
  return infra::HttpResponse::json(201, dump_json(JsonObject{{"id", job}, {"object", "stoa.ingest_job"}, {"collection", spec.collection}}));
}

Reply set_search(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(text, search_defaults(body, parts.retriever.means()));
  data::CollectionChange change;
  change.search = std::move(text);
  STOA_TRY(changed, parts.catalog.change_collection(scope.call(), std::string(scope.request().path_param("id")), change));
  return ok_json({{"id", changed.id}, {"object", "stoa.collection_search"}, {"search", std::move(body)}});
}

}  // namespace

Status add_collection_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "collection");
  STOA_CHECK(routes.add("PUT", "/v1/stoa/collections/{id}/search", Action::kDocumentWrite, [&parts](RequestScope& scope) { return set_search(parts, scope); }));
  return routes.add("POST", "/v1/stoa/collections/{id}/reindex", Action::kDocumentWrite, [&parts](RequestScope& scope) { return reindex(parts, scope); });
}

}  // namespace stoa::gateway::admin
