#include "gateway/api/openai/completions_json.h"

#include "base/utf8.h"
#include "gateway/api/openai/constraint_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxPrompts = 16;
constexpr std::int64_t kDefaultMaxTokens = 16;  // OpenAI's default for this endpoint

Json logprobs_json(const AnswerHead& head, const std::vector<TokenLogprob>& tokens, std::size_t offset) {
  if (!head.logprobs) return nullptr;
  JsonArray texts, values, tops, offsets;
  for (const TokenLogprob& token : tokens) {
    texts.emplace_back(to_valid_utf8(token.text));
    values.emplace_back(token.logprob);
    JsonObject top;
    for (const auto& [text, logprob] : token.top) top[to_valid_utf8(text)] = logprob;
    tops.emplace_back(std::move(top));
    offsets.emplace_back(offset);
    offset += token.text.size();
  }
  JsonObject out;
  out["tokens"] = std::move(texts);
  out["token_logprobs"] = std::move(values);
  out["top_logprobs"] = std::move(tops);
  out["text_offset"] = std::move(offsets);
  return out;
}

JsonObject completion(const AnswerHead& head, JsonArray choices) {
  JsonObject out;
  out["id"] = head.id;
  out["object"] = "text_completion";
  out["created"] = head.created;
  out["model"] = head.model;
  out["choices"] = std::move(choices);
  return out;
}

JsonObject choice_json(int index, std::string_view text, Json logprobs, Json finish) {
  JsonObject out;
  out["index"] = index;
  out["text"] = text;
  out["logprobs"] = std::move(logprobs);
  out["finish_reason"] = std::move(finish);
  return out;
}

Status parse_prompts(const Fields& body, CompletionCall& call) {
  const Json* prompt = body.get("prompt");
  if (prompt != nullptr && prompt->is_array() && !prompt->get_array().empty() && !prompt->get_array()[0].is_string())
    return body.unsupported("prompt", "token ids are not accepted, send text");
  STOA_TRY(prompts, body.texts("prompt", kMaxPrompts));
  if (prompts.empty()) return body.wrong("prompt", "a string or a non-empty list of strings; it is required");
  for (const std::string& text : prompts)
    if (text.empty()) return body.wrong("prompt", "non-empty");
  call.prompts = std::move(prompts);
  return {};
}

}  // namespace

Result<CompletionCall> parse_completion(const JsonObject& object) {
  const Fields body(object);
  CompletionCall call;
  STOA_TRY(model, body.required_text("model"));
  call.request.model = std::move(model);
  STOA_CHECK(parse_prompts(body, call));
  STOA_TRY(suffix, body.text("suffix"));
  if (suffix) call.request.suffix = std::move(*suffix);
  STOA_TRY(best_of, body.integer("best_of", 1, kMaxChoices));
  STOA_TRY(choices, body.integer_or("n", 1, kMaxChoices, 1));
  if (best_of && *best_of != choices) return body.unsupported("best_of", "leave it out or equal to 'n'");
  call.choices = static_cast<int>(choices);
  if (call.prompts.size() * static_cast<std::size_t>(call.choices) > static_cast<std::size_t>(kMaxChoices))
    return body.wrong("n", fmt::format("such that prompts times alternatives are at most {}", kMaxChoices));
  STOA_TRY(priority, parse_tier(body));
  call.request.priority = priority;
  STOA_TRY(sampling, parse_sampling(body));
  call.request.sampling = std::move(sampling);
  STOA_TRY(constraint, parse_guided(body));
  call.request.constraint = std::move(constraint);
  STOA_TRY(logprobs, body.integer_or("logprobs", 0, 20, -1));
  call.request.sampling.logprobs = static_cast<int>(logprobs);
  STOA_TRY(max_tokens, body.integer_or("max_tokens", 1, 1 << 20, kDefaultMaxTokens));
  call.request.max_tokens = static_cast<int>(max_tokens);
  STOA_TRY(stops, parse_stop(body));
  call.request.stop = std::move(stops);
  STOA_TRY(echo, body.flag_or("echo", false));
  call.echo = echo;
  if (echo && logprobs >= 0) return body.unsupported("echo", "with 'logprobs' it would need those of the prompt; leave one out");
  STOA_TRY(stream, body.flag_or("stream", false));
  call.stream = stream;
  STOA_TRY(options, body.object("stream_options"));
  if (options != nullptr) {
    if (!stream) return body.wrong("stream_options", "left out unless 'stream' is true");
    STOA_TRY(include_usage, Fields(*options, "stream_options").flag_or("include_usage", false));
    call.include_usage = include_usage;
  }
  return call;
}

JsonObject completion_json(const AnswerHead& head, const std::vector<Choice>& choices, const UsageReport& usage) {
  JsonArray list;
  for (std::size_t i = 0; i < choices.size(); ++i)
    list.emplace_back(choice_json(static_cast<int>(i), choices[i].text, logprobs_json(head, choices[i].logprobs, 0),
                                  Json(finish_name(choices[i].finish))));
  JsonObject out = completion(head, std::move(list));
  out["usage"] = usage_json(usage);
  return out;
}

JsonObject completion_chunk(const AnswerHead& head, int index, const ChatDelta& delta, std::size_t offset, const FinishReason* finish) {
  JsonArray list;
  list.emplace_back(choice_json(index, delta.text, finish == nullptr ? logprobs_json(head, delta.logprobs, offset) : Json(nullptr),
                                finish == nullptr ? Json(nullptr) : Json(finish_name(*finish))));
  return completion(head, std::move(list));
}

JsonObject completion_usage_chunk(const AnswerHead& head, const UsageReport& usage) {
  JsonObject out = completion(head, {});
  out["usage"] = usage_json(usage);
  return out;
}

}  // namespace stoa::gateway::openai
