#include "gateway/api/openai/response_run.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "base/id.h"
#include "base/log.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/openai/asides.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/generation.h"
#include "gateway/api/retrieval.h"
#include "gateway/api/search_json.h"
#include "gateway/grounding/extractive.h"
#include "gateway/grounding/generative.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::string_view kPrompt = "input";

auto find_question(const std::vector<ChatMessage>& messages) { return std::ranges::find(messages.rbegin(), messages.rend(), "user", &ChatMessage::role); }

std::string last_question(const std::vector<ChatMessage>& messages) {
  const auto last = find_question(messages);
  return last == messages.rend() ? std::string() : last->content;
}

// What was said before it: in earlier responses, and in the input itself.
std::vector<ChatMessage> before_question(std::vector<ChatMessage> history, const std::vector<ChatMessage>& messages) {
  history.insert(history.end(), messages.begin(), find_question(messages).base() - 1);
  return history;
}

}  // namespace

ResponseRun::ResponseRun(const Dependencies& dependencies, RequestScope& scope, ResponseCall call)
    : dependencies_(dependencies), scope_(scope), call_(std::move(call)), stream_(scope),
      events_(call_, record_, [this](std::string_view type, const JsonObject& event) { return stream_.send(event, type); }) {
  record_.id = scope.inside() != nullptr && !scope.inside()->answer_id.empty() ? scope.inside()->answer_id : new_id("resp");
  call_.stream = call_.stream || call_.background;  // its events are kept
  record_.message_id = new_id("msg");
  record_.created = (scope.inside() != nullptr && scope.inside()->asked > 0 ? scope.inside()->asked : scope.started()) / 1'000'000;
  scope.set_answer_id(record_.id);
}

Reply ResponseRun::run() {
  STOA_CHECK(prepare());
  if (call_.background) STOA_CHECK(begin_events());
  Status status = answer();
  // Nobody's connection is cut when a background response is cancelled: it ends with what there is.
  const bool cancelled = scope_.call().cancel.cancelled();
  if (cancelled && call_.background) {
    status = {};
    record_.status = ResponseStatus::kCancelled;
  }
  if (!status && !begun_) return std::unexpected(std::move(status).error());
  if (!status) {
    record_.status = ResponseStatus::kFailed;
    record_.error = status.error();
    scope_.set_error(status.error());
  }
  if (cancelled && !call_.background) return fail(ErrorCode::kCancelled, "the client went away");
  if (auto stored = store(); !stored) {
    if (!begun_) return std::unexpected(std::move(stored).error());
    log_error("response not stored", stored.error(), {{"response", record_.id}});
    record_.status = ResponseStatus::kFailed;
    record_.error = stored.error();
    scope_.set_error(stored.error());
  }
  if (!call_.stream) return ok_json(response_json(call_, record_));
  if (scope_.conclude()) events_.end();  // else the end is missing, and the stream is cut
  stream_.end();
  return std::nullopt;
}

Status ResponseRun::prepare() {
  const bool searches = call_.file_search && call_.search_allowed;
  const ServedModel* own_choice = dependencies_.models.default_generator();
  const bool any_generator = own_choice != nullptr;
  if (call_.request.model.empty()) call_.request.model = any_generator ? own_choice->id : "extractive";
  auto right = scope_.allow(governance::Action::kModelUse, governance::Resource::of(scope_.principal(), "model", call_.request.model));
  // Whoever may read documents but not use models gets the passages themselves; so does everyone while no model is loaded.
  if (searches && (call_.extractive || !right || !any_generator)) {
    generator_ = nullptr;
    scope_.answer().model.name = "extractive";
  } else {
    if (!right) return fail(std::move(right).error());
    STOA_CHECK(allow_priority(scope_, call_.request));
    if (scope_.call().batch) call_.request.priority = kBatchPriority;
    STOA_TRY(generator, dependencies_.models.generator(call_.request.model, scope_));
    generator_ = generator;
    if (searches && !call_.own_temperature) call_.request.sampling.temperature = dependencies_.grounding.temperature;
    note_model(scope_, dependencies_.models, call_.request);
  }
  if (!call_.previous_response_id.empty()) {
    STOA_TRY(messages, dependencies_.responses.history(scope_.principal(), call_.previous_response_id));
    history_ = std::move(messages);
  }
  return {};
}

Status ResponseRun::answer() {
  const std::string question = last_question(call_.request.messages);
  scope_.set_content(question, {});
  const bool searches = call_.file_search && call_.search_allowed;
  if (searches && question.empty()) return fail(error(ErrorCode::kInvalidArgument, "file_search needs a message of the role 'user' in 'input'").with_param("input"));
  STOA_CHECK(searches ? answer_from_documents() : answer_from_model());
  scope_.set_content(question, record_.text);
  return {};
}

