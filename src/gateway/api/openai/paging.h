// Cursor pages of listings: ?limit=20&after=<id>&order=desc, and {"object": "list", data, first_id, last_id, has_more}.
#pragma once

#include <string>

#include "base/json.h"
#include "data/sources/catalog.h"
#include "infra/http/message.h"

namespace stoa::gateway::openai {

// Errors: kInvalidArgument with the query parameter's name. `max` bounds limit.
Result<data::PageRequest> parse_page(const infra::HttpRequest& request, std::size_t max = 100);

// `items` are objects that carry an "id".
JsonObject page_json(JsonArray items, bool more);

}  // namespace stoa::gateway::openai
