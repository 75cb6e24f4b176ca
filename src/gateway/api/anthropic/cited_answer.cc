#include "gateway/api/anthropic/cited_answer.h"

#include <algorithm>
#include <chrono>

#include "base/id.h"
#include "gateway/api/anthropic/answer_json.h"
#include "gateway/api/anthropic/errors.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/openai/asides.h"
#include "gateway/api/sse_stream.h"
#include "gateway/grounding/generative.h"

namespace stoa::gateway::anthropic {
namespace {

constexpr std::string_view kPrompt = "messages";

using Clock = std::chrono::steady_clock;

std::int64_t micros_since(Clock::time_point start) { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count(); }

// One answer. Lives on the handler's stack.
class CitedAnswer {
 public:
  CitedAnswer(const Dependencies& dependencies, RequestScope& scope, MessageCall call, std::shared_ptr<models::Generator> generator)
      : dependencies_(dependencies), scope_(scope), call_(std::move(call)), generator_(std::move(generator)), stream_(scope),
        head_{.id = new_id("msg"), .model = call_.request.model, .priority = call_.request.priority, .thinking = false},
        events_(head_, 0, [this](std::string_view type, const JsonObject& event) { return stream_.send(event, type); }) {}

  Result<std::optional<infra::HttpResponse>> run() {
    scope_.set_answer_id(head_.id);
    split_conversation();
    if (asked_.question.empty()) return fail(error(ErrorCode::kInvalidArgument, "documents that are to be cited need a question in a message of the user").with_param("messages"));
    STOA_CHECK(reserve());
    auto usage = answer();
    if (!usage) {
      if (!stream_.begun()) return std::unexpected(std::move(usage).error());
      stream_.fail_with(usage.error(), error_json(usage.error(), scope_.call().request_id), "error");
      return std::nullopt;
    }
    if (!call_.stream) return infra::HttpResponse::json(200, dump_json(message_json(head_, std::move(content_), *usage)));
    events_.end(FinishReason::kStop, {}, *usage);
    stream_.end_with(R"({"type":"message_stop"})", "message_stop");
    return std::nullopt;
  }

 private:
  // Instructions, what was said before, and the question.
  void split_conversation() {
    auto& messages = call_.request.messages;
    const auto last = std::ranges::find(messages.rbegin(), messages.rend(), "user", &ChatMessage::role);
    if (last == messages.rend()) return;
    asked_.question = last->content;
    for (auto message = messages.begin(); message != last.base() - 1; ++message) {
      if (message->role == "system") asked_.instructions += (asked_.instructions.empty() ? "" : "\n") + message->content;
      else asked_.history.push_back(*message);
    }
    asked_.options = call_.request;
    asked_.options.messages.clear();
    asked_.options.tools.clear();
    if (!call_.own_temperature) asked_.options.sampling.temperature = dependencies_.grounding->temperature;
  }

  Status reserve() {
    openai::note_model(scope_, dependencies_.models, call_.request);
    STOA_CHECK(allow_priority(scope_, call_.request));
    return scope_.reserve("chat", call_.request.model, openai::grounded_estimate(*dependencies_.grounding), generator_->targets());
  }

  Result<UsageReport> answer() {
    const auto start = Clock::now();
    std::vector<ChatCharge> asides;
    auto given = grounded(asides);
    if (!given) {
      for (const ChatCharge& charge : asides) STOA_CHECK(scope_.charge(charge));
      return fail(context_overflow(std::move(given).error(), kPrompt));
    }
    scope_.set_content(asked_.question, given->text);
    openai::note_grounds(scope_.answer(), *given, openai::annotations_of(*given), *dependencies_.grounding);
    given->usage.total_micros = micros_since(start);
    GenerationOutcome outcome{.usage = given->usage, .charges = {{given->target, "", given->usage}}, .cache = given->cache, .failure = given->failure};
    std::ranges::move(asides, std::back_inserter(outcome.charges));
    std::ranges::move(given->also, std::back_inserter(outcome.charges));
    STOA_TRY(report, settle_generation(scope_, outcome));
    if (scope_.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "the client went away");
    return report;
  }

  Result<GroundedAnswer> grounded(std::vector<ChatCharge>& asides) {
    const GroundingSettings& settings = *dependencies_.grounding;
    STOA_TRY(beside, openai::choose_asides(scope_, dependencies_.models, settings, call_.request.model));
    SearchText text = resolve_question(scope_.call(), settings, beside.own, asked_.history, asked_.question);
    asides = std::move(text.charges);
    const auto start = Clock::now();
    STOA_TRY(found, find_passages(scope_.call(), dependencies_.embedder, call_.documents, text.query));
    found_ = std::move(found);
    const std::int64_t searched = micros_since(start);
    asked_.query = text.query;
    asked_.passages = found_.passages;
    auto given = GenerativeAnswerer(settings, *generator_, dependencies_.embedder, beside.judge).answer(scope_.call(), asked_, [this](const AnswerPiece& piece) { return say(piece); });
    if (given) given->usage.compute_micros += searched;
    return given;
  }

  // Each sentence is a block of its own, with what it stands on.
  bool say(const AnswerPiece& piece) {
    if (scope_.call().cancel.cancelled()) return false;
    JsonArray citations;
    for (const Citation& citation : piece.citations) citations.emplace_back(location_json(citation, found_, call_.documents));
    if (call_.stream) return events_.add_cited(piece.text, std::move(citations));
    content_.emplace_back(text_block(piece.text, std::move(citations)));
    return true;
  }

  const Dependencies& dependencies_;
  RequestScope& scope_;
  MessageCall call_;
  const std::shared_ptr<models::Generator> generator_;
  GroundingRequest asked_;
  DocumentPassages found_;
  JsonArray content_;
  SseStream stream_;
  const MessageHead head_;
  MessageEvents events_;
};

}  // namespace

Result<std::optional<infra::HttpResponse>> answer_with_citations(const Dependencies& dependencies, RequestScope& scope, MessageCall call) {
  if (dependencies.grounding == nullptr) return fail(error(ErrorCode::kUnsupported, "this server does not cite documents").with_param("messages"));
  STOA_TRY(generator, dependencies.models.generator(call.request.model, scope));
  return CitedAnswer(dependencies, scope, std::move(call), std::move(generator)).run();
}

}  // namespace stoa::gateway::anthropic
