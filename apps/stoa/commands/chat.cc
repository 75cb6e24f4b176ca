#include "commands/commands.h"

#include <cstdio>
#include <functional>
#include <iostream>

#include <unistd.h>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/grounded.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

constexpr std::size_t kMaxLine = 1 << 20;

std::string first_model(ApiClient& api) {
  const auto models = api.get("/v1/models");
  if (!models) return {};
  const Json* data = find(*models, "data");
  if (data == nullptr || !data->is_array()) return {};
  for (const auto& model : data->get_array())
    if (const Json* kind = model.is_object() ? find(model.get_object(), "kind") : nullptr; kind != nullptr && *kind == "generator")
      return std::string(model.get_object().at("id").get_string());
  return {};
}

// Calls `turn` with each line; "/reset" calls `reset` instead. Ends with the first exit code that is not ok, or with the input.
int converse(const Global& global, const std::function<int(const std::string&)>& turn, const std::function<void()>& reset) {
  const bool interactive = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  if (interactive) fmt::print("{}\n", dim("A line is a message; /reset forgets the conversation; an empty line or Ctrl-D ends."));
  std::string line;
  while (true) {
    if (interactive) {
      fmt::print("{}", bold("> "));
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line) || line.empty()) return kExitOk;
    if (line.size() > kMaxLine) return report(error(ErrorCode::kTooLarge, "a message has at most {} bytes", kMaxLine), global.json);
    if (line == "/reset") {
      reset();
      continue;
    }
    if (const int code = turn(line); code != kExitOk) return code;
  }
}

// With documents: the server keeps the conversation.
int grounded_chat(const Global& global, const ChatOptions& options, ApiClient& api) {
  auto store = resolve_store(api, options.store, false);
  if (!store) return report(store.error(), global.json);
  std::string previous;
  const auto turn = [&](const std::string& line) -> int {
    JsonObject body = grounded_request(line, *store);
    if (!options.model.empty()) body["model"] = options.model;
    if (!options.system.empty()) body["instructions"] = options.system;
    if (!previous.empty()) body["previous_response_id"] = previous;
    body["max_output_tokens"] = options.max_tokens;
    auto response = global.json ? api.post("/v1/responses", body) : stream_grounded(api, body);
    if (!response) return report(response.error(), global.json);
    previous = text_of(*response, "id");
    if (global.json)
      fmt::print("{}\n", dump_json(*response));
    else
      print_sources(*response);
    return kExitOk;
  };
  return converse(global, turn, [&] { previous.clear(); });
}

int plain_chat(const Global& global, const ChatOptions& options, ApiClient& api) {
  const std::string model = options.model.empty() ? first_model(api) : options.model;
  JsonArray messages;
  if (!options.system.empty()) messages.push_back(JsonObject{{"role", "system"}, {"content", options.system}});
  const std::size_t fixed = messages.size();
  const auto turn = [&](const std::string& line) -> int {
    messages.push_back(JsonObject{{"role", "user"}, {"content", line}});
    const JsonObject body{{"model", model},     {"messages", messages}, {"temperature", options.temperature}, {"max_tokens", options.max_tokens},
                          {"stream", true}, {"stream_options", JsonObject{{"include_usage", true}}}};
    std::string answer;
    Json usage;
    const Status streamed = api.stream("/v1/chat/completions", body, [&](const JsonObject& event) {
      if (const Json* figures = find(event, "usage"); figures != nullptr) usage = *figures;
      const Json* choices = find(event, "choices");
      if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return true;
      const auto& delta = choices->get_array()[0].at("delta").get_object();
      if (const Json* content = find(delta, "content"); content != nullptr && content->is_string()) {
        answer += std::string_view(content->get_string());
        if (!global.json) fmt::print("{}", std::string_view(content->get_string()));
        std::fflush(stdout);
      }
      return true;
    });
    if (!streamed) return report(streamed.error(), global.json);
    if (global.json)
      fmt::print("{}\n", dump_json(JsonObject{{"role", "assistant"}, {"content", answer}, {"usage", usage}}));
    else
      fmt::print("\n");
    messages.push_back(JsonObject{{"role", "assistant"}, {"content", answer}});
    return kExitOk;
  };
  return converse(global, turn, [&] {
    while (messages.size() > fixed) messages.pop_back();
  });
}

}  // namespace

int chat(const Global& global, const ChatOptions& options) {
  auto api = connect(global);
  return options.store.empty() ? plain_chat(global, options, api) : grounded_chat(global, options, api);
}

}  // namespace stoa::cli
