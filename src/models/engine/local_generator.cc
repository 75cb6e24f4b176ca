#include "models/engine/local_generator.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "models/engine/answer_reader.h"
#include "models/engine/constraint_cache.h"
#include "models/tools/answer_grammar.h"

namespace stoa::models {
namespace {

constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxStopBytes = 1024;

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

Status check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStops) {
    return fail(error(ErrorCode::kInvalidArgument, "there are {} stop strings, but at most {} are allowed", stops.size(), kMaxStops).with_param("stop"));
  }
  for (const auto& stop : stops) {
    if (stop.empty()) return fail(error(ErrorCode::kInvalidArgument, "a stop string is empty").with_param("stop"));
    if (stop.size() > kMaxStopBytes) {
      return fail(error(ErrorCode::kInvalidArgument, "a stop string has {} bytes, but at most {} are allowed", stop.size(), kMaxStopBytes).with_param("stop"));
    }
  }
  return {};
}

std::string_view finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kToolCalls: return "tool_calls";
    case FinishReason::kLength: return "length";
    case FinishReason::kContentFilter: return "content_filter";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kError: return "error";
  }
  return "error";
}

// Markers of tool calls and reasoning that are control tokens in this vocabulary.
std::vector<std::int32_t> shown_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& markers) {
  std::vector<std::int32_t> out;
  for (const std::string& marker : markers) {
    if (const TokenId id = tokenizer.find(marker); id != kNoToken && tokenizer.is_control(id)) out.push_back(id);
  }
  return out;
}

// What was decided while loading, and why.
std::vector<ReportedChoice> explain(const EngineOptions& options, const BackendReport& computed, const MemoryPlan& plan, const KvPool& pool, int model_context, int context) {
  const auto& o = options.scheduler;
  std::vector<ReportedChoice> out;
  out.push_back({"kernels", computed.kernels, computed.why});
  out.push_back({"weights", in_mib(plan.weights), "matrices packed for the kernels when they are first used; every token reads all of them, so they have to stay in memory"});
  out.push_back({"keys and values", in_mib(plan.keys_and_values),
                 fmt::format("{} pages of {} tokens in {} ({} each), for running requests and the prefix cache; taken from the system as they are used", pool.pages(), kPageTokens,
                             kv_type_name(pool.layout().type), in_mib(pool.layout().page_bytes()))});
  out.push_back({"activations", in_mib(plan.activations), fmt::format("the largest step: {} tokens of prompts and {} that decode or are guessed", o.step_tokens, std::max(o.slots, o.guess_rows))});
  const int pool_tokens = static_cast<int>(std::min<std::int64_t>(std::int64_t{pool.pages()} * kPageTokens, model_context));
  out.push_back({"context", fmt::format("{} tokens", context),
                 context == model_context ? "the model's own" : context == pool_tokens ? "as many as the memory for keys and values holds" : "engine.context"});
  out.push_back({"speculation", options.draft_model.empty() ? "prompt lookup" : "prompt lookup and a draft model",
                 o.guess_rows > 0 ? fmt::format("while sequences that decode leave room in {} rows of a step", o.guess_rows) : "off: engine.guess_rows is 0"});
  return out;
}

}  // namespace

// The parts of a draft model.
struct LocalGenerator::Draft {
  explicit Draft(GgufFile f) : file(std::move(f)) {}

  GgufFile file;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<KvPool> pool;
};

// In order of construction: each part refers to those before it.
struct LocalGenerator::Loaded {
  Loaded(Backend& b, GgufFile f, Tokenizer t, const std::string& name) : backend(b), file(std::move(f)), tokenizer(std::move(t)), adapters(name) {}

  Backend& backend;

  GgufFile file;
  Tokenizer tokenizer;
  AdapterSet adapters;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<KvPool> pool;
  std::unique_ptr<Draft> draft;
  std::unique_ptr<PromptBuilder> prompts;
  std::unique_ptr<ConstraintCache> constraints;
  std::vector<std::int32_t> shown;
  std::unique_ptr<Scheduler> scheduler;
  ModelReport report;
};

