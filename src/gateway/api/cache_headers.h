// What a cache had of an answer, in the head of the response.
#pragma once

#include "contracts/cache_note.h"
#include "infra/http/message.h"

namespace stoa::gateway {

// x-stoa-cache: hit, semantic, shared or miss; with the key, and of what was found the request that it was made for and the similarity.
void add_cache_headers(infra::HttpHeaders& headers, const CacheNote::State& state);

}  // namespace stoa::gateway
