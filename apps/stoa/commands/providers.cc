// stoa providers: other places that serve models, as the server knows them. Credentials come from a file or standard input, never from the
// command line, where other users of the machine and the shell's history would see them.
#include "commands/commands.h"

#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>

#include <unistd.h>

#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"
#include "gateway/providers/provider.h"

namespace stoa::cli {
namespace {

constexpr std::string_view kPath = "/v1/stoa/providers";

std::string path_of(const std::string& name, std::string_view rest = "") { return fmt::format("{}/{}{}", kPath, percent_encoded(name), rest); }

bool flag_of(const JsonObject& object, std::string_view key) {
  const Json* flag = find(object, key);
  return flag != nullptr && flag->is_bool() && flag->get_bool();
}

std::string credential_text(const JsonObject& provider) {
  const JsonObject* credential = object_of(provider, "credential");
  if (credential == nullptr || !flag_of(*credential, "set")) return "not set";
  return "set " + text_of(*credential, "time").substr(0, 16) + "Z";
}

int finish(const Result<JsonObject>& reply, const Global& global, const std::function<void(const JsonObject&)>& print) {
  if (!reply) return report(reply.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*reply));
  else
    print(*reply);
  return kExitOk;
}

// One line, whose line break is not part of it; or a JSON object of many lines, as clouds give them out.
Result<std::string> read_credential(const std::string& file) {
  if (file == "-" && isatty(STDIN_FILENO) != 0) fmt::print(stderr, "The credential, then Enter: ");
  std::ifstream in;
  if (file != "-") in.open(file, std::ios::binary);
  std::string text;
  std::getline(file == "-" ? std::cin : static_cast<std::istream&>(in), text);
  if (text.ends_with('\r')) text.pop_back();
  if (text.starts_with('{')) {
    constexpr std::size_t kMost = 64u << 10;
    for (std::string line; text.size() < kMost && std::getline(file == "-" ? std::cin : static_cast<std::istream&>(in), line);) text += "\n" + line;
  }
  if (text.empty())
    return fail(error(ErrorCode::kInvalidArgument, "there is no credential in {}", file == "-" ? "standard input" : file).with_hint("its first line is read, or the JSON object that it begins: stoa providers set-key NAME < FILE"));
  return text;
}

// "gpt-4.1" or "gpt-4.1=1000000", the context length behind it.
Result<Json> parse_model(const std::string& text) {
  const auto mark = text.rfind('=');
  if (mark == std::string::npos) return Json(JsonObject{{"name", text}});
  std::int64_t length = 0;
  const std::string_view digits = std::string_view(text).substr(mark + 1);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (code != std::errc() || end != digits.data() + digits.size() || length < 1)
    return fail(error(ErrorCode::kInvalidArgument, "--model {}: '{}' is no number of tokens", text, digits).with_hint("NAME or NAME=TOKENS, such as gpt-4.1=1000000"));
  return Json(JsonObject{{"name", text.substr(0, mark)}, {"context_length", length}});
}

Result<JsonObject> body_of(const ProviderOptions& options) {
  JsonArray models;
  for (const std::string& text : options.models) {
    STOA_TRY(model, parse_model(text));
    models.push_back(std::move(model));
  }
  JsonObject settings;
  for (const std::string& text : options.options) {
    const auto mark = text.find('=');
    if (mark == std::string::npos) return fail(error(ErrorCode::kInvalidArgument, "--option {}: there is no '='", text).with_hint("NAME=VALUE, such as server=vllm"));
    settings[text.substr(0, mark)] = text.substr(mark + 1);
  }
  return JsonObject{{"name", options.name}, {"family", options.family}, {"url", options.url}, {"models", std::move(models)}, {"options", std::move(settings)},
                    {"residency", options.residency}, {"on_prem", options.on_prem}};
}

void print_provider(const JsonObject& provider) {
  std::vector<std::vector<std::string>> rows{{"name", text_of(provider, "name")}, {"family", text_of(provider, "family")}, {"url", text_of(provider, "url")}, {"credential", credential_text(provider)},
                                             {"residency", text_of(provider, "residency").empty() ? "-" : text_of(provider, "residency")}, {"on prem", flag_of(provider, "on_prem") ? "yes" : "no"}};
  if (const JsonObject* settings = object_of(provider, "options"))
    for (const auto& member : *settings) rows.push_back({fmt::format("option {}", std::string_view(member.key())), text_of(*settings, member.key())});
  for (const JsonObject* model : objects_of(provider, "models")) rows.push_back({"model", fmt::format("{}, {} tokens", text_of(*model, "name"), integer_of(*model, "context_length"))});
  rows.push_back({"changed", text_of(provider, "updated").substr(0, 16) + "Z"});
  fmt::print("{}", table(rows));
}

// Exit code 1 when it is of no use: for scripts.
int print_check(const Result<JsonObject>& reply, const Global& global) {
  const int code = finish(reply, global, [](const JsonObject& check) {
    fmt::print("{}: {} ({} ms)\n", text_of(check, "name"), text_of(check, "said"), integer_of(check, "milliseconds"));
    for (const std::string& model : strings_of(check, "missing")) fmt::print("  {} is not among its models\n", model);
    if (const JsonObject* answer = object_of(check, "answer"))
      fmt::print("{}: {}\n", text_of(*answer, "model"), flag_of(*answer, "usable") ? fmt::format("answered in {:.0f} ms", number_of(*answer, "milliseconds")) : text_of(*answer, "said"));
  });
  if (code != kExitOk) return code;
  const JsonObject* answer = object_of(*reply, "answer");
  return answer != nullptr ? (flag_of(*answer, "usable") ? kExitOk : kExitFailure) : flag_of(*reply, "usable") ? kExitOk : kExitFailure;
}

}  // namespace

