// The port through which a search gets other phrasings of its query. Implemented above it, by gateway/rewriting.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"

namespace stoa::data {

struct Rewriting {
  std::vector<std::string> queries;  // at most as many as were asked for, none twice and none the query itself; may be empty
  Usage usage;                       // what it took of model()
};

// Thread-safe.
class QueryRewriter {
 public:
  virtual ~QueryRewriter() = default;
  // Up to `count` other phrasings of `query`. Errors: those of models::Generator.
  virtual Result<Rewriting> rewrite(const Call& call, const std::string& query, std::size_t count) = 0;
  // The most that rewrite() can take, for reservations.
  virtual Usage estimate(const std::string& query, std::size_t count) const = 0;
  virtual std::string model() const = 0;
};

}  // namespace stoa::data
