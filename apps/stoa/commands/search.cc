#include "commands/commands.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/json.h"
#include "commands/attributes.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/search_settings.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

// "year>=2020" as a comparison of the API.
Result<JsonObject> comparison(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kSigns{{{">=", "gte"}, {"<=", "lte"}, {"!=", "ne"}, {">", "gt"}, {"<", "lt"}, {"=", "eq"}}};
  const auto at = text.find_first_of("<>!=");
  const auto sign = at == 0 || at == std::string_view::npos ? kSigns.end() : std::ranges::find_if(kSigns, [&](const auto& one) { return text.substr(at).starts_with(one.first); });
  if (sign == kSigns.end()) return fail(error(ErrorCode::kInvalidArgument, "'{}' is no filter", text).with_hint("write an attribute, one of = != < <= > >=, and a value: year>=2020"));
  return JsonObject{{"type", sign->second}, {"key", std::string(text.substr(0, at))}, {"value", attribute_value(text.substr(at + sign->first.size()))}};
}

Result<JsonObject> body_of(const SearchOptions& options, const std::string& store) {
  JsonObject body = search_settings(options);
  body["query"] = options.query;
  body["vector_store_ids"] = JsonArray{Json(store)};
  body["explain"] = options.explain;
  body["max_num_results"] = options.count;
  if (!options.queries.empty()) body["queries"] = JsonArray(options.queries.begin(), options.queries.end());
  if (options.rewrite > 0) body["rewrite"] = options.rewrite;
  if (!options.syntax.empty()) body["syntax"] = options.syntax;
  JsonArray filters;
  for (const std::string& filter : options.filters) {
    STOA_TRY(one, comparison(filter));
    filters.push_back(std::move(one));
  }
  if (!filters.empty()) body["filters"] = JsonObject{{"type", "and"}, {"filters", std::move(filters)}};
  return body;
}

std::string for_people(double seconds) {
  constexpr double kHour = 3600, kDay = 24 * kHour;
  if (seconds < 2 * kHour) return fmt::format("{:.0f} min", seconds / 60);
  return seconds < 2 * kDay ? fmt::format("{:.0f} h", seconds / kHour) : fmt::format("{:.0f} d", seconds / kDay);
}

// One column of the table of reasons: what it says of a passage; empty where it has nothing to say.
struct Column {
  const char* title;
  std::function<std::string(const JsonObject& hit, const JsonObject& explained)> cell;
};

std::vector<Column> columns() {
  const auto in = [](const JsonObject& explained, const char* part) { return object_of(explained, part); };
  const auto ranked = [](const JsonObject& part, const char* score) {
    const bool found = part.contains("rank") && !part.at("rank").is_null();
    return fmt::format("{} ({:.2f})", found ? fmt::format("{}", integer_of(part, "rank")) : "-", number_of(part, score));
  };
  return {{"score", [](const JsonObject& hit, const JsonObject&) { return fmt::format("{:.4f}", number_of(hit, "score")); }},
          {"words", [=](const JsonObject&, const JsonObject& why) { const auto* text = in(why, "text"); return text ? ranked(*text, "score") : ""; }},
          {"meaning", [=](const JsonObject&, const JsonObject& why) { const auto* vector = in(why, "vector"); return vector ? ranked(*vector, "passage") : ""; }},
          {"sentence", [=](const JsonObject&, const JsonObject& why) { const auto* vector = in(why, "vector"); return vector ? fmt::format("{:.2f}", number_of(*vector, "sentence")) : ""; }},
          {"fused", [](const JsonObject&, const JsonObject& why) { return fmt::format("{:.4f}", number_of(why, "fused")); }},
          {"phrasing", [](const JsonObject&, const JsonObject& why) { return why.contains("query") ? fmt::format("{}", integer_of(why, "query") + 1) : ""; }},
          {"reranked", [=](const JsonObject&, const JsonObject& why) { const auto* rerank = in(why, "rerank"); return rerank ? fmt::format("{:.2f}", number_of(*rerank, "relevance")) : ""; }},
          {"age", [=](const JsonObject&, const JsonObject& why) {
             const auto* decay = in(why, "decay");
             return decay ? fmt::format("{} ({}): x {:.2f}", for_people(number_of(*decay, "age_seconds")), text_of(*decay, "by"), number_of(*decay, "factor")) : "";
           }},
          {"variety", [=](const JsonObject&, const JsonObject& why) {
             const auto* diversity = in(why, "diversity");
             return diversity ? fmt::format("was {}, likeness {:.2f}", integer_of(*diversity, "rank"), number_of(*diversity, "likeness")) : "";
           }},
          {"readable by", [](const JsonObject&, const JsonObject& why) { return text_of(why, "readers"); }},
          {"let through by", [](const JsonObject&, const JsonObject& why) {
             std::string all;
             for (const auto& one : strings_of(why, "filter")) all += (all.empty() ? "" : "; ") + one;
             return all;
           }}};
}

