#include "commands/commands.h"

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/utf8.h"
#include "commands/api_client.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

// Long quotes are cut and line breaks taken out: the link opens the whole.
std::string one_line(std::string text) {
  constexpr std::size_t kLongest = 200;
  std::ranges::replace(text, '\n', ' ');
  if (text.size() <= kLongest) return text;
  text.resize(kLongest);
  text.resize(complete_utf8_prefix(text));
  return text + "…";
}

// "Debian Policy Manual › 5. Control files › 5.6.2 Maintainer"
std::string place(const JsonObject& citation) {
  std::string text = bold(text_of(citation, "title").empty() ? text_of(citation, "filename") : text_of(citation, "title"));
  if (const std::string section = text_of(citation, "section"); !section.empty()) text += " › " + section;
  if (const double page = number_of(citation, "page"); page > 0) text += fmt::format(", page {}", static_cast<int>(page));
  return text;
}

// The first content part of the answer's message, null when there is none.
const JsonObject* output_text(const JsonObject& response) {
  for (const JsonObject* item : objects_of(response, "output"))
    for (const JsonObject* part : objects_of(*item, "content"))
      if (text_of(*part, "type") == "output_text") return part;
  return nullptr;
}

void print_citations(const JsonObject& part) {
  std::vector<std::string> seen;
  for (const JsonObject* citation : objects_of(part, "annotations")) {
    const std::string anchor = text_of(*citation, "anchor");
    const std::string where = text_of(*citation, "filename") + (anchor.empty() ? "" : "#" + anchor);
    if (std::ranges::find(seen, where) != seen.end()) continue;
    seen.push_back(where);
    fmt::print("  [{}] {}\n      {}\n", seen.size(), place(*citation), where);
    if (const std::string quote = one_line(text_of(*citation, "quote")); !quote.empty()) fmt::print("      {}\n", dim("“" + quote + "”"));
    if (const std::string url = text_of(*citation, "url"); !url.empty()) fmt::print("      {}\n", dim(url));
  }
  if (seen.empty()) fmt::print("{}\n", dim("no citation: nothing in the documents supports this"));
}

void print_figures(const JsonObject& response) {
  const JsonObject* usage = object_of(response, "usage");
  if (usage == nullptr) return;
  std::string line = fmt::format("{} tokens in, {} out", integer_of(*usage, "input_tokens"), integer_of(*usage, "output_tokens"));
  if (const JsonObject* figures = object_of(*usage, "stoa"); figures != nullptr)
    line += fmt::format(" · first token {:.0f} ms · {:.1f} tokens/s · cost {} · trace {}", number_of(*figures, "time_to_first_token_ms"),
                        number_of(*figures, "tokens_per_second"), human_cost(integer_of(*figures, "cost_micro_usd")),
                        text_of(*figures, "trace_id"));
  fmt::print("{}\n", dim(line));
}

}  // namespace

int ask(const Global& global, const AskOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);

  JsonObject tool{{"type", "file_search"}, {"vector_store_ids", JsonArray{Json(*store)}}};
  JsonObject body{{"input", options.question}, {"tools", JsonArray{Json(tool)}}, {"stream", !global.json}};
  if (!options.model.empty()) body["model"] = options.model;
  if (options.max_tokens > 0) body["max_output_tokens"] = options.max_tokens;
  if (options.extractive) body["metadata"] = JsonObject{{"stoa.answer", "extractive"}};
  if (options.show_passages) body["include"] = JsonArray{Json("file_search_call.results")};

  if (global.json) {
    auto response = api.post("/v1/responses", body);
    if (!response) return report(response.error(), true);
    fmt::print("{}\n", dump_json_pretty(*response));
    return kExitOk;
  }

  JsonObject final_response;
  Error failure;
  bool failed = false;
  const Status streamed = api.stream("/v1/responses", body, [&](const JsonObject& event) {
    const std::string type = text_of(event, "type");
    if (type == "response.output_text.delta") {
      fmt::print("{}", text_of(event, "delta"));
      std::fflush(stdout);
    } else if (type == "response.completed" || type == "response.incomplete" || type == "response.failed") {
      if (const JsonObject* response = object_of(event, "response"); response != nullptr) final_response = *response;
      if (type == "response.failed") {
        failed = true;
        const JsonObject* error = object_of(final_response, "error");
        failure.message = error != nullptr ? text_of(*error, "message") : "the answer failed";
      }
      return false;
    }
    return true;
  });
  fmt::print("\n");
  if (!streamed) return report(streamed.error(), false);
  if (failed) return report(failure, false);
  fmt::print("\n");
  if (const JsonObject* part = output_text(final_response); part != nullptr) print_citations(*part);
  print_figures(final_response);
  return kExitOk;
}

}  // namespace stoa::cli