int providers_list(const Global& global) {
  return finish(connect(global).get(kPath), global, [](const JsonObject& reply) {
    std::vector<std::vector<std::string>> rows{{"name", "family", "url", "models", "credential", "residency"}};
    for (const JsonObject* item : objects_of(reply, "data"))
      rows.push_back({text_of(*item, "name"), text_of(*item, "family"), text_of(*item, "url"), fmt::format("{}", objects_of(*item, "models").size()), credential_text(*item),
                      flag_of(*item, "on_prem") ? "on prem" : text_of(*item, "residency").empty() ? "-" : text_of(*item, "residency")});
    if (rows.size() == 1)
      fmt::print("There are no providers yet. For example: stoa providers add openai --family openai --url https://api.openai.com/v1 --model gpt-4.1\n");
    else
      fmt::print("{}", table(rows));
  });
}

int providers_show(const Global& global, const std::string& name) { return finish(connect(global).get(path_of(name)), global, print_provider); }

int providers_add(const Global& global, const ProviderOptions& options) {
  auto body = body_of(options);
  if (!body) return report(body.error(), global.json);
  std::string credential;
  if (!options.key_file.empty()) {
    auto read = read_credential(options.key_file);
    if (!read) return report(read.error(), global.json);
    credential = *std::move(read);
  }
  ApiClient api = connect(global);
  auto reply = options.replace ? api.put(path_of(options.name), *body) : api.post(kPath, *body);
  if (reply && !credential.empty()) reply = api.put(path_of(options.name, "/credential"), {{"credential", credential}});
  return finish(reply, global, [&](const JsonObject& made) {
    print_provider(made);
    if (credential_text(made) == "not set") fmt::print("{}\n", dim(fmt::format("Its credential, if it wants one: stoa providers set-key {} < FILE", options.name)));
    fmt::print("{}\n", dim(fmt::format("Whether it can be reached: stoa providers check {}", options.name)));
  });
}

int providers_set_key(const Global& global, const ProviderOptions& options) {
  const auto credential = read_credential(options.key_file.empty() ? "-" : options.key_file);
  if (!credential) return report(credential.error(), global.json);
  return finish(connect(global).put(path_of(options.name, "/credential"), {{"credential", *credential}}), global,
                [&](const JsonObject&) { fmt::print("{}: the credential is set; requests use it from now on\n", options.name); });
}

int providers_remove(const Global& global, const std::string& name) {
  return finish(connect(global).remove(path_of(name)), global, [&](const JsonObject&) { fmt::print("{} is removed, and its credential with it\n", name); });
}

int providers_check(const Global& global, const ProviderOptions& options) {
  JsonObject body;
  if (!options.model.empty()) body["model"] = options.model;
  return print_check(connect(global).post(path_of(options.name, "/check"), body), global);
}

std::string provider_families_text() {
  using gateway::kTokenizer;
  std::string text = fmt::format("Every family takes\n  {:<10} --option {}=...: {}\nFamilies:\n", "", kTokenizer.name, kTokenizer.meaning);
  for (const gateway::ProviderFamily& family : gateway::provider_families()) {
    text += fmt::format("  {:<10} {}\n  {:<10} such as {}\n", family.name, family.serves, "", family.example);
    for (const gateway::ProviderOption& option : family.options)
      text += fmt::format("  {:<10} --option {}=...: {}{}\n", "", option.name, option.meaning, option.choices.empty() ? "" : fmt::format(" ({})", option.choices));
  }
  return text;
}

}  // namespace stoa::cli
