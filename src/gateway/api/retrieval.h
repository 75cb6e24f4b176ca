// Searches of requests, whichever dialect they came through: done, paid and recorded in one place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/retrieve/retriever.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway {

struct SearchOrder {
  std::vector<std::string> collections;
  std::string query;
  data::SearchOptions options;
};

// Searches, and enters that into the audit log before anything of it can be shown: who looked for what (a digest), how, where, and which documents came out, or why it was
// refused. A rewriting model has been permitted, and its work is charged to what the scope has reserved. Errors: those of Retriever::retrieve and of the audit log.
Result<data::Findings> retrieve(RequestScope& scope, data::Retriever& retriever, const SearchOrder& order);

struct PaidSearch {
  data::Findings findings;
  std::int64_t compute_micros = 0;  // of the search, without its rewriting
};
// A request that is a search and nothing else: permitted, reserved as `model` (the embedder's name, or what stands for it), done, recorded and settled. Whoever asks for
// rewriting must be allowed to use its model.
Result<PaidSearch> search_and_settle(RequestScope& scope, data::Retriever& retriever, const std::string& model, const SearchOrder& order);

}  // namespace stoa::gateway
