// How searches are asked for in JSON, and what a collection says of how it is searched where a search does not.
#pragma once

#include <span>
#include <string>

#include "data/retrieve/retriever.h"
#include "gateway/api/fields.h"

namespace stoa::gateway {

// Sets of `options` what the fields say: mode, fusion, text_weight, rerank, min_score, diversity, decay, context.
Status read_search_options(const Fields& body, data::SearchOptions& options);

// These fields as a collection keeps them (CollectionSettings::search). kInvalidArgument: other fields, or what this server cannot do.
Result<std::string> search_defaults(const JsonObject& body, const data::SearchMeans& means);

// What a search of these collections begins with: `plain`, but for what all of them say alike and this server can do. Where they cannot be read nothing is said: the search
// tells why.
data::SearchOptions first_options(const Call& call, data::Retriever& retriever, std::span<const std::string> collections, const data::SearchOptions& plain = {});

}  // namespace stoa::gateway