// What was searched for, and a row for each passage; columns that say nothing of any passage are left out.
void explain(const JsonObject& found) {
  if (const auto* explained = object_of(found, "explain")) {
    int number = 0;
    const auto queries = objects_of(*explained, "queries");
    for (const auto* query : queries) {
      if (queries.size() > 1) fmt::print("{}\n", dim(fmt::format("phrasing {}: {}{}", ++number, text_of(*query, "query"), text_of(*query, "by") == "model" ? "  (by the model)" : "")));
    }
    if (const std::string problem = text_of(*explained, "rewrite_problem"); !problem.empty()) fmt::print("{}\n", dim("not reworded: " + problem));
  }
  const auto hits = objects_of(found, "data");
  if (hits.empty()) return;
  std::vector<std::vector<std::string>> rows{{"#"}};
  for (std::size_t i = 0; i < hits.size(); ++i) rows.push_back({fmt::format("{}", i + 1)});
  for (const Column& column : columns()) {
    std::vector<std::string> cells;
    for (const auto* hit : hits) {
      const auto* why = object_of(*hit, "explain");
      cells.push_back(why == nullptr ? "" : column.cell(*hit, *why));
    }
    if (std::ranges::all_of(cells, &std::string::empty)) continue;
    rows[0].emplace_back(column.title);
    for (std::size_t i = 0; i < cells.size(); ++i) rows[i + 1].push_back(std::move(cells[i]));
  }
  fmt::print("{}", table(rows));
}

}  // namespace

JsonObject search_settings(const SearchOptions& options) {
  JsonObject body;
  if (!options.mode.empty()) body["mode"] = options.mode;
  if (!options.fusion.empty()) body["fusion"] = options.fusion;
  if (options.text_weight >= 0) body["text_weight"] = options.text_weight;
  if (options.rerank >= 0) body["rerank"] = options.rerank;
  if (options.min_score >= 0) body["min_score"] = options.min_score;
  if (options.diversity >= 0) body["diversity"] = options.diversity;
  if (!options.half_life.empty()) body["decay"] = JsonObject{{"half_life", options.half_life}, {"weight", options.decay_weight}, {"attribute", options.time_attribute}};
  if (!options.context.empty()) body["context"] = options.context;
  return body;
}

int search(const Global& global, const SearchOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);
  auto body = body_of(options, *store);
  if (!body) return report(body.error(), global.json);
  auto found = api.post("/v1/stoa/search", *body);
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  int rank = 0;
  for (const JsonObject* hit : objects_of(*found, "data")) {
    std::string place = bold(text_of(*hit, "title"));
    for (const auto& section : strings_of(*hit, "section")) place += " › " + section;
    const std::string anchor = text_of(*hit, "anchor"), context = text_of(*hit, "context");
    fmt::print("{}. {}\n   {}{}  {}\n   {}\n", ++rank, place, text_of(*hit, "path"), anchor.empty() ? "" : "#" + anchor,
               dim(fmt::format("score {:.4f}", number_of(*hit, "score"))), context.empty() ? text_of(*hit, "text") : context);
  }
  if (rank == 0) fmt::print("nothing found\n");
  for (const auto& problem : strings_of(*found, "filter_problems")) fmt::print("{}\n", dim("filter: " + problem));
  if (options.explain) explain(*found);
  return kExitOk;
}

}  // namespace stoa::cli
