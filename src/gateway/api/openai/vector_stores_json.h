// Vector stores, their files and search: the wire's JSON <-> data/sources and data/retrieve.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/retrieve/retriever.h"
#include "data/sources/catalog.h"
#include "gateway/api/openai/file_store.h"
#include "gateway/api/openai/filter_json.h"
#include "gateway/api/retrieval.h"

namespace stoa::gateway::openai {

struct AttachRequest {
  std::string file_id;
  data::Attributes attributes;
  std::optional<int> max_chunk_tokens;
};
struct NewVectorStore {
  data::CollectionSpec spec;
  std::vector<AttachRequest> files;
};
Result<NewVectorStore> parse_new_store(const JsonObject& body);
Result<data::CollectionChange> parse_store_change(const JsonObject& body);
Result<AttachRequest> parse_attach(const JsonObject& body);
Result<std::vector<AttachRequest>> parse_file_batch(const JsonObject& body);
Result<SearchOrder> parse_search(const JsonObject& body, data::SearchOptions first = {});  // the store is named by the path; `first` is what it says of searches

JsonObject store_json(const data::Collection& collection);
JsonObject store_file_json(const data::Document& document);
JsonObject batch_json(const FileBatch& batch, const data::DocumentCounts& counts);
JsonObject search_result_json(const Passage& passage, const data::Attributes& attributes);
JsonObject search_page_json(const std::vector<std::string>& queries, JsonArray results);
JsonObject deleted_json(std::string_view id, std::string_view object);

}  // namespace stoa::gateway::openai