Status ResponseRun::begin_events() {
  if (begun_ || !call_.stream) return {};
  begun_ = true;
  if (!events_.begin()) return fail(ErrorCode::kCancelled, "the client went away");
  return {};
}

bool ResponseRun::say(std::string_view text) {
  if (!text.empty() && !record_.message_after) record_.message_after = record_.calls.size();
  record_.text += text;
  if (scope_.call().cancel.cancelled()) return false;
  return !call_.stream || (begin_events() && events_.text(text));
}

bool ResponseRun::hear(const ChatDelta& delta) {
  return say(delta.text) && std::ranges::all_of(delta.tool_calls, [this](const ToolCallDelta& call) { return call_tool(call); });
}

bool ResponseRun::call_tool(const ToolCallDelta& delta) {
  if (!delta.id.empty()) {
    if (!end_call()) return false;
    record_.calls.push_back({.id = new_id("fc"), .call = {delta.id, delta.name, {}}, .done = false});
    if (call_.stream && !(begin_events() && events_.call_begin())) return false;
  }
  if (record_.calls.empty() || delta.arguments.empty()) return true;
  record_.calls.back().call.arguments += delta.arguments;
  return !call_.stream || events_.call_arguments(delta.arguments);
}

// The last call is whole.
bool ResponseRun::end_call() {
  if (record_.calls.empty() || record_.calls.back().done) return true;
  record_.calls.back().done = true;
  return !call_.stream || events_.call_end();
}

Status ResponseRun::search(const SearchText& text) {
  const FileSearchTool& tool = *call_.file_search;
  record_.search = SearchCall{.id = new_id("fs"), .query = text.query, .how = text.how, .hits = {}, .done = false};
  data::SearchOptions options = first_options(scope_.call(), dependencies_.retriever, tool.stores);
  options.k = static_cast<std::size_t>(tool.max_results);
  options.filter = tool.filter.value_or(data::Filter{});
  if (tool.score_threshold > 0) options.min_score = tool.score_threshold;
  if (options.rerank > 0) options.rerank = std::max(options.rerank, options.k);
  auto findings = retrieve(scope_, dependencies_.retriever, {tool.stores, text.query, std::move(options)});
  if (!findings) {
    Error error = std::move(findings).error();
    if (error.param.empty() && error.code == ErrorCode::kNotFound) error.param = "tools[0].vector_store_ids";
    return fail(std::move(error));
  }
  STOA_CHECK(begin_events());
  if (call_.stream && !events_.search_begin()) return fail(ErrorCode::kCancelled, "the client went away");
  for (data::Found& found : findings->found) {
    record_.search->hits.push_back({.passage = found.passage, .attributes = call_.include_results ? attributes_json(found.attributes) : JsonObject{}});
    passages_.push_back(std::move(found.passage));
  }
  record_.search->done = true;
  if (call_.stream && !events_.search_end()) return fail(ErrorCode::kCancelled, "the client went away");
  return {};
}

Result<GroundedAnswer> ResponseRun::grounded(GroundingRequest& request) {
  const GroundingSettings& settings = dependencies_.grounding;
  Asides asked;
  if (generator_ != nullptr) {
    STOA_TRY(chosen, choose_asides(scope_, dependencies_.models, settings, call_.request.model));
    asked = std::move(chosen);
  }
  SearchText text = resolve_question(scope_.call(), settings, asked.own, request.history, request.question);
  asides_ = std::move(text.charges);
  const auto start = std::chrono::steady_clock::now();
  STOA_CHECK(search(text));
  const auto searched = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  request.query = text.query;
  request.passages = passages_;
  const TextSink sink = [this](const AnswerPiece& piece) { return say(piece.text); };
  auto answer = generator_ == nullptr ? ExtractiveAnswerer(settings, dependencies_.embedder).answer(scope_.call(), request, sink)
                                      : GenerativeAnswerer(settings, *generator_, dependencies_.embedder, asked.judge).answer(scope_.call(), request, sink);
  if (answer) answer->usage.compute_micros += searched;
  return answer;
}

Status ResponseRun::charge_asides() {
  for (const ChatCharge& charge : asides_) STOA_CHECK(scope_.charge(charge));
  return {};
}

