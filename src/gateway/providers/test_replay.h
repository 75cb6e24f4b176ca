// Upstreams for tests: a sender that replays their bytes, whole, in pieces of any size, or cut off; and what came of it, on one line.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/error_table.h"
#include "gateway/providers/codec.h"
#include "gateway/providers/provider.h"
#include "infra/http/sender.h"

namespace stoa::gateway {

struct Replay : infra::HttpSender {
  int status = 200;
  infra::HttpHeaders headers{{"Content-Type", "text/event-stream"}};
  std::string body;
  std::size_t piece = 1 << 20;        // bytes at a time
  std::optional<Error> refuse;        // instead of an answer
  std::optional<Error> fails_after;   // after the whole body
  infra::HttpClientRequest asked;

  Result<int> stream(const infra::HttpClientRequest& request, const infra::HttpStream& to) override {
    asked = request;
    if (refuse) return fail(*refuse);
    if (to.on_head) STOA_CHECK(to.on_head(status, headers));
    for (std::size_t at = 0; at < body.size(); at += piece)
      if (!to.on_data(std::string_view(body).substr(at, piece))) return status;
    if (fails_after) return fail(*fails_after);
    return status;
  }
};

inline constexpr std::string_view kSecret = "sk-upstream-0123456789";

inline ProviderTarget target_of(std::string_view family) {
  ProviderTarget target{.provider = "up", .family = std::string(family), .url = "https://up.example/v1", .model = "big", .credential = [] { return Result<std::string>(std::string(kSecret)); }};
  if (family != "sagemaker") return target;
  target.credential = [] { return Result<std::string>("AKIDEXAMPLE:" + std::string(kSecret)); };
  target.options = {{"region", "eu-1"}};
  return target;
}

inline ChatRequest question() {
  ChatRequest request;
  request.model = "name-of-the-route";
  request.messages = {{.role = "system", .content = "Be brief."}, {.role = "user", .content = "Where?"}};
  return request;
}

// What came of an answer, on one line: "text=Paris calls=[...] finish=stop usage=5(1)/2(0)", or "unavailable: ...".
inline std::string told(std::string_view family, Replay& upstream, const ChatRequest& request = question(), const Call& call = {}, int stop_after = -1) {
  const auto generator = open_provider(target_of(family), upstream);
  if (!generator) return "open: " + generator.error().message;
  std::string text, reasoning, calls;
  std::size_t logprobs = 0;
  int deltas = 0;
  const auto outcome = (*generator)->generate(call, request, [&](const ChatDelta& delta) {
    text += delta.text;
    reasoning += delta.reasoning;
    logprobs += delta.logprobs.size();
    for (const auto& piece : delta.tool_calls) calls += piece.name.empty() ? piece.arguments : fmt::format("{}#{}:{}{}", calls.empty() ? "" : " ", piece.index, piece.name, piece.arguments);
    return ++deltas != stop_after;
  });
  std::string out;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}={} ", name, value);
  };
  add("text", text);
  add("reasoning", reasoning);
  add("calls", calls);
  add("logprobs", logprobs == 0 ? "" : fmt::format("{}", logprobs));
  if (const Error* failed = !outcome ? &outcome.error() : outcome->failure ? &*outcome->failure : nullptr)
    return out + fmt::format("{}: {}{}", error_info(failed->code).name, failed->message, failed->retry_after > 0 ? fmt::format(" (after {} s)", failed->retry_after) : "");
  add("stopped by", outcome->stop);
  constexpr std::array kNames{"stop", "tools", "length", "filter", "cancelled"};
  const Usage& usage = outcome->usage;
  return out + fmt::format("finish={} usage={}({})/{}({})", kNames[static_cast<std::size_t>(outcome->finish)], usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens,
                           usage.reasoning_tokens);
}

struct ReplayedCase {
  std::string_view name, body, expected;
};

// The body that is sent, or the error and its field.
inline std::string body_of(std::string_view family, const ChatRequest& request, std::map<std::string, std::string> options = {}) {
  ProviderTarget target = target_of(family);
  target.options = std::move(options);
  const auto encoded = make_codec(family)->encode(target, "k", request);
  if (!encoded) return fmt::format("{} {}", error_info(encoded.error().code).name, encoded.error().param);
  return encoded->body;
}

}  // namespace stoa::gateway
