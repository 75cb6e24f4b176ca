#include "gateway/api/openai/vector_stores_json.h"

#include <algorithm>

#include "gateway/api/openai/places.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxFiles = 500, kRewrites = 2;  // phrasings that rewrite_query asks for
constexpr int kMaxResults = 50;

Result<std::optional<int>> parse_expiry(const Fields& body) {
  STOA_TRY(object, body.object("expires_after"));
  if (object == nullptr) return std::nullopt;
  const Fields fields(*object, "expires_after");
  STOA_TRY(anchor, fields.required_text("anchor"));
  if (anchor != "last_active_at") return fields.wrong("anchor", "'last_active_at'");
  STOA_TRY(days, fields.integer("days", 1, 365));
  if (!days) return fields.wrong("days", "an integer from 1 to 365; it is required");
  return static_cast<int>(*days);
}

Result<std::optional<int>> parse_chunking(const Fields& body) {
  STOA_TRY(object, body.object("chunking_strategy"));
  if (object == nullptr) return std::nullopt;
  const Fields fields(*object, body.path("chunking_strategy"));
  STOA_TRY(type, fields.required_text("type"));
  if (type == "auto") return std::nullopt;
  if (type != "static") return fields.wrong("type", "'auto' or 'static'");
  STOA_TRY(inner, fields.object("static"));
  if (inner == nullptr) return fields.wrong("static", "an object; it is required");
  STOA_TRY(tokens, Fields(*inner, fields.path("static")).integer("max_chunk_size_tokens", 100, 4096));
  if (!tokens) return std::nullopt;
  return static_cast<int>(*tokens);
}

Result<AttachRequest> parse_one(const Fields& body) {
  AttachRequest out;
  STOA_TRY(id, body.required_text("file_id"));
  out.file_id = std::move(id);
  STOA_TRY(attributes, parse_attributes(body));
  out.attributes = std::move(attributes);
  STOA_TRY(tokens, parse_chunking(body));
  out.max_chunk_tokens = tokens;
  return out;
}

// file_ids with attributes and chunking for all of them.
Result<std::vector<AttachRequest>> parse_file_ids(const Fields& body) {
  std::vector<AttachRequest> out;
  STOA_TRY(ids, body.array("file_ids", kMaxFiles));
  STOA_TRY(attributes, parse_attributes(body));
  STOA_TRY(tokens, parse_chunking(body));
  for (std::size_t i = 0; ids != nullptr && i < ids->size(); ++i) {
    if (!(*ids)[i].is_string()) return body.wrong("file_ids", "a list of file ids");
    out.push_back({.file_id = std::string((*ids)[i].get_string()), .attributes = attributes, .max_chunk_tokens = tokens});
  }
  return out;
}

Json seconds_or_null(const std::optional<Micros>& time) { return time ? Json(*time / 1'000'000) : Json(nullptr); }

JsonObject counts_json(const data::DocumentCounts& counts) {
  JsonObject out;
  out["in_progress"] = counts.in_progress;
  out["completed"] = counts.completed;
  out["failed"] = counts.failed;
  out["cancelled"] = counts.cancelled;
  out["total"] = counts.total;
  return out;
}

// How it is searched where a search does not say.
JsonObject search_of(const data::CollectionSettings& settings) {
  auto parsed = settings.search.empty() ? Result<JsonObject>(JsonObject()) : parse_body(settings.search);
  return parsed ? std::move(*parsed) : JsonObject();
}

}  // namespace

Result<NewVectorStore> parse_new_store(const JsonObject& object) {
  const Fields body(object);
  NewVectorStore out;
  STOA_TRY(name, body.text_or("name", ""));
  out.spec.name = std::move(name);
  STOA_TRY(metadata, body.metadata());
  out.spec.metadata = std::move(metadata);
  STOA_TRY(days, parse_expiry(body));
  out.spec.expires_after_days = days;
  STOA_TRY(files, parse_file_ids(body));
  out.files = std::move(files);
  return out;
}

Result<data::CollectionChange> parse_store_change(const JsonObject& object) {
  const Fields body(object);
  data::CollectionChange out;
  STOA_TRY(name, body.text("name"));
  out.name = std::move(name);
  if (body.has("metadata")) {
    STOA_TRY(metadata, body.metadata());
    out.metadata = std::move(metadata);
  }
  if (object.contains("expires_after")) {
    STOA_TRY(days, parse_expiry(body));
    out.expires_after_days = days;
  }
  return out;
}

Result<AttachRequest> parse_attach(const JsonObject& object) { return parse_one(Fields(object)); }

