// Other phrasings of a search's query, by a generating model.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/retrieve/query_rewriter.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// How a model is asked for them. The values are data: share/prompts.yaml, section `rewrite`.
struct RewriteSettings {
  std::string system;        // system message
  std::string user;          // {count}, {query}
  int query_bytes = 1000;    // of the query; what is longer is cut
  int phrasing_tokens = 32;  // for each phrasing
  int seconds = 15;          // a model that takes longer is left
  double temperature = 0.5;
};

// Reads the section; `name` stands for the file in errors. kInvalidArgument names a missing or unknown key, or a value out of range.
Result<RewriteSettings> parse_rewrite_settings(std::string_view yaml, std::string_view name);

// The phrasings in what a model said: one a line, without numbers, bullets and quotation marks before and around it; at most `count`, of at most 300 bytes, none twice (whatever
// the case of its letters) and none the query.
std::vector<std::string> phrasings_of(std::string_view said, std::string_view query, std::size_t count);

// The same query gets the same phrasings while the model is the same. Thread-safe.
class ModelRewriter : public data::QueryRewriter {
 public:
  // `generator` outlives the object; `model`: its name, which the cost is booked under.
  ModelRewriter(RewriteSettings settings, models::Generator& generator, std::string model) : settings_(std::move(settings)), generator_(generator), model_(std::move(model)) {}

  Result<data::Rewriting> rewrite(const Call& call, const std::string& query, std::size_t count) override;
  Usage estimate(const std::string& query, std::size_t count) const override;
  std::string model() const override { return model_; }

 private:
  ChatRequest prompt(const std::string& query, std::size_t count) const;

  const RewriteSettings settings_;
  models::Generator& generator_;
  const std::string model_;
};

}  // namespace stoa::gateway
