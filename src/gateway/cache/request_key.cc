#include "gateway/cache/request_key.h"

#include <bit>
#include <concepts>
#include <map>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::gateway {
namespace {

constexpr std::string_view kForm = "stoa answer 1";

// Feeds values so that no two sequences of them give the same bytes: texts and lists after their lengths.
class KeyHash {
 public:
  explicit KeyHash(bool without_question) : without_question_(without_question) { add(kForm); }

  void add(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    hash_.update(text);
  }
  void add(const std::string& text) { add(std::string_view(text)); }
  void add(std::integral auto value) {
    const auto number = static_cast<std::uint64_t>(value);
    hash_.update(ByteSpan(reinterpret_cast<const std::byte*>(&number), sizeof number));
  }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value)); }  // one zero
  void add(float value) { add(static_cast<double>(value)); }
  template <class T>
    requires std::is_enum_v<T>
  void add(T value) {
    add(static_cast<std::uint64_t>(value));
  }
  template <class T>
  void add(const std::optional<T>& value) {
    add(value.has_value());
    if (value) add(*value);
  }
  template <class T>
  void add(const std::vector<T>& list) {
    add(list.size());
    for (const T& item : list) add(item);
  }
  void add(const std::map<std::int32_t, float>& map) {
    add(map.size());
    for (const auto& [key, value] : map) {
      add(key);
      add(value);
    }
  }

  // Bindings name every field: one that is added to a struct does not compile until it is decided on here.
  void add(const ToolDefinition& tool) {
    const auto& [name, parameters, strict, description] = tool;
    add_all(name, parameters, strict, description);
  }
  void add(const ToolChoice& choice) {
    const auto& [mode, name] = choice;
    add_all(mode, name);
  }
  void add(const ToolCall& call) {
    const auto& [id, name, arguments] = call;
    add_all(id, name, arguments);
  }
  void add(const ChatImage& image) {
    const auto& [media_type, data, url, detail, at] = image;
    add_all(media_type, data, url, detail, at);
  }
  void add(const ChatMessage& message) {
    const auto& [role, content, tool_calls, tool_call_id, reasoning, images] = message;
    add_all(role, content, tool_calls, tool_call_id, reasoning, images);
  }
  void add(const AnswerConstraint& constraint) {
    const auto& [kind, text, field] = constraint;
    add_all(kind, text);
    static_cast<void>(field);  // for errors
  }
  void add(const SamplingOptions& sampling) {
    const auto& [temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty, seed, logit_bias, logprobs] = sampling;
    add_all(temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty, seed, logit_bias, logprobs);
  }
  void add(const ChatRequest& request) {
    const auto& [model, messages, prompt, suffix, max_tokens, stop, ignore_eos, priority, sampling, tools, tool_choice, parallel_tool_calls, constraint, reasoning_effort, sources, whole] = request;
    add(model);
    add(messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (!without_question_ || i + 1 < messages.size()) add(messages[i]);
    }
    add_all(prompt, suffix, max_tokens, stop, ignore_eos, sampling, tools, tool_choice, parallel_tool_calls, constraint, reasoning_effort, sources);
    static_cast<void>(priority);  // when the answer comes
    static_cast<void>(whole);     // how it is shown
  }
  void add(const KeyContext& context) {
    add_all(context.project, context.served, context.origin != nullptr);
    if (context.origin != nullptr) add_all(context.origin->data_class, context.origin->purpose, context.origin->tags);
    if (!without_question_) add(context.alternative);
  }

  std::string finish() { return infra::to_hex(hash_.finish()); }

 private:
  void add_all(const auto&... values) { (add(values), ...); }

  infra::Sha256 hash_;
  const bool without_question_;
};

std::string hashed(const ChatRequest& request, const KeyContext& context, bool without_question) {
  KeyHash hash(without_question);
  hash.add(context);
  hash.add(request);
  return hash.finish();
}

}  // namespace

std::string request_key(const ChatRequest& request, const KeyContext& context) { return hashed(request, context, false); }

std::optional<std::string> frame_key(const ChatRequest& request, const KeyContext& context) {
  if (request.messages.empty()) return std::nullopt;
  const ChatMessage& last = request.messages.back();
  if (last.role != "user" || !last.images.empty() || !last.tool_calls.empty() || last.content.empty()) return std::nullopt;
  return hashed(request, context, true);
}

}  // namespace stoa::gateway
