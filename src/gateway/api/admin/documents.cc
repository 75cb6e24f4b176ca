// Search with its reasons, and the documents behind citations.
#include "base/error_table.h"
#include "base/id.h"
#include "gateway/api/admin/routes.h"
#include "gateway/api/openai/filter_json.h"
#include "gateway/api/retrieval.h"
#include "gateway/api/search_json.h"
#include "governance/identity/oidc.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::size_t kMaxStores = 32;

struct SearchRequest {
  SearchOrder order;
  bool explain = false;
};

Status parse_options(const Fields& body, data::SearchOptions& out) {
  STOA_TRY(count, body.integer_or("max_num_results", 1, 50, 10));
  STOA_TRY(queries, body.texts("queries", data::kMaxPhrasings - 1));
  STOA_TRY(rewrite, body.integer_or("rewrite", 0, data::kMaxPhrasings - 1, 0));
  STOA_TRY(filters, body.object("filters"));
  if (filters != nullptr) {
    STOA_TRY(filter, openai::parse_filter(*filters, "filters"));
    out.filter = std::move(filter);
  }
  STOA_TRY(syntax, body.text("syntax"));
  if (syntax) {
    auto parsed = data::parse_query_syntax(*syntax);
    if (!parsed) return fail(std::move(parsed).error().with_param("syntax"));
    out.syntax = *parsed;
  }
  STOA_CHECK(read_search_options(body, out));
  out.k = static_cast<std::size_t>(count);
  out.queries = std::move(queries);
  out.rewrite = static_cast<std::size_t>(rewrite);
  if (out.rerank > 0) out.rerank = std::max(out.rerank, out.k);
  return {};
}

Result<SearchRequest> parse_search(const AdminParts& parts, const Call& call, const JsonObject& object) {
  const Fields body(object);
  SearchRequest search;
  STOA_TRY(query, body.required_text("query"));
  STOA_TRY(stores, body.texts("vector_store_ids", kMaxStores));
  if (stores.empty()) return body.wrong("vector_store_ids", "a list of at least one vector store's id");
  STOA_TRY(explain, body.flag_or("explain", false));
  search.order.options = first_options(call, parts.retriever, stores, {.context = data::Surroundings::kNone});
  STOA_CHECK(parse_options(body, search.order.options));
  search.order.query = std::move(query);
  search.order.collections = std::move(stores);
  search.explain = explain;
  return search;
}

std::string link(const AdminParts& parts, const Principal& reader, const std::string& document, const std::string& anchor, int page) {
  return parts.public_url + parts.links.path(reader, document, anchor, page);
}

JsonObject passage_json(const AdminParts& parts, const Principal& reader, const Passage& passage) {
  return {{"chunk_id", passage.chunk_id},
          {"document_id", passage.document_id},
          {"vector_store_id", passage.collection},
          {"file_id", passage.file_id},
          {"path", passage.path},
          {"title", passage.title},
          {"section", JsonArray(passage.section.begin(), passage.section.end())},
          {"anchor", passage.anchor},
          {"page", passage.page > 0 ? Json(passage.page) : Json(nullptr)},
          {"score", passage.score},
          {"text", passage.text},
          {"url", link(parts, reader, passage.document_id, passage.anchor, passage.page)}};
}

JsonObject standing_json(const SearchOrder& order, const data::Found& found, std::size_t queries) {
  const data::Standing& why = found.why;
  JsonObject out{{"fused", why.fused}, {"text", nullptr}, {"vector", nullptr}, {"rerank", nullptr}, {"decay", nullptr}, {"diversity", nullptr}};
  if (why.text_rank > 0) out["text"] = JsonObject{{"rank", why.text_rank}, {"score", why.text_score}};
  // A passage that only words found has its cosines all the same, and no rank.
  if (why.vector_rank > 0 || why.passage_cosine != 0)
    out["vector"] = JsonObject{{"rank", why.vector_rank > 0 ? Json(why.vector_rank) : Json(nullptr)}, {"passage", why.passage_cosine}, {"sentence", why.sentence_cosine}};
  if (why.relevance) out["rerank"] = JsonObject{{"relevance", *why.relevance}};
  if (why.aged)
    out["decay"] = JsonObject{{"age_seconds", why.aged->age.age / 1'000'000}, {"by", why.aged->age.by_attribute ? order.options.decay.attribute : "created"}, {"factor", why.aged->factor}};
  if (why.varied) out["diversity"] = JsonObject{{"rank", why.varied->rank}, {"likeness", why.varied->likeness}};
  if (queries > 1) {
    out["query"] = why.query;
    out["by_query"] = JsonArray(why.by_query.begin(), why.by_query.end());
  }
  const auto satisfied = data::satisfied_comparisons(order.options.filter, found.attributes);
  out["filter"] = JsonArray(satisfied.begin(), satisfied.end());
  out["readers"] = found.passage.readers;
  return out;
}

// What was searched for, and how.
JsonObject explained_json(const SearchOrder& order, const data::Findings& findings) {
  JsonArray queries;
  for (std::size_t i = 0; i < findings.queries.size(); ++i) queries.push_back(JsonObject{{"query", findings.queries[i]}, {"by", i < findings.asked ? "caller" : "model"}});
  JsonObject out{{"queries", std::move(queries)}, {"mode", data::search_mode_name(order.options.mode)}};
  if (!findings.rewriting_problem.empty()) out["rewrite_problem"] = findings.rewriting_problem;
  return out;
}

