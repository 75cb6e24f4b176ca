// For conformance tests: tokenizers and chat templates behind a pipe. Reads one JSON object a line, writes one a line.
//   tokenize_tool gguf FILE | json FILE
//     {"base64": "<bytes>", "add_special": bool, "parse_special": bool} -> {"ids": [...], "base64": "<what the ids decode to>"}
//   tokenize_tool render
//     {"template", "messages": [{"role", "content", "tool_calls"}...], "tools", "variables", "add_generation_prompt", "bos_token", "eos_token", "now"}
//     -> {"text": "..."}
//   a request that fails -> {"error": "..."}
//   tokenize_tool bench (gguf | json) FILE TEXT ROUNDS -> {"bytes", "tokens", "seconds": [...]}
#include <chrono>
#include <iostream>
#include <string>

#include "base/bytes.h"
#include "base/json.h"
#include "infra/crypto/encoding.h"
#include "infra/files/mapped_file.h"
#include "models/tokenizer/chat_template.h"
#include "models/tokenizer/tokenizer.h"

namespace {

using namespace stoa;
using namespace stoa::models;

Result<Tokenizer> load(std::string_view format, const std::string& path) {
  if (format == "json") return Tokenizer::from_json_file(path);
  STOA_TRY(file, GgufFile::open(path));
  return Tokenizer::from_gguf(file);
}

bool flag(const JsonObject& request, std::string_view name, bool fallback) {
  const Json* value = find(request, name);
  return value != nullptr && value->is_bool() ? value->get_bool() : fallback;
}
std::string text(const JsonObject& request, std::string_view name) {
  const Json* value = find(request, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<JsonObject> encode(const Tokenizer& tokenizer, const JsonObject& request) {
  STOA_TRY(bytes, infra::from_base64(text(request, "base64")));
  const auto ids = tokenizer.encode(as_text(bytes), {.add_special = flag(request, "add_special", false), .parse_special = flag(request, "parse_special", false)});
  JsonObject out;
  out["ids"] = JsonArray(ids.begin(), ids.end());
  out["base64"] = infra::to_base64(as_bytes(tokenizer.decode(ids)));
  return out;
}

ChatMessage message_of(const JsonObject& object) {
  ChatMessage message{text(object, "role"), text(object, "content")};
  const Json* calls = find(object, "tool_calls");
  if (calls == nullptr || !calls->is_array()) return message;
  for (const auto& call : calls->get_array()) {
    const auto& function = call.at("function").as_object();
    message.tool_calls.push_back({text(call.as_object(), "id"), text(function, "name"), dump_json(function.at("arguments"))});
  }
  return message;
}

Result<JsonObject> render(const JsonObject& request) {
  STOA_TRY(chat_template, ChatTemplate::parse(text(request, "template")));
  std::vector<ChatMessage> messages;
  if (const Json* list = find(request, "messages"); list != nullptr && list->is_array())
    for (const auto& message : list->get_array()) messages.push_back(message_of(message.as_object()));
  TemplateInput input{.messages = messages};
  input.add_generation_prompt = flag(request, "add_generation_prompt", true);
  input.bos_token = text(request, "bos_token");
  input.eos_token = text(request, "eos_token");
  if (const Json* tools = find(request, "tools")) input.tools_json = dump_json(*tools);
  if (const Json* variables = find(request, "variables")) input.extra_json = dump_json(*variables);
  if (const Json* now = find(request, "now"); now != nullptr && now->is_int64()) input.now = now->get_int64();
  STOA_TRY(rendered, chat_template.render(input));
  JsonObject out;
  out["text"] = rendered;
  return out;
}

template <class Answer>
void serve(Answer answer) {
  std::string line;
  while (std::getline(std::cin, line)) {
    auto request = parse_json(line);
    Result<JsonObject> reply = request ? answer(request->as_object()) : Result<JsonObject>(std::unexpected(request.error()));
    if (!reply) reply = JsonObject{{"error", reply.error().message}};
    std::cout << dump_json(std::move(*reply)) << '\n' << std::flush;
  }
}

Result<JsonObject> bench(const Tokenizer& tokenizer, const std::string& path, int rounds) {
  STOA_TRY(file, infra::MappedFile::open(path));
  const auto content = as_text(file.bytes());
  JsonObject out;
  JsonArray seconds;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(content);
    seconds.emplace_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    out["tokens"] = ids.size();
  }
  out["bytes"] = content.size();
  out["seconds"] = std::move(seconds);
  return out;
}

int run(const std::vector<std::string>& arguments) {
  const auto usage = [] {
    std::cerr << "usage: tokenize_tool gguf FILE | json FILE | render | bench (gguf | json) FILE TEXT ROUNDS\n";
    return 2;
  };
  if (arguments.empty()) return usage();
  if (arguments[0] == "render") {
    serve(render);
    return 0;
  }
  const bool timed = arguments[0] == "bench";
  if (arguments.size() != (timed ? 5 : 2)) return usage();
  auto tokenizer = timed ? load(arguments[1], arguments[2]) : load(arguments[0], arguments[1]);
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << '\n';
    return 1;
  }
  if (!timed) {
    serve([&](const JsonObject& request) { return encode(*tokenizer, request); });
    return 0;
  }
  const auto report = bench(*tokenizer, arguments[3], std::stoi(arguments[4]));
  if (!report) {
    std::cerr << report.error().message << '\n';
    return 1;
  }
  std::cout << dump_json(*report) << '\n';
  return 0;
}

}  // namespace

int main(int count, char** values) {
  try {
    return run({values + 1, values + count});
  } catch (const std::exception& problem) {
    std::cerr << problem.what() << '\n';
    return 1;
  }
}
