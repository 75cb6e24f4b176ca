#include "gateway/api/openai/vector_stores.h"

#include <algorithm>

#include "base/id.h"
#include "gateway/api/openai/paging.h"
#include "gateway/api/openai/places.h"
#include "gateway/api/openai/vector_stores_json.h"
#include "gateway/api/retrieval.h"
#include "gateway/api/search_json.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

std::string store_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

Result<data::Document> attach_one(const Dependencies& d, RequestScope& scope, const std::string& store, const AttachRequest& wanted) {
  STOA_TRY(file, d.files.find(scope.principal(), wanted.file_id));
  data::AttachSpec spec{.collection = store, .file_id = file.id, .filename = file.filename, .digest = file.digest, .bytes = file.bytes,
                        .content_type = file.content_type, .access = file.access, .attributes = wanted.attributes,
                        .max_chunk_tokens = wanted.max_chunk_tokens};
  return d.ingest.attach(scope.call(), spec);
}

Result<data::Document> document_of(const Dependencies& d, RequestScope& scope, const std::string& store, const std::string& id) {
  if (!is_id(id, "doc")) return d.catalog.document_of_file(scope.call(), store, id);
  STOA_TRY(document, d.catalog.document(scope.call(), id));
  if (document.collection != store) return fail(error(ErrorCode::kNotFound, "no file '{}' in vector store '{}'", id, store).with_param("file_id"));
  return std::move(document);
}

Reply create_store(const Dependencies& d, RequestScope& scope) {
  JsonObject body;
  if (!scope.request().body.empty()) {
    STOA_TRY(parsed, parse_body(scope.request().body));
    body = std::move(parsed);
  }
  STOA_TRY(wanted, parse_new_store(body));
  for (const AttachRequest& file : wanted.files) STOA_CHECK(d.files.find(scope.principal(), file.file_id));  // all or nothing
  STOA_TRY(created, d.catalog.create_collection(scope.call(), wanted.spec));
  for (const AttachRequest& file : wanted.files) STOA_CHECK(attach_one(d, scope, created.id, file));
  STOA_TRY(collection, d.catalog.collection(scope.call(), created.id));
  return ok_json(store_json(collection));
}

Reply list_stores(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(stores, d.catalog.collections(scope.call(), page));
  JsonArray items;
  for (const data::Collection& store : stores.items) items.emplace_back(store_json(store));
  return ok_json(page_json(std::move(items), stores.more));
}

Reply show_store(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(collection, d.catalog.collection(scope.call(), store_of(scope)));
  return ok_json(store_json(collection));
}

Reply change_store(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(change, parse_store_change(body));
  STOA_TRY(collection, d.catalog.change_collection(scope.call(), store_of(scope), change));
  return ok_json(store_json(collection));
}

Reply remove_store(const Dependencies& d, RequestScope& scope) {
  STOA_CHECK(d.catalog.remove_collection(scope.call(), store_of(scope)));
  d.ingest.resume();  // it deletes what the store had
  return ok_json(deleted_json(store_of(scope), "vector_store.deleted"));
}

Reply attach(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(wanted, parse_attach(body));
  STOA_TRY(document, attach_one(d, scope, store_of(scope), wanted));
  return ok_json(store_file_json(document));
}

Result<std::optional<data::DocumentStatus>> parse_status(const infra::HttpRequest& request) {
  const auto filter = request.query_param("filter");
  if (!filter) return std::nullopt;
  for (const auto status : {data::DocumentStatus::kInProgress, data::DocumentStatus::kCompleted, data::DocumentStatus::kFailed, data::DocumentStatus::kCancelled})
    if (data::to_string(status) == *filter) return status;
  return fail(error(ErrorCode::kInvalidArgument, "'filter' must be one of in_progress, completed, failed, cancelled").with_param("filter"));
}

Reply list_files(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(status, parse_status(scope.request()));
  if (!page.after.empty()) {  // the cursor is the id that the listing showed
    STOA_TRY(last, document_of(d, scope, store_of(scope), page.after));
    page.after = last.id;
  }
  STOA_TRY(documents, d.catalog.documents(scope.call(), store_of(scope), page, status));
  JsonArray items;
  for (const data::Document& document : documents.items) items.emplace_back(store_file_json(document));
  return ok_json(page_json(std::move(items), documents.more));
}

Result<data::Document> named_file(const Dependencies& d, RequestScope& scope) {
  return document_of(d, scope, store_of(scope), std::string(scope.request().path_param("file")));
}

Reply show_file(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(document, named_file(d, scope));
  return ok_json(store_file_json(document));
}

Reply change_file(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(attributes, parse_attributes(Fields(body)));
  STOA_TRY(document, named_file(d, scope));
  STOA_TRY(changed, d.catalog.set_attributes(scope.call(), document.id, attributes));
  return ok_json(store_file_json(changed));
}

Reply remove_file(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(document, named_file(d, scope));
  STOA_CHECK(d.catalog.remove_document(scope.call(), document.id));
  return ok_json(deleted_json(scope.request().path_param("file"), "vector_store.file.deleted"));
}

Reply file_content(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(document, named_file(d, scope));
  STOA_TRY(texts, d.catalog.document_text(scope.call(), document.id));
  JsonArray parts;
  for (const std::string& text : texts) {
    JsonObject part;
    part["type"] = "text";
    part["text"] = text;
    parts.emplace_back(std::move(part));
  }
  JsonObject out;
  out["object"] = "vector_store.file_content.page";
  out["file_id"] = wire_file_id(document.file_id, document.id);
  out["filename"] = document.path;
  out["attributes"] = attributes_json(document.attributes);
  out["data"] = std::move(parts);
  out["has_more"] = false;
  out["next_page"] = nullptr;
  return ok_json(out);
}

