#include "gateway/api/search_json.h"

#include <algorithm>
#include <array>

namespace stoa::gateway {
namespace {

constexpr std::array<std::string_view, 8> kFields{"mode", "fusion", "text_weight", "rerank", "min_score", "diversity", "decay", "context"};

// A text of a few names, by `parse`; the error names the field.
template <class Value>
Status read_name(const Fields& fields, std::string_view key, Result<Value> (*parse)(std::string_view), Value& out) {
  STOA_TRY(name, fields.text(key));
  if (!name) return {};
  auto value = parse(*name);
  if (!value) return fail(std::move(value).error().with_param(fields.path(key)));
  out = *value;
  return {};
}

Status read_decay(const Fields& body, data::Decay& out) {
  STOA_TRY(object, body.object("decay"));
  if (object == nullptr) return {};
  const Fields fields(*object, "decay");
  STOA_TRY(half_life, fields.required_text("half_life"));
  auto lasts = data::parse_half_life(half_life);
  if (!lasts) return fail(std::move(lasts).error().with_param(fields.path("half_life")));
  STOA_TRY(weight, fields.number_or("weight", 0, 1, data::Decay().weight));
  STOA_TRY(attribute, fields.text_or("attribute", ""));
  out = {*lasts, weight, std::move(attribute)};
  return {};
}

}  // namespace

Status read_search_options(const Fields& body, data::SearchOptions& options) {
  STOA_TRY(rerank, body.integer_or("rerank", 0, 100, static_cast<std::int64_t>(options.rerank)));
  STOA_TRY(min_score, body.number_or("min_score", 0, 1, options.min_score));
  STOA_TRY(diversity, body.number_or("diversity", 0, 1, options.diversity));
  if (body.has("text_weight")) {
    STOA_TRY(weight, body.number_or("text_weight", 0, 1, 0));
    options.text_weight = weight;
  }
  options.rerank = static_cast<std::size_t>(rerank);
  options.min_score = min_score;
  options.diversity = diversity;
  STOA_CHECK(read_name(body, "mode", data::parse_search_mode, options.mode));
  STOA_CHECK(read_name(body, "fusion", data::parse_fusion, options.fusion));
  STOA_CHECK(read_name(body, "context", data::parse_surroundings, options.context));
  return read_decay(body, options.decay);
}

Result<std::string> search_defaults(const JsonObject& body, const data::SearchMeans& means) {
  const Fields fields(body);
  for (const auto& [key, value] : body)
    if (std::ranges::find(kFields, std::string_view(key)) == kFields.end()) return fields.unsupported(key, "a collection keeps mode, fusion, text_weight, rerank, min_score, diversity, decay and context");
  data::SearchOptions options;
  STOA_CHECK(read_search_options(fields, options));
  STOA_CHECK(data::check_means(options, means));
  return body.empty() ? std::string() : dump_json(body);
}

data::SearchOptions first_options(const Call& call, data::Retriever& retriever, std::span<const std::string> collections, const data::SearchOptions& plain) {
  const auto settings = retriever.settings(call, collections);
  if (!settings || settings->empty() || settings->front().search.empty()) return plain;
  const auto alike = [&](const data::CollectionSettings& one) { return one.search == settings->front().search; };
  if (!std::ranges::all_of(*settings, alike)) return plain;
  const auto parsed = parse_body(settings->front().search);
  data::SearchOptions options = plain;
  if (!parsed || !read_search_options(Fields(*parsed), options)) return plain;
  const data::SearchMeans means = retriever.means();
  if (!means.reranker) options.rerank = 0;
  if (!means.embedder) options.diversity = 0;
  if (!means.embedder && options.mode == data::SearchMode::kVector) options.mode = data::SearchMode::kHybrid;
  return options;
}

}  // namespace stoa::gateway
