#include "commands/commands.h"

#include "commands/connect.h"
#include "commands/grounded.h"
#include "commands/terminal.h"

namespace stoa::cli {

int ask(const Global& global, const AskOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);
  JsonObject body = grounded_request(options.question, *store);
  if (!options.model.empty()) body["model"] = options.model;
  if (options.max_tokens > 0) body["max_output_tokens"] = options.max_tokens;
  if (options.extractive) body["metadata"] = JsonObject{{"stoa.answer", "extractive"}};
  if (options.show_passages) body["include"] = JsonArray{Json("file_search_call.results")};
  auto response = global.json ? api.post("/v1/responses", body) : stream_grounded(api, body);
  if (!response) return report(response.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*response));
  else
    print_sources(*response);
  return kExitOk;
}

}  // namespace stoa::cli