// The documents of a batch that are still there, and their sum.
Result<std::vector<data::Document>> batch_documents(const Dependencies& d, RequestScope& scope, const FileBatch& batch) {
  std::vector<data::Document> out;
  for (const std::string& file : batch.files) {
    auto document = d.catalog.document_of_file(scope.call(), batch.collection, file);
    if (document) out.push_back(std::move(*document));
    else if (document.error().code != ErrorCode::kNotFound) return fail(std::move(document).error());
  }
  return out;
}

data::DocumentCounts count(const std::vector<data::Document>& documents) {
  data::DocumentCounts counts;
  for (const data::Document& document : documents) {
    switch (document.status) {
      case data::DocumentStatus::kInProgress: ++counts.in_progress; break;
      case data::DocumentStatus::kCompleted: ++counts.completed; break;
      case data::DocumentStatus::kFailed: ++counts.failed; break;
      case data::DocumentStatus::kCancelled: ++counts.cancelled; break;
    }
    ++counts.total;
  }
  return counts;
}

Reply create_batch(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(wanted, parse_file_batch(body));
  std::vector<std::string> ids;
  for (const AttachRequest& file : wanted) {
    STOA_CHECK(d.files.find(scope.principal(), file.file_id));  // all or nothing
    ids.push_back(file.file_id);
  }
  for (const AttachRequest& file : wanted) STOA_CHECK(attach_one(d, scope, store_of(scope), file));
  STOA_TRY(batch, d.files.add_batch(scope.principal(), store_of(scope), std::move(ids)));
  STOA_TRY(documents, batch_documents(d, scope, batch));
  return ok_json(batch_json(batch, count(documents)));
}

Result<FileBatch> named_batch(const Dependencies& d, RequestScope& scope) {
  return d.files.batch(scope.principal(), store_of(scope), scope.request().path_param("batch"));
}

Reply show_batch(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, named_batch(d, scope));
  STOA_TRY(documents, batch_documents(d, scope, batch));
  return ok_json(batch_json(batch, count(documents)));
}

Reply list_batch_files(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(status, parse_status(scope.request()));
  STOA_TRY(batch, named_batch(d, scope));
  STOA_TRY(documents, batch_documents(d, scope, batch));
  std::ranges::sort(documents, [&](const auto& a, const auto& b) { return page.ascending ? a.id < b.id : a.id > b.id; });
  JsonArray items;
  bool reached = page.after.empty(), more = false;
  for (const data::Document& document : documents) {
    if (!reached) {
      reached = wire_file_id(document.file_id, document.id) == page.after;
      continue;
    }
    if (status && document.status != *status) continue;
    more = items.size() == page.limit;
    if (more) break;
    items.emplace_back(store_file_json(document));
  }
  return ok_json(page_json(std::move(items), more));
}

Reply search(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  const std::vector<std::string> stores{store_of(scope)};
  STOA_TRY(wanted, parse_search(body, first_options(scope.call(), d.retriever, stores)));
  wanted.collections = stores;
  auto done = search_and_settle(scope, d.retriever, d.embedder == nullptr ? "text-search" : d.embedder->model(), wanted);
  if (!done) {
    Error error = std::move(done).error();
    if (error.param == "rewrite") error.param = "rewrite_query";
    if (error.param == "queries") error.param = "query";
    return fail(std::move(error));
  }
  JsonArray results;
  for (const data::Found& found : done->findings.found) results.emplace_back(search_result_json(found.passage, found.attributes));
  return ok_json(search_page_json(done->findings.queries, std::move(results)));
}

}  // namespace

Status register_vector_stores(infra::Router& router, const Dependencies& d) {
  struct Entry {
    const char* method;
    const char* pattern;
    Action action;
    Reply (*handler)(const Dependencies&, RequestScope&);
  };
  constexpr Entry kEntries[] = {
      {"POST", "/v1/vector_stores", Action::kDocumentWrite, create_store},
      {"GET", "/v1/vector_stores", Action::kDocumentRead, list_stores},
      {"GET", "/v1/vector_stores/{id}", Action::kDocumentRead, show_store},
      {"POST", "/v1/vector_stores/{id}", Action::kDocumentWrite, change_store},
      {"DELETE", "/v1/vector_stores/{id}", Action::kDocumentWrite, remove_store},
      {"POST", "/v1/vector_stores/{id}/search", Action::kDocumentRead, search},
      {"POST", "/v1/vector_stores/{id}/files", Action::kDocumentWrite, attach},
      {"GET", "/v1/vector_stores/{id}/files", Action::kDocumentRead, list_files},
      {"GET", "/v1/vector_stores/{id}/files/{file}", Action::kDocumentRead, show_file},
      {"POST", "/v1/vector_stores/{id}/files/{file}", Action::kDocumentWrite, change_file},
      {"DELETE", "/v1/vector_stores/{id}/files/{file}", Action::kDocumentWrite, remove_file},
      {"GET", "/v1/vector_stores/{id}/files/{file}/content", Action::kDocumentRead, file_content},
      {"POST", "/v1/vector_stores/{id}/file_batches", Action::kDocumentWrite, create_batch},
      {"GET", "/v1/vector_stores/{id}/file_batches/{batch}", Action::kDocumentRead, show_batch},
      {"GET", "/v1/vector_stores/{id}/file_batches/{batch}/files", Action::kDocumentRead, list_batch_files},
  };
  for (const Entry& entry : kEntries) {
    STOA_CHECK(d.pipeline.route(router, entry.method, entry.pattern, entry.action, "vector store", error_response,
                                [&d, handler = entry.handler](RequestScope& scope) { return handler(d, scope); }));
  }
  return {};
}

}  // namespace stoa::gateway::openai