Result<std::vector<AttachRequest>> parse_file_batch(const JsonObject& object) {
  const Fields body(object);
  STOA_TRY(files, body.array("files", kMaxFiles));
  if (files != nullptr && body.has("file_ids")) return body.wrong("files", "left out when 'file_ids' is given");
  STOA_TRY(out, parse_file_ids(body));
  for (std::size_t i = 0; files != nullptr && i < files->size(); ++i) {
    const std::string path = fmt::format("files[{}]", i);
    const JsonObject* file = (*files)[i].if_object();
    if (file == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    STOA_TRY(one, parse_one(Fields(*file, path)));
    out.push_back(std::move(one));
  }
  if (out.empty()) return body.wrong("file_ids", "a non-empty list of file ids; it is required");
  return std::move(out);
}

Result<SearchOrder> parse_search(const JsonObject& object, data::SearchOptions first) {
  const Fields body(object);
  SearchOrder out{.collections = {}, .query = {}, .options = std::move(first)};
  STOA_TRY(queries, body.texts("query", data::kMaxPhrasings));
  if (queries.empty()) return body.wrong("query", "a string or a non-empty list of strings; it is required");
  for (const std::string& query : queries)
    if (query.empty()) return body.wrong("query", "non-empty");
  out.query = queries.front();
  out.options.queries.assign(queries.begin() + 1, queries.end());
  out.options.context = data::Surroundings::kNone;
  STOA_TRY(limit, body.integer_or("max_num_results", 1, kMaxResults, 10));
  out.options.k = static_cast<std::size_t>(limit);
  if (out.options.rerank > 0) out.options.rerank = std::max(out.options.rerank, out.options.k);
  STOA_TRY(rewrite, body.flag_or("rewrite_query", false));
  if (rewrite) out.options.rewrite = std::min(kRewrites, data::kMaxPhrasings - queries.size());
  STOA_TRY(filters, body.object("filters"));
  if (filters != nullptr) {
    STOA_TRY(filter, parse_filter(*filters, "filters"));
    out.options.filter = std::move(filter);
  }
  STOA_TRY(ranking, body.object("ranking_options"));
  if (ranking != nullptr) {
    const Fields fields(*ranking, "ranking_options");
    STOA_TRY(threshold, fields.number_or("score_threshold", 0, 1, out.options.min_score));
    STOA_TRY(ranker, fields.text_or("ranker", "auto"));
    constexpr std::string_view kRankers[] = {"auto", "none", "default-2024-11-15", "default_2024_08_21"};  // all of them are the search's own order
    if (std::ranges::find(kRankers, ranker) == std::end(kRankers)) return fields.wrong("ranker", "'auto', 'none' or 'default-2024-11-15'");
    out.options.min_score = threshold;
  }
  return out;
}

JsonObject store_json(const data::Collection& collection) {
  JsonObject expiry, out;
  expiry["anchor"] = "last_active_at";
  expiry["days"] = collection.expires_after_days.value_or(0);
  out["id"] = collection.id;
  out["object"] = "vector_store";
  out["created_at"] = collection.created / 1'000'000;
  out["name"] = collection.name;
  out["usage_bytes"] = collection.counts.bytes;
  out["file_counts"] = counts_json(collection.counts);
  out["status"] = collection.expired ? "expired" : collection.counts.in_progress > 0 ? "in_progress" : "completed";
  out["expires_after"] = collection.expires_after_days ? Json(std::move(expiry)) : Json(nullptr);
  out["expires_at"] = seconds_or_null(collection.expires);
  out["last_active_at"] = collection.last_active / 1'000'000;
  out["metadata"] = metadata_json(collection.metadata);
  out["stoa"] = JsonObject{{"chunks", collection.counts.chunks}, {"language", collection.settings.language}, {"chunk_tokens", collection.settings.chunk_tokens},
                           {"embedding_model", collection.settings.embedding_model}, {"search", search_of(collection.settings)}};
  return out;
}

JsonObject store_file_json(const data::Document& document) {
  JsonObject last_error, stoa, chunking, out;
  last_error["code"] = document.error_code == ErrorCode::kInvalidArgument || document.error_code == ErrorCode::kDataLoss ? "invalid_file"
                       : document.error_code == ErrorCode::kUnsupported ? "unsupported_file" : "server_error";
  last_error["message"] = document.error;
  stoa["document_id"] = document.id;
  stoa["filename"] = document.path;
  stoa["title"] = document.title;
  stoa["chunks"] = document.chunks;
  stoa["access"] = document.access.key();
  chunking["type"] = "other";
  out["id"] = wire_file_id(document.file_id, document.id);
  out["object"] = "vector_store.file";
  out["created_at"] = document.created / 1'000'000;
  out["vector_store_id"] = document.collection;
  out["usage_bytes"] = document.bytes;
  out["status"] = data::to_string(document.status);
  out["last_error"] = document.status == data::DocumentStatus::kFailed ? Json(std::move(last_error)) : Json(nullptr);
  out["attributes"] = attributes_json(document.attributes);
  out["chunking_strategy"] = std::move(chunking);
  out["stoa"] = std::move(stoa);
  return out;
}

JsonObject batch_json(const FileBatch& batch, const data::DocumentCounts& counts) {
  JsonObject out;
  out["id"] = batch.id;
  out["object"] = "vector_store.files_batch";
  out["created_at"] = batch.created / 1'000'000;
  out["vector_store_id"] = batch.collection;
  out["status"] = counts.in_progress > 0 ? "in_progress" : "completed";
  out["file_counts"] = counts_json(counts);
  return out;
}

JsonObject search_result_json(const Passage& passage, const data::Attributes& attributes) {
  JsonObject part, out, stoa;
  part["type"] = "text";
  part["text"] = passage.text;
  JsonArray content;
  content.emplace_back(std::move(part));
  add_place(stoa, passage);
  out["file_id"] = wire_file_id(passage);
  out["filename"] = file_name(passage);
  out["score"] = passage.score;
  out["attributes"] = attributes_json(attributes);
  out["content"] = std::move(content);
  out["stoa"] = std::move(stoa);
  return out;
}

JsonObject search_page_json(const std::vector<std::string>& queries, JsonArray results) {
  JsonObject out;
  out["object"] = "vector_store.search_results.page";
  out["search_query"] = JsonArray(queries.begin(), queries.end());
  out["data"] = std::move(results);
  out["has_more"] = false;
  out["next_page"] = nullptr;
  return out;
}

JsonObject deleted_json(std::string_view id, std::string_view object) {
  JsonObject out;
  out["id"] = id;
  out["object"] = object;
  out["deleted"] = true;
  return out;
}

}  // namespace stoa::gateway::openai
