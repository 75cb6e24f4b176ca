#include "data/retrieve/search_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/utf8.h"
#include "data/index/sparse/query_syntax.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxQuery = 32'768, kMaxResults = 100, kMaxCollections = 100, kMaxAttribute = 64;
constexpr Micros kMinute = 60'000'000, kDay = 24 * 60 * kMinute, kYear = 365 * kDay;

std::unexpected<Error> wrong(std::string_view param, std::string message, std::string hint = {}) {
  Error why = error(ErrorCode::kInvalidArgument, "{}", message).with_param(std::string(param));
  return fail(hint.empty() ? std::move(why) : std::move(why).with_hint(std::move(hint)));
}

// One of the names, by its place.
template <class Value, std::size_t n>
Result<Value> named(const std::array<std::pair<std::string_view, Value>, n>& names, std::string_view name, std::string_view what, std::string_view use) {
  const auto found = std::ranges::find(names, name, [](const auto& one) { return one.first; });
  if (found != names.end()) return found->second;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not {}", to_valid_utf8(name.substr(0, 40)), what).with_hint(fmt::format("use {}", use)));
}

constexpr std::array<std::pair<std::string_view, SearchMode>, 3> kModes{{{"hybrid", SearchMode::kHybrid}, {"text", SearchMode::kText}, {"vector", SearchMode::kVector}}};

Status check_text(std::string_view param, const std::string& query) {
  if (!query.empty() && query.size() <= kMaxQuery && is_valid_utf8(query)) return {};
  return wrong(param, fmt::format("a query has 1 to {} bytes of UTF-8, this one has {}", kMaxQuery, query.size()));
}

Status check_phrasings(const std::string& query, const SearchOptions& options) {
  STOA_CHECK(check_text("query", query));
  for (const std::string& other : options.queries) STOA_CHECK(check_text("queries", other));
  if (options.queries.size() + 1 > kMaxPhrasings) return wrong("queries", fmt::format("{} phrasings: a search takes at most {}, the query included", options.queries.size() + 1, kMaxPhrasings));
  if (options.rewrite > 0 && options.rewrite + options.queries.size() + 1 > kMaxPhrasings)
    return wrong("rewrite", fmt::format("{} phrasings of a model beside {} of yours: together at most {}", options.rewrite, options.queries.size() + 1, kMaxPhrasings));
  if (options.syntax == QuerySyntax::kPlain) return {};
  if (options.mode == SearchMode::kVector) return wrong("syntax", "operators are about words, and the search is by meaning alone", "search in the mode hybrid or text");
  if (options.rewrite > 0) return wrong("syntax", "a model's phrasings of a query know no operators", "search without one of the two");
  Analyzer analyzer;
  const auto check = [&](std::string_view param, const std::string& text) -> Status {
    if (auto parsed = parse_query(text, analyzer); !parsed) return fail(std::move(parsed).error().with_param(std::string(param)));
    return {};
  };
  STOA_CHECK(check("query", query));
  for (const std::string& other : options.queries) STOA_CHECK(check("queries", other));
  return {};
}

Status check_order(const SearchOptions& options) {
  if (options.rerank > kMaxResults || (options.rerank > 0 && options.rerank < options.k))
    return wrong("rerank", fmt::format("{} passages to rerank: at least the {} that are asked for, and at most {}", options.rerank, options.k, kMaxResults));
  if (!(options.diversity >= 0 && options.diversity <= 1)) return wrong("diversity", fmt::format("diversity {}: from 0 to 1", options.diversity));
  if (options.text_weight && !(*options.text_weight >= 0 && *options.text_weight <= 1)) return wrong("text_weight", fmt::format("the weight {} of words: from 0 to 1", *options.text_weight));
  const Decay& decay = options.decay;
  if (decay.half_life != 0 && (decay.half_life < kMinute || decay.half_life > 100 * kYear)) return wrong("decay.half_life", "a half-life lasts 1 minute to 100 years");
  if (!(decay.weight >= 0 && decay.weight <= 1)) return wrong("decay.weight", fmt::format("the weight {} of a decay: from 0 to 1", decay.weight));
  if (decay.attribute.size() > kMaxAttribute) return wrong("decay.attribute", fmt::format("the name of an attribute has at most {} bytes", kMaxAttribute));
  return {};
}

std::string text_of(const Attribute& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  return fmt::format("{}", std::get<double>(value));
}

std::string comparison_text(const Filter& filter, const Attributes& attributes) {
  constexpr std::array<std::string_view, 8> kSigns{"=", "!=", ">", ">=", "<", "<=", "in", "not in"};
  std::string values;
  for (const Attribute& value : filter.values) values += (values.empty() ? "" : ", ") + text_of(value);
  const auto own = attributes.find(filter.key);
  return fmt::format("{} {} {} ({})", filter.key, kSigns[static_cast<std::size_t>(filter.op)], values, own == attributes.end() ? "not said" : text_of(own->second));
}

