// A request for generated text and its outcome, free of any dialect. gateway/api/* translate to and from these.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stoa {

struct ChatMessage {
  std::string role;     // system, user, assistant, tool
  std::string content;  // valid UTF-8
};

struct SamplingOptions {
  double temperature = 1.0;         // 0 = greedy
  int top_k = 0;                    // 0 = off
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;  // llama.cpp's repeat_penalty, over the last 64 tokens
  double presence_penalty = 0.0;    // as OpenAI defines them, over the generated tokens
  double frequency_penalty = 0.0;
  std::optional<std::uint64_t> seed;               // absent: random
  std::map<std::int32_t, float> logit_bias;        // token id -> added to its logit; -100 bans
  int logprobs = -1;                // -1 = none; n >= 0: log-probability of each token and of the n most likely (n <= 20)
};

struct ChatRequest {
  std::string model;                  // as the caller named it
  std::vector<ChatMessage> messages;  // chat: rendered through the model's template
  std::string prompt;                 // completion: raw text; used when `messages` is empty
  int max_tokens = 0;                 // 0 = as many as the context leaves room for
  std::vector<std::string> stop;      // at most 16, each non-empty; not part of the output
  bool ignore_eos = false;
  int priority = 0;                   // higher is served first; within one, tenants share fairly
  SamplingOptions sampling;
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;      // part of prompt_tokens served from the prefix cache
  std::int64_t completion_tokens = 0;
  std::int64_t compute_micros = 0;     // measured compute time this request took of the engine (its share of each batch step)
  std::int64_t queue_micros = 0;       // waiting for a slot
  std::int64_t first_token_micros = 0; // from submission to the first token
  std::int64_t total_micros = 0;
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct TokenLogprob {
  std::int32_t token = 0;
  std::string text;      // the token's bytes
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top;
};

// A piece of a stream. `text` is valid UTF-8 on its own: bytes of an unfinished character wait for the next delta.
struct ChatDelta {
  std::string text;
  std::vector<TokenLogprob> logprobs;
};

struct ChatOutcome {
  FinishReason finish = FinishReason::kStop;
  Usage usage;
};

}  // namespace stoa
