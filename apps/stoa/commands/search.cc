#include "commands/commands.h"

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

// "words 2 (0.81), meaning 1 (passage 0.52, sentence 0.61)"
std::string reasons(const JsonObject& hit) {
  std::string out;
  const JsonObject* explained = object_of(hit, "explain");
  const auto part = [&](const char* name) { return explained == nullptr ? nullptr : object_of(*explained, name); };
  const auto rank = [](const JsonObject& of) { return of.at("rank").is_null() ? std::string("-") : fmt::format("{:.0f}", number_of(of, "rank")); };
  if (const auto* text = part("text")) out += fmt::format("words {} ({:.2f})", rank(*text), number_of(*text, "score"));
  if (const auto* vector = part("vector"))
    out += fmt::format("{}meaning {} (passage {:.2f}, sentence {:.2f})", out.empty() ? "" : ", ", rank(*vector), number_of(*vector, "passage"), number_of(*vector, "sentence"));
  if (const auto* rerank = part("rerank")) out += fmt::format("{}reranked {:.2f}", out.empty() ? "" : ", ", number_of(*rerank, "relevance"));
  return out;
}

}  // namespace

int search(const Global& global, const SearchOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);
  const JsonObject body{{"query", options.query}, {"vector_store_ids", JsonArray{Json(*store)}}, {"mode", options.mode},
                        {"fusion", options.fusion}, {"rerank", options.rerank}, {"explain", options.explain}, {"max_num_results", options.count}};
  auto found = api.post("/v1/stoa/search", body);
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  int rank = 0;
  for (const JsonObject* hit : objects_of(*found, "data")) {
    std::string place = bold(text_of(*hit, "title"));
    for (const auto& section : strings_of(*hit, "section")) place += " › " + section;
    const std::string anchor = text_of(*hit, "anchor");
    fmt::print("{}. {}\n   {}{}  {}\n   {}\n", ++rank, place, text_of(*hit, "path"), anchor.empty() ? "" : "#" + anchor,
               dim(fmt::format("score {:.4f}", number_of(*hit, "score"))), text_of(*hit, "text"));
    if (options.explain) fmt::print("   {}\n", dim(reasons(*hit)));
  }
  if (rank == 0) fmt::print("nothing found\n");
  return kExitOk;
}

}  // namespace stoa::cli
