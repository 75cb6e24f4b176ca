// What differs between families of providers: how a request is written, and how the stream of its answer is read. Codecs are pure: they do no
// I/O, look at no clock, and keep nothing but a decoder's place in its stream. What they read comes from outside and is bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json_arena.h"
#include "base/result.h"
#include "contracts/chat.h"
#include "gateway/providers/alike_events.h"
#include "gateway/providers/provider.h"
#include "infra/http/sender.h"
#include "infra/http/sse.h"

namespace stoa::gateway {

// An answer as far as it was read.
struct UpstreamAnswer {
  explicit UpstreamAnswer(const models::DeltaSink& to) : sink(to) {}
  void give(const ChatDelta& delta);

  const models::DeltaSink& sink;
  Usage usage;
  bool prompt_counted = false, completion_counted = false;  // by the upstream, for good
  bool keep_text = false;         // all of the answer, for counting
  std::string text;
  bool at_most_one_call = false;  // what the upstream says beyond its first call is dropped: not every family can be told
  std::optional<FinishReason> finish;
  std::string stop;        // which stop sequence ended it, where the upstream tells
  bool complete = false;   // the family's end marker was read
  bool stopped = false;    // the sink wants no more
  std::int64_t deltas = 0;
  std::int64_t bytes = 0;  // of text, reasoning and arguments
};

// Reads one answer. One thread.
class AnswerDecoder {
 public:
  virtual ~AnswerDecoder() = default;
  // Bytes of the body as they come. Errors: what the upstream says in its stream, kUnavailable for bytes that are not the family's.
  virtual Status feed(std::string_view bytes, UpstreamAnswer& answer) = 0;
  // The body is over, with the proper end of its transport: for families whose last event is not marked.
  virtual Status end(UpstreamAnswer&) { return {}; }
};

// Thread-safe.
class ProviderCodec {
 public:
  virtual ~ProviderCodec() = default;
  // URL, headers and body; what authorize() adds is not among them. kUnsupported names in `param` what the family cannot express; kInvalidArgument what it could not in any family.
  virtual Result<infra::HttpClientRequest> encode(const ProviderTarget& target, const std::string& credential, const ChatRequest& request) const = 0;
  virtual std::unique_ptr<AnswerDecoder> decoder(const ChatRequest& request) const = 0;
  // Asks which models there are; nothing where that cannot be asked.
  virtual std::optional<infra::HttpClientRequest> model_list(const ProviderTarget& target, const std::string& credential) const = 0;
  // Has the target judge `input`, as callers gave it; nothing where the family has no moderations.
  virtual std::optional<infra::HttpClientRequest> moderation(const ProviderTarget&, const std::string& /*credential*/, const Json& /*input*/) const { return std::nullopt; }
};

// Null for a family that is not known. The codecs are stateless.
std::unique_ptr<ProviderCodec> make_codec(std::string_view family);

// A stream of server-sent events, each at most kMaxEvent bytes.
class EventDecoder : public AnswerDecoder {
 public:
  static constexpr std::size_t kMaxEvent = 1u << 20;
  EventDecoder();
  Status feed(std::string_view bytes, UpstreamAnswer& answer) final;

 protected:
  virtual Status event(const infra::SseEvent& event, UpstreamAnswer& answer) = 0;
  // `data` said nothing but `text`, which is the string of its member `member`, and left the decoder as it was: events that differ in nothing else are not
  // read as wholes.
  void only_text(std::string_view data, std::string_view member, std::string_view text) { alike_.learn(data, member, text); }

 private:
  Status take(const infra::SseEvent& event, UpstreamAnswer& answer);

  infra::SseParser parser_;
  AlikeEvents alike_;
  UpstreamAnswer* answer_ = nullptr;
  Status status_;
};

inline constexpr int kMaxUpstreamCalls = 128;  // calls of tools in one answer

// Lenient reading of what an upstream sends: what is absent or of another type reads as empty.
std::string_view upstream_text(const JsonObject& object, std::string_view key);
const JsonObject* upstream_object(const JsonObject& object, std::string_view key);
// A count that makes sense: 0 to 10^12.
std::optional<std::int64_t> upstream_count(const JsonObject& object, std::string_view key);
// kUnavailable for what is no JSON object. It lives in `arena`.
Result<JsonObject> upstream_event(std::string_view data, JsonArena& arena);

// What an upstream calls its error, in the shapes that servers use: {"error": {"type", "code", "message"}}, {"error": "text"}, {"message"}, {"detail"}.
struct UpstreamProblem {
  std::string kind;     // "rate_limit_error", "context_length_exceeded"; may be empty
  std::string message;  // at most 300 characters of one line
  int status = 0;       // of what stands behind the upstream, where it tells
};
UpstreamProblem read_problem(const JsonObject& object);
// Of an error inside a stream, and of a whole response. The credential is not in them unless the upstream repeats it.
Error stream_error(const UpstreamProblem& problem);
Error status_error(int status, const infra::HttpHeaders& headers, std::string_view body);

// Turns of a conversation that alternate: what follows in the same role is one turn, whose list of blocks has the name `blocks`.
class Turns {
 public:
  explicit Turns(std::string_view blocks) : blocks_(blocks) {}
  void add(std::string_view role, JsonObject block);
  JsonArray take() { return std::move(turns_); }

 private:
  std::string_view blocks_;
  JsonArray turns_;
};

// Refuses what a request asks for and the family has no word for; `lacks` names fields as callers know them: prompt, top_k, min_p, repetition_penalty, presence_penalty,
// frequency_penalty, seed, logit_bias, logprobs, ignore_eos.
Status refuse_lacking(std::string_view family, std::span<const std::string_view> lacks, const ChatRequest& request);
bool offers_tools(const ChatRequest& request);
int number_option(const ProviderTarget& target, std::string_view name, int fallback);  // a positive number
// Tokens that a model may think: the option thinking_budget is for an effort that is high or not said, and what is less gets less; 0: it does not think first.
int thinking_budget(const ProviderTarget& target, const ChatRequest& request);

// Calls what is given in the order in which texts, none of them empty, and images stand in a message.
Status each_part(const ChatMessage& message, const std::function<void(std::string_view text)>& text, const std::function<Status(const ChatImage& image)>& image);

std::unexpected<Error> cannot_express(std::string_view family, std::string_view field);
// The URL of a target without slashes at its end.
std::string base_url(const ProviderTarget& target);
Result<Json> parse_part(std::string_view json, std::string_view param);  // a schema or arguments that the caller gave

}  // namespace stoa::gateway
