#include "gateway/batch/batch_json.h"

#include <algorithm>

namespace stoa::gateway {
namespace {

constexpr std::int64_t kMostTokens = 1'000'000'000'000;

std::string text_of(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

JsonArray problems_json(const std::vector<BatchProblem>& problems) {
  JsonArray out;
  for (const BatchProblem& problem : problems) {
    JsonObject item{{"code", problem.code}, {"message", problem.message}, {"param", nullptr}, {"line", nullptr}};
    if (!problem.param.empty()) item["param"] = problem.param;
    if (problem.line > 0) item["line"] = problem.line;
    out.push_back(std::move(item));
  }
  return out;
}

std::vector<BatchProblem> problems_of(const JsonArray& problems) {
  std::vector<BatchProblem> out;
  for (const Json& item : problems) {
    const JsonObject& object = item.as_object();
    const Json* line = find(object, "line");
    out.push_back({text_of(object, "code"), text_of(object, "message"), text_of(object, "param"), line != nullptr ? line->to_number<std::int64_t>() : 0});
  }
  return out;
}

JsonObject origin_json(const Origin& origin) {
  return {{"address", origin.address}, {"tls", origin.tls}, {"purpose", origin.purpose}, {"data_class", origin.data_class}, {"tags", JsonArray(origin.tags.begin(), origin.tags.end())}};
}

Origin origin_of(const JsonObject& origin) {
  const Json* tls = find(origin, "tls");
  Origin out;
  out.address = text_of(origin, "address");
  out.tls = tls != nullptr && tls->is_bool() && tls->get_bool();
  out.purpose = text_of(origin, "purpose");
  out.data_class = text_of(origin, "data_class");
  if (const Json* tags = find(origin, "tags"); tags != nullptr && tags->is_array())
    for (const Json& tag : tags->get_array()) out.tags.emplace_back(tag.as_string());
  return out;
}

Usage usage_of(std::string_view body) {
  Usage out;
  const auto json = parse_json(body, {.max_bytes = body.size()});
  const Json* found = json && json->is_object() ? find(json->get_object(), "usage") : nullptr;
  if (found == nullptr || !found->is_object()) return out;
  const JsonObject& usage = found->get_object();
  const auto number = [](const JsonObject& object, std::string_view key) {
    const Json* value = find(object, key);
    return value != nullptr && value->is_int64() ? std::clamp<std::int64_t>(value->get_int64(), 0, kMostTokens) : 0;
  };
  const auto detail = [&](std::string_view of, std::string_view key) {
    const Json* details = find(usage, of);
    return details != nullptr && details->is_object() ? number(details->get_object(), key) : 0;
  };
  const std::int64_t beside = number(usage, "cache_read_input_tokens");  // Anthropic's are not among the others
  out.cached_tokens = beside + detail("prompt_tokens_details", "cached_tokens") + detail("input_tokens_details", "cached_tokens");
  out.prompt_tokens = number(usage, "prompt_tokens") + number(usage, "input_tokens") + beside;
  out.completion_tokens = number(usage, "completion_tokens") + number(usage, "output_tokens");
  out.reasoning_tokens = detail("completion_tokens_details", "reasoning_tokens") + detail("output_tokens_details", "reasoning_tokens");
  return out;
}

}  // namespace stoa::gateway
