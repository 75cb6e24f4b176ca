#include "commands/commands.h"

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {

int search(const Global& global, const SearchOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);
  const JsonObject body{{"query", options.query}, {"vector_store_ids", JsonArray{Json(*store)}}, {"mode", options.mode}, {"max_num_results", options.count}};
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
  }
  if (rank == 0) fmt::print("nothing found\n");
  return kExitOk;
}

}  // namespace stoa::cli
