// A request for generated text and its outcome, free of any dialect. gateway/api/* translate to and from these.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace stoa {

// A tool that a model may call.
struct ToolDefinition {
  std::string name;              // 1 to 64 letters, digits, '_' or '-'
  std::string parameters;        // JSON Schema of the arguments; empty: any object
  bool strict = false;           // arguments conform to the schema by construction; otherwise any JSON object is possible
  std::string description = {};  // for the model
};

struct ToolChoice {
  enum class Mode { kAuto, kRequired, kNamed, kNone };
  Mode mode = Mode::kAuto;
  std::string name;  // kNamed
};

// A call that a model made.
struct ToolCall {
  std::string id;         // by which the tool's answer refers to it
  std::string name;
  std::string arguments;  // a JSON object
};

// A picture in a message. Local models read text only, and refuse it.
struct ChatImage {
  std::string media_type;  // "image/png"; empty where only `url` is known
  std::string data;        // base64; empty: the target fetches `url` itself
  std::string url;
  std::string detail;      // how closely to look: "low", "high", "auto"; empty: not said
  std::size_t at = 0;      // byte of ChatMessage::content before which it stands
};

struct ChatMessage {
  std::string role;     // system, user, assistant, tool
  std::string content;  // valid UTF-8
  std::vector<ToolCall> tool_calls = {};  // assistant
  std::string tool_call_id = {};          // tool: the call that `content` answers
  std::string reasoning = {};             // assistant: what it thought before `content`
  std::vector<ChatImage> images = {};     // by `at`, ascending
};

// What an answer has to look like; it does by construction. Reasoning and tool calls, where there are any, stand outside it.
struct AnswerConstraint {
  enum class Kind { kJsonObject, kJsonSchema, kRegex, kGbnf };
  Kind kind = Kind::kJsonObject;
  std::string text;   // the schema, expression or grammar
  std::string field;  // where the caller stated it: `param` of errors in it
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
  std::string suffix = {};            // completion: the text that follows what is to be generated (fill in the middle); empty: none
  int max_tokens = 0;                 // 0 = as many as the context leaves room for
  std::vector<std::string> stop;      // at most 16, each non-empty; not part of the output
  bool ignore_eos = false;
  int priority = 0;                   // higher is served first; within one, tenants share fairly
  SamplingOptions sampling;
  std::vector<ToolDefinition> tools;  // chat only
  ToolChoice tool_choice;             // with kNone the model is not told of the tools
  bool parallel_tool_calls = true;    // more than one call in an answer
  std::optional<AnswerConstraint> constraint;
  std::string reasoning_effort;       // none, minimal, low, medium or high; empty: not said. What cannot reason ignores it
  std::vector<std::string> sources;   // documents whose text is in the prompt: "doc_...@version"
  bool whole = false;                 // nothing of the answer is shown before it is complete: a target that broke midway may still be replaced
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;      // part of prompt_tokens served from the prefix cache
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;   // part of completion_tokens: reasoning before the answer, its tags included
  std::int64_t compute_micros = 0;     // measured compute time this request took of the engine (its share of each batch step)
  std::int64_t queue_micros = 0;       // waiting for a slot
  std::int64_t first_token_micros = 0; // from submission to the first token
  std::int64_t total_micros = 0;
};

// kToolCalls: the answer is complete and calls tools. kContentFilter: the target withheld (the rest of) it.
enum class FinishReason { kStop, kToolCalls, kLength, kContentFilter, kCancelled, kError };

struct TokenLogprob {
  std::int32_t token = 0;
  std::string text;      // the token's bytes
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top;
};

// A piece of a tool call. The first of a call has its id and name; the arguments of all of them, put together, are a JSON object unless
// the answer was cut off.
struct ToolCallDelta {
  int index = 0;  // of the call in the answer, from 0
  std::string id, name;
  std::string arguments;
};

// A piece of a stream. Texts are valid UTF-8 on their own: bytes of an unfinished character wait for the next delta.
struct ChatDelta {
  std::string text;
  std::vector<TokenLogprob> logprobs;
  std::string reasoning = {};
  std::vector<ToolCallDelta> tool_calls = {};
};

// An answer that was not generated anew.
struct CacheHit {
  std::string kind;       // "exact"; "semantic": of a question much like it; "shared": of an equal request at the same time
  std::string source;     // id of the request that it was generated for
  double similarity = 1;  // of the questions
};

// Work that another target did for the same request, and that has to be paid.
struct ChatCharge {
  std::string target;  // as ChatOutcome::target
  std::string what;    // "hedge": asked in case the first is slow; "retry": broke midway and was replaced; "alternative": gave another of the answers
  Usage usage;
};

struct ChatOutcome {
  FinishReason finish = FinishReason::kStop;
  Usage usage;
  std::string stop = {};  // kStop: the one of ChatRequest::stop that ended the answer; empty where it ended by itself, or where the target does not tell
  std::string target = {};  // which one answered, where a route chose: "provider/model", or the model of this server; empty otherwise
  bool own_prompt = false;  // the prompt is paid for each answer, also for alternatives of one prompt
  std::optional<Error> failure = {};  // kError: the answer broke after its first piece; `usage` is what there was until then
  std::optional<CacheHit> cache = {};
  std::vector<ChatCharge> also = {};
};

}  // namespace stoa