Reply search(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(search, parse_search(parts, scope.call(), body));
  STOA_TRY(done, search_and_settle(scope, parts.retriever, parts.search_model, search.order));
  JsonArray items;
  for (const data::Found& found : done.findings.found) {
    JsonObject item = passage_json(parts, scope.principal(), found.passage);
    if (search.order.options.context != data::Surroundings::kNone) item["context"] = found.passage.context;
    if (search.explain) item["explain"] = standing_json(search.order, found, done.findings.queries.size());
    items.push_back(std::move(item));
  }
  JsonObject out = list_json(std::move(items));
  out["took_ms"] = millis(done.compute_micros);
  const auto& problems = done.findings.filter_problems;
  if (!problems.empty()) out["filter_problems"] = JsonArray(problems.begin(), problems.end());
  if (search.explain) out["explain"] = explained_json(search.order, done.findings);
  return ok_json(out);
}

Reply document(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(found, parts.catalog.document(scope.call(), std::string(scope.request().path_param("id"))));
  return ok_json({{"id", found.id},
                  {"object", "stoa.document"},
                  {"vector_store_id", found.collection},
                  {"source", found.source},
                  {"path", found.path},
                  {"file_id", found.file_id},
                  {"title", found.title},
                  {"content_type", found.content_type},
                  {"digest", found.digest},
                  {"bytes", found.bytes},
                  {"chunks", found.chunks},
                  {"access", found.access.key()},
                  {"attributes", openai::attributes_json(found.attributes)},
                  {"status", data::to_string(found.status)},
                  {"error", found.status == data::DocumentStatus::kFailed ? Json(found.error) : Json(nullptr)},
                  {"created", to_rfc3339(found.created)},
                  {"url", link(parts, scope.principal(), found.id, "", 0)}});
}

// The original, for a browser. It may be anybody's HTML on the origin of the console, so it gets an origin of its own (sandbox),
// runs no script, loads nothing, and tells nobody its address, which carries the token.
infra::HttpResponse original(data::DocumentContent content) {
  std::string type = content.document.content_type;
  std::string policy = "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'";
  const bool pdf = type.starts_with("application/pdf");
  if (pdf) policy = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'none'";  // viewers of PDF do not start in a sandbox
  const bool html = type.starts_with("text/html") || type.starts_with("application/xhtml");
  if (!html && !pdf) type = "text/plain; charset=utf-8";
  infra::HttpResponse response;
  response.body = std::string(as_text(content.bytes));
  response.headers = {{"Content-Type", type},
                      {"Content-Security-Policy", policy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Cache-Control", "private, no-store"}};
  return response;
}

// `entry` gets what the audit log has to say.
Result<infra::HttpResponse> follow_link(const AdminParts& parts, const infra::HttpRequest& request, Call& call, governance::AuditEntry& entry) {
  const std::string id(request.path_param("id"));
  STOA_TRY(origin, origin_of(request));
  call.origin = std::move(origin);
  STOA_TRY(key, parts.links.open(id, request.query_param("token").value_or("")));
  STOA_TRY(reader, parts.oidc != nullptr && key.starts_with("user_") ? parts.oidc->holder(key) : parts.identity.holder(key));
  call.principal = std::move(reader);
  STOA_TRY(permit, parts.access.check(call, Action::kDocumentRead, governance::Resource::of(call.principal, "document", id)));
  entry.rule = permit.decision().rule;
  call.principal.scopes = {std::string(governance::action_name(Action::kDocumentRead))};  // a link opens one document and gives no other right
  STOA_TRY(content, parts.catalog.open_document(call, id));
  entry.documents = {{content.document.id, content.document.digest, 0}};
  return original(std::move(content));
}

// No key, so not the pipeline's path: the token says who reads. It is recorded like every other reading.
void open_document(const AdminParts& parts, const infra::HttpRequest& request, infra::Responder& responder) {
  Call call;
  call.request_id = new_id("req");
  call.cancel = responder.cancelled();
  call.deadline = Deadline::after(std::chrono::minutes(1));
  governance::AuditEntry details;
  auto response = follow_link(parts, request, call, details);
  infra::HttpResponse out = response ? std::move(*response) : openai::error_response(response.error());
  if (call.principal.id.empty()) {
    if (!response) parts.pipeline.count_stranger(call.origin.address, "GET " + request.path, response.error());
  } else {
    auto entry = governance::AuditEntry::of(call, governance::action_name(Action::kDocumentRead), "GET " + request.path);
    entry.rule = std::move(details.rule);
    entry.documents = std::move(details.documents);
    if (!response) entry.reason = error_info(response.error().code).name;
    if (!response) entry.outcome = response.error().code == ErrorCode::kPermissionDenied ? governance::Outcome::kDenied : governance::Outcome::kFailed;
    infra::JournalGroup group;
    if (const auto recorded = parts.pipeline.record(std::move(entry), group); !recorded) out = openai::error_response(recorded.error());
  }
  out.headers.set("x-request-id", call.request_id);
  responder.send(std::move(out));
}

}  // namespace

Status add_document_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "document");
  STOA_CHECK(routes.add("POST", "/v1/stoa/search", Action::kDocumentRead, [&parts](RequestScope& scope) { return search(parts, scope); }));
  STOA_CHECK(routes.add("GET", "/v1/stoa/documents/{id}", Action::kDocumentRead, [&parts](RequestScope& scope) { return document(parts, scope); }));
  return add_public_route(router, "GET", "/v1/stoa/documents/{id}/content", "the link's own token says who reads, and that reader is decided on",
                    [&parts](const infra::HttpRequest& request, infra::Responder& responder) { open_document(parts, request, responder); });
}

}  // namespace stoa::gateway::admin