Status ResponseRun::answer_from_documents() {
  const Usage estimate = generator_ != nullptr ? grounded_estimate(dependencies_.grounding) : Usage{};
  STOA_CHECK(scope_.reserve("response", generator_ != nullptr ? call_.request.model : "extractive", estimate, generator_ != nullptr ? generator_->targets() : std::vector<std::string>{}));
  const auto start = std::chrono::steady_clock::now();
  GroundingRequest request{.question = last_question(call_.request.messages), .query = {}, .instructions = call_.instructions, .history = before_question(history_, call_.request.messages), .passages = {},
                           .options = call_.request};
  Result<GroundedAnswer> answer = grounded(request);
  if (!answer) {
    STOA_CHECK(charge_asides());
    return fail(context_overflow(std::move(answer).error(), kPrompt));
  }
  note(*answer);
  answer->usage.total_micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  GenerationOutcome outcome{.usage = answer->usage, .charges = {{answer->target, "", answer->usage}}, .cache = answer->cache, .failure = answer->failure};
  std::ranges::move(asides_, std::back_inserter(outcome.charges));
  std::ranges::move(answer->also, std::back_inserter(outcome.charges));
  return finish(outcome, FinishReason::kStop);
}

void ResponseRun::note(const GroundedAnswer& answer) {
  record_.mode = answer_mode_name(answer.mode);
  record_.dropped_sentences = answer.dropped_sentences;
  for (const TextRange range : answer.unsupported)
    record_.unsupported.push_back({code_points(std::string_view(answer.text).substr(0, range.begin)), code_points(std::string_view(answer.text).substr(0, range.end))});
  cite(answer);
  note_grounds(scope_.answer(), answer, record_.annotations, dependencies_.grounding);
}

void ResponseRun::cite(const GroundedAnswer& answer) {
  record_.annotations = annotations_of(answer);
  for (Annotation& noted : record_.annotations)
    noted.url = dependencies_.public_url + dependencies_.links.path(scope_.principal(), noted.passage.document_id, noted.passage.anchor, noted.passage.page);
}

// With truncation "auto" the oldest turns make room; the instructions and the last message stay.
Status ResponseRun::fit(ChatRequest& request) {
  if (!call_.truncate) return {};
  const std::size_t first = call_.instructions.empty() ? 0 : 1;
  const std::int64_t room = generator_->context_length() - std::max(request.max_tokens, 16);
  while (request.messages.size() > first + 1) {
    STOA_TRY(tokens, generator_->count_prompt_tokens(request));
    if (tokens <= room) return {};
    const auto oldest = request.messages.begin() + static_cast<std::ptrdiff_t>(first);
    // Answers of tools go with the calls that they answer.
    const auto next = std::find_if(oldest + 1, request.messages.end() - 1, [](const ChatMessage& message) { return message.role != "tool"; });
    request.messages.erase(oldest, next);
  }
  return {};
}

Status ResponseRun::answer_from_model() {
  ChatRequest request = call_.request;
  request.messages.clear();
  if (!call_.instructions.empty()) request.messages.push_back({"system", call_.instructions});
  std::ranges::copy(history_, std::back_inserter(request.messages));
  std::ranges::copy(call_.request.messages, std::back_inserter(request.messages));
  STOA_CHECK(fit(request));
  request.whole = !call_.stream;
  Generation generation;
  add_choices(generation, request, 1);
  STOA_CHECK(reserve_generation(scope_, *generator_, generation, "response", kPrompt));
  FinishReason finish_reason = FinishReason::kStop;
  const GenerationSink sink{.delta = [this](int, const ChatDelta& delta) { return hear(delta); },
                            .done = [&](int, const ChatOutcome& done) {
                              finish_reason = done.finish;
                              return true;
                            }};
  STOA_TRY(outcome, run_generation(scope_.call(), *generator_, generation, sink, kPrompt));
  if (finish_reason != FinishReason::kLength) {
    end_call();
  } else if (call_.stream && !record_.calls.empty() && !record_.calls.back().done) {
    record_.status = ResponseStatus::kIncomplete;  // the call was cut off, and is shown so
    events_.call_end();
  }
  return finish(outcome, finish_reason);
}

Status ResponseRun::finish(const GenerationOutcome& outcome, FinishReason reason) {
  STOA_TRY(report, settle_generation(scope_, outcome));
  record_.usage = std::move(report);
  if (record_.calls.empty() && !record_.message_after) record_.message_after = 0;  // an empty answer is a message, too
  record_.message_done = record_.message_after.has_value();
  record_.status = reason == FinishReason::kLength || reason == FinishReason::kContentFilter ? ResponseStatus::kIncomplete : ResponseStatus::kCompleted;
  record_.filtered = reason == FinishReason::kContentFilter;
  return begin_events();
}

Status ResponseRun::store() {
  if (!call_.store) return {};
  StoredResponse stored{.id = record_.id, .previous = call_.previous_response_id, .response = response_json(call_, record_), .input = input_items_json(call_.request.messages)};
  return call_.background ? dependencies_.responses.replace(scope_.principal(), stored) : dependencies_.responses.put(scope_.principal(), stored);
}

}  // namespace stoa::gateway::openai