LocalGenerator::LocalGenerator(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
LocalGenerator::~LocalGenerator() = default;

Result<std::unique_ptr<LocalGenerator::Draft>> LocalGenerator::load_draft(const EngineOptions& options, const Tokenizer& tokenizer,
                                                                          Backend& backend) {
  STOA_TRY(file, GgufFile::open(options.draft_model));
  auto draft = std::make_unique<Draft>(std::move(file));
  auto own = Tokenizer::from_gguf(draft->file);
  if (!own) return fail(std::move(own.error()).in(options.draft_model.string()));
  if (auto same = check_same_tokens(tokenizer, *own); !same) return fail(std::move(same.error()).in(options.draft_model.string()));
  STOA_TRY(decoder, Decoder::load(draft->file, backend));
  draft->decoder = std::make_unique<Decoder>(std::move(decoder));
  if (own->size() > draft->decoder->config().vocabulary) {
    return fail(ErrorCode::kDataLoss, "{}: the tokenizer has {} tokens, but token_embd.weight only {} rows", options.draft_model.string(), own->size(),
                draft->decoder->config().vocabulary);
  }
  STOA_TRY(pool, KvPool::create(draft->decoder->kv_layout(), options.draft_kv_bytes));
  draft->pool = std::make_unique<KvPool>(std::move(pool));
  return draft;
}

Result<std::unique_ptr<LocalGenerator>> LocalGenerator::load(const std::filesystem::path& path, std::string name, const EngineOptions& options,
                                                            Backend& backend, Metrics& metrics) {
  const auto begin = std::chrono::steady_clock::now();
  STOA_TRY(file, GgufFile::open(path));
  auto tokenizer = Tokenizer::from_gguf(file);
  if (!tokenizer) return fail(std::move(tokenizer.error()).in(path.string()));
  auto loaded = std::make_unique<Loaded>(backend, std::move(file), std::move(*tokenizer), name);
  auto& l = *loaded;
  STOA_TRY(decoder, Decoder::load(l.file, backend, options.context_length, options.kv_type));
  l.decoder = std::make_unique<Decoder>(std::move(decoder));
  const auto& config = l.decoder->config();
  if (l.tokenizer.size() > config.vocabulary) {
    return fail(ErrorCode::kDataLoss, "{}: the tokenizer has {} tokens, but token_embd.weight only {} rows", path.string(), l.tokenizer.size(),
                config.vocabulary);
  }
  const auto& o = options.scheduler;
  const int trial_rows = std::max(o.slots, o.guess_rows);
  MemoryPlan plan{.weights = l.decoder->weight_bytes(),
                  .keys_and_values = options.kv_bytes,
                  .activations = l.decoder->activation_bytes(o.step_tokens + trial_rows, trial_rows)};
  if (!options.draft_model.empty()) {
    STOA_TRY(draft, load_draft(options, l.tokenizer, backend));
    l.draft = std::move(draft);
    plan.weights += l.draft->decoder->weight_bytes();
    plan.keys_and_values += options.draft_kv_bytes;
    plan.activations += l.draft->decoder->activation_bytes(DraftModel::kReadAtOnce, 1);
  }
  const auto available = available_memory();
  STOA_CHECK(check_memory(plan, available, name));
  STOA_TRY(pool, KvPool::create(l.decoder->kv_layout(), options.kv_bytes));
  l.pool = std::make_unique<KvPool>(std::move(pool));
  STOA_TRY(chat_template, l.file.get_string_or("tokenizer.chat_template", ""));
  l.prompts = std::make_unique<PromptBuilder>(l.tokenizer, chat_template, options.tool_pattern);
  const auto markers = marker_tokens(l.prompts->tool_format());
  l.constraints = std::make_unique<ConstraintCache>(l.tokenizer, markers);
  l.shown = shown_tokens(l.tokenizer, markers);
  std::optional<DraftModel> draft;
  if (l.draft != nullptr) draft.emplace(*l.draft->decoder, *l.draft->pool, l.tokenizer.size());
  l.scheduler = std::make_unique<Scheduler>(*l.decoder, *l.pool, l.tokenizer, options.scheduler, metrics, name, draft);

  const BackendReport computed = backend.report();
  auto& r = l.report;
  r = {.architecture = config.architecture, .name = std::move(name), .weight_type = std::string(dtype_info(l.decoder->weight_type()).name),
       .isa = computed.kernels, .draft_model = options.draft_model.string(), .memory = plan, .available = available, .kv_type = options.kv_type,
       .context_length = l.scheduler->context_length(), .vocabulary = config.vocabulary, .threads = computed.threads, .load_seconds = 0,
       .tensors = group_tensors(l.file, backend), .choices = {}};
  if (options.context_length > 0) r.context_length = std::min(r.context_length, options.context_length);
  r.choices = explain(options, computed, plan, *l.pool, config.context_length, r.context_length);
  r.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  log_report(r, path.string());
  return std::unique_ptr<LocalGenerator>(new LocalGenerator(std::move(loaded)));
}

const ModelReport& LocalGenerator::report() const { return loaded_->report; }
int LocalGenerator::context_length() const { return loaded_->report.context_length; }
void LocalGenerator::stop(std::chrono::milliseconds drain) { loaded_->scheduler->stop(drain); }

std::vector<NamedAdapter> LocalGenerator::adapters(std::string_view project) const { return loaded_->adapters.visible(project); }

bool LocalGenerator::has_adapter(std::string_view name, std::string_view owner) const { return loaded_->adapters.has(name, owner); }

Status LocalGenerator::load_adapter(const AdapterFile& file) {
  STOA_CHECK(loaded_->adapters.load(file, loaded_->decoder->config(), loaded_->backend));
  log(LogLevel::kInfo, "adapter loaded", {{"model", loaded_->report.name}, {"adapter", file.name}, {"owner", file.owner}, {"path", file.path.string()}});
  return {};
}

Status LocalGenerator::unload_adapter(const std::string& name, std::string_view owner) {
  STOA_CHECK(loaded_->adapters.unload(name, owner));
  log(LogLevel::kInfo, "adapter unloaded", {{"model", loaded_->report.name}, {"adapter", name}, {"owner", std::string(owner)}});
  return {};
}

Result<std::int64_t> LocalGenerator::count_prompt_tokens(const ChatRequest& request) const {
  STOA_TRY(prompt, loaded_->prompts->build(request));
  return static_cast<std::int64_t>(prompt.tokens.size());
}

Result<Generation> LocalGenerator::prepare(const Call& call, const ChatRequest& request, Prompt prompt) const {
  STOA_CHECK(check_stops(request.stop));
  STOA_CHECK(check_sampling(request.sampling, loaded_->report.vocabulary));
  if (request.max_tokens < 0) {
    return fail(error(ErrorCode::kInvalidArgument, "max_tokens is {}, but has to be at least 1", request.max_tokens).with_param("max_tokens"));
  }
  STOA_TRY(adapter, loaded_->adapters.choose(request.model, call.principal.project));
  const int size = static_cast<int>(std::min<std::size_t>(prompt.tokens.size(), 1u << 30));
  const int room = context_length() - size;
  if (room < 1) {
    return fail(error(ErrorCode::kTooLarge, "the prompt has {} tokens, but the model's context is {} tokens and the answer needs at least one of them",
                      prompt.tokens.size(), context_length())
                    .with_hint("Shorten the prompt or choose a model with a longer context.")
                    .with_param(request.messages.empty() ? "prompt" : "messages"));
  }
  std::shared_ptr<const Constraint> constraint;
  if (has_grammar(request)) {
    const ToolFormat format = loaded_->prompts->tool_format();
    const Reasoning reasoning = request.messages.empty() ? Reasoning::kNone : prompt.reasoning;
    auto compiled = loaded_->constraints->get(grammar_key(request, format, reasoning), [&] { return answer_grammar(request, format, reasoning); });
    if (!compiled) {
      Error error = std::move(compiled.error());
      if (error.code == ErrorCode::kTooLarge) error.code = ErrorCode::kInvalidArgument;  // the prompt is not what is too large
      return fail(std::move(error));
    }
    constraint = std::move(*compiled);
  }
  return Generation{.tenant = call.principal.tenant,
                    .priority = request.priority,
                    .cancel = call.cancel,
                    .deadline = call.deadline,
                    .adapter = std::move(adapter),
                    .prompt = std::move(prompt.tokens),
                    .max_tokens = request.max_tokens == 0 ? room : std::min(request.max_tokens, room),
                    .ignore_eos = request.ignore_eos,
                    .stop = request.stop,
                    .sampling = request.sampling,
                    .seed = request.sampling.seed ? *request.sampling.seed : random_seed(),
                    .constraint = std::move(constraint),
                    .reasoning = prompt.reasoning,
                    .shown = loaded_->shown};
}

// Hands the answer to the sink, its parts told apart where there can be any.
Result<ChatOutcome> LocalGenerator::read(Outbox& outbox, const ChatRequest& request, Reasoning reasoning, const DeltaSink& sink) const {
  std::optional<AnswerReader> reader;
  if (offers_tools(request)) reader.emplace(loaded_->prompts->tool_format(), reasoning, request.tools);
  else if (reasoning != Reasoning::kNone) reader.emplace(std::nullopt, reasoning);
  bool reading = true;
  while (auto delta = outbox.pop()) {
    if (!reading) continue;
    if (reader) delta = reader->read(std::move(*delta));
    if (delta && !sink(*delta)) {
      reading = false;
      outbox.abandon();
    }
  }
  auto outcome = outbox.outcome();
  if (!outcome || !reader || !reading) return outcome;
  if (const auto rest = reader->finish()) sink(*rest);
  if (outcome->finish == FinishReason::kStop && reader->called_tools()) outcome->finish = FinishReason::kToolCalls;
  return outcome;
}

Result<ChatOutcome> LocalGenerator::generate(const Call& call, const ChatRequest& request, const DeltaSink& sink) {
  const std::string operation = request.messages.empty() ? "text_completion" : "chat";
  Span span = call.span(operation + " " + loaded_->report.name);
  span.set("gen_ai.operation.name", operation);
  span.set("gen_ai.provider.name", std::string("stoa"));
  span.set("gen_ai.request.model", request.model);
  const auto failed = [&](Error error) {
    span.fail(error.message);
    return fail(std::move(error));
  };

  auto prompt = loaded_->prompts->build(request);
  if (!prompt) return failed(std::move(prompt.error()));
  const Reasoning reasoning = request.messages.empty() ? Reasoning::kNone : prompt->reasoning;
  auto generation = prepare(call, request, std::move(*prompt));
  if (!generation) return failed(std::move(generation.error()));
  auto outbox = loaded_->scheduler->submit(std::move(*generation));
  if (!outbox) return failed(std::move(outbox.error()));
  auto outcome = read(**outbox, request, reasoning, sink);
  if (!outcome) return failed(std::move(outcome.error()));
  const auto& usage = outcome->usage;
  span.set("gen_ai.usage.input_tokens", usage.prompt_tokens);
  span.set("gen_ai.usage.output_tokens", usage.completion_tokens);
  span.set("gen_ai.response.finish_reasons", std::string(finish_name(outcome->finish)));
  span.set("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
  span.set("stoa.queue_micros", usage.queue_micros);
  span.set("stoa.first_token_micros", usage.first_token_micros);
  span.set("stoa.compute_micros", usage.compute_micros);
  return outcome;
}

}  // namespace stoa::models