void collect(const Filter& filter, const Attributes& attributes, std::vector<std::string>& out) {
  if (!filter.matches(attributes)) return;
  if (filter.op != FilterOp::kAnd && filter.op != FilterOp::kOr) return out.push_back(comparison_text(filter, attributes));
  for (const Filter& part : filter.filters) collect(part, attributes, out);
}

}  // namespace

Result<SearchMode> parse_search_mode(std::string_view name) { return named(kModes, name, "a way to search", "hybrid, text or vector"); }

std::string_view search_mode_name(SearchMode mode) { return kModes[static_cast<std::size_t>(mode)].first; }

Result<Fusion> parse_fusion(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, Fusion>, 2> kNames{{{"weighted", Fusion::kWeighted}, {"rrf", Fusion::kRanks}}};
  return named(kNames, name, "a way to fuse two searches", "weighted or rrf");
}

Result<Surroundings> parse_surroundings(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, Surroundings>, 3> kNames{{{"none", Surroundings::kNone}, {"neighbours", Surroundings::kNeighbours}, {"section", Surroundings::kSection}}};
  return named(kNames, name, "a kind of context", "none, neighbours or section");
}

std::string without_signs(std::string_view query) {
  constexpr std::string_view kSpace = " \t\r\n", kSigns = "+\"()*";
  std::string text;
  bool skip = false;  // the next word, or the one at hand
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t begin = query.find_first_not_of(kSpace, at);
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(query.find_first_of(kSpace, begin), query.size());
    const std::string_view word = query.substr(begin, end - begin);
    at = end;
    if (word == "AND" || word == "OR") continue;
    if (word == "NOT") {
      skip = true;
      continue;
    }
    if (std::exchange(skip, false) || word.starts_with('-')) continue;
    std::string plain;
    std::ranges::copy_if(word.substr(0, word.find_first_of("~^")), std::back_inserter(plain), [&](char c) { return !kSigns.contains(c); });
    if (!plain.empty()) text += (text.empty() ? "" : " ") + plain;
  }
  return text.empty() ? std::string(query) : text;
}

Result<QuerySyntax> parse_query_syntax(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, QuerySyntax>, 2> kNames{{{"plain", QuerySyntax::kPlain}, {"operators", QuerySyntax::kOperators}}};
  return named(kNames, name, "a syntax of queries", "plain or operators");
}

Result<Micros> parse_half_life(std::string_view text) {
  constexpr std::array<std::pair<char, Micros>, 5> kUnits{{{'m', kMinute}, {'h', 60 * kMinute}, {'d', kDay}, {'w', 7 * kDay}, {'y', kYear}}};
  std::int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = end + 1 == text.data() + text.size() ? std::ranges::find(kUnits, *end, [](const auto& one) { return one.first; }) : kUnits.end();
  constexpr std::int64_t kMost = 100 * kYear / kMinute;  // in the smallest unit
  if (code != std::errc() || unit == kUnits.end() || number < 1 || number > kMost || number > 100 * kYear / unit->second)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no half-life", to_valid_utf8(text.substr(0, 40))).with_hint("write a number and m, h, d, w or y, such as 30d; at most 100y"));
  return number * unit->second;
}

double decay_factor(Micros age, const Decay& decay) {
  return 1 - decay.weight * (1 - std::exp2(-static_cast<double>(age) / static_cast<double>(decay.half_life)));
}

Status check_search(std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  if (collections.empty() || collections.size() > kMaxCollections) return fail(ErrorCode::kInvalidArgument, "{} collections: a search takes 1 to {}", collections.size(), kMaxCollections);
  if (options.k < 1 || options.k > kMaxResults) return wrong("max_num_results", fmt::format("{} results: a search gives 1 to {}", options.k, kMaxResults));
  STOA_CHECK(check_phrasings(query, options));
  STOA_CHECK(check_order(options));
  return options.filter.check();
}

Status check_means(const SearchOptions& options, const SearchMeans& means) {
  if (options.mode == SearchMode::kVector && !means.embedder) return wrong("mode", "no embedding model is loaded", "search by text, or pull an embedding model");
  if (options.diversity > 0 && !means.embedder) return wrong("diversity", "no embedding model is loaded, which says how alike passages are", "pull one, or search without");
  if (options.rewrite > 0 && !means.rewriter) return wrong("rewrite", "no model is loaded that could word the query in other ways", "name one as models.generator, or search without");
  if (options.rerank > 0 && !means.reranker) return wrong("rerank", "no reranking model is loaded", "name one as models.reranker, or search without");
  return {};
}

std::vector<std::string> satisfied_comparisons(const Filter& filter, const Attributes& attributes) {
  std::vector<std::string> out;
  collect(filter, attributes, out);
  return out;
}

}  // namespace stoa::data
