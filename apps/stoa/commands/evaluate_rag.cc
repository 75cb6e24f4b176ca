// Answers from documents, measured along the path that serves them: the retriever, then one of the two answerers.
#include <algorithm>
#include <functional>
#include <set>

#include "base/utf8.h"
#include "commands/evaluation_bench.h"
#include "feedback/evaluation/rag.h"
#include "gateway/grounding/evidence.h"
#include "gateway/grounding/extractive.h"
#include "gateway/grounding/generative.h"
#include "gateway/grounding/sentences.h"
#include "infra/config/yaml.h"
#include "wiring/defaults.h"

namespace stoa::cli {
namespace {

constexpr std::size_t kJudgedBytes = 2400;  // of the passages, shown to a model that judges

struct JudgePrompts {
  std::string system, user;
};

Result<JudgePrompts> judge_prompts(const wiring::DataFile& file) {
  STOA_TRY(document, infra::parse_yaml(file.text, file.name));
  STOA_TRY(section, document.at("judge"));
  STOA_TRY(system, section->at("system"));
  STOA_TRY(user, section->at("user"));
  STOA_TRY(system_text, system->text());
  STOA_TRY(user_text, user->text());
  if (!user_text.contains("{text}") || !user_text.contains("{statement}")) return fail(user->wrong("'user' must contain {text} and {statement}"));
  return JudgePrompts{system_text, user_text};
}

class RagEvaluation {
 public:
  RagEvaluation(EvaluationBench& bench, const EvalOptions& options, gateway::GroundingSettings settings, JudgePrompts prompts, std::string collection, data::SearchOptions search)
      : bench_(bench), options_(options), settings_(std::move(settings)), prompts_(std::move(prompts)), collection_(std::move(collection)), search_(std::move(search)) {}

  Result<feedback::EvaluationRun> run(const std::string& answerer) {
    feedback::RagFunctions functions;
    functions.answer = [this, generative = answerer == "generative"](const std::string& question) { return answer(question, generative); };
    functions.claims = [](std::string_view text) {
      std::vector<std::string> claims;
      for (const gateway::Sentence& sentence : gateway::split_sentences(text)) claims.emplace_back(sentence.in(text));
      return claims;
    };
    const bool by_model = options_.judge == "model";
    functions.supported = [this, by_model](std::span<const std::string> texts, std::span<const std::string> statements) { return by_model ? judged_by_model(texts, statements) : judged_by_evidence(texts, statements); };
    return feedback::evaluate_rag(bench_.call(), bench_.set(), answerer, functions, bench_.progress(answerer));
  }

 private:
  Result<feedback::RagAnswer> answer(const std::string& question, bool generative) {
    const Call& call = bench_.call();
    STOA_TRY(found, bench_.bench().retriever().find(call, std::span(&collection_, 1), question, search_));
    gateway::GroundingRequest request;
    request.question = question;
    request.options.model = bench_.config().models.generator;
    request.options.sampling.temperature = settings_.temperature;  // as for a caller who names none
    feedback::RagAnswer out;
    for (const data::Found& one : found) {
      request.passages.push_back(one.passage);
      out.passages.push_back({feedback::found_item(one), one.passage.text, one.passage.context});
    }
    const gateway::TextSink ignore = [](const gateway::AnswerPiece&) { return true; };
    data::Embedder* embedder = bench_.bench().embedder();
    auto answered = generative ? gateway::GenerativeAnswerer(settings_, *bench_.bench().models().generator, embedder).answer(call, request, ignore)
                               : gateway::ExtractiveAnswerer(settings_, embedder).answer(call, request, ignore);
    if (!answered) return fail(std::move(answered).error().in(question));
    if (answered->failure) return fail(std::move(*answered->failure).in(question));
    out.text = to_valid_utf8(answered->text);
    out.answered = answered->answered;
    out.generated = answered->mode == gateway::AnswerMode::kGenerative;
    for (const gateway::Citation& citation : answered->citations) out.citations.push_back({citation.begin, citation.end, citation.passage, citation.quote, citation.from, citation.in_context});
    out.prompt_tokens = answered->usage.prompt_tokens;
    out.completion_tokens = answered->usage.completion_tokens;
    return out;
  }

  // As sentences of generated answers are checked, but against every passage that was found, and one at a time: all together have more sentences than Evidence reads.
  Result<std::vector<bool>> judged_by_evidence(std::span<const std::string> texts, std::span<const std::string> statements) {
    std::vector<bool> supported(statements.size());
    for (const std::string& text : texts) {
      if (std::ranges::all_of(supported, std::identity())) break;
      Passage passage;
      passage.text = text;
      STOA_TRY(evidence, gateway::Evidence::collect(bench_.call(), bench_.bench().embedder(), settings_, "", std::span(&passage, 1)));
      for (std::size_t i = 0; i < statements.size(); ++i) {
        if (supported[i]) continue;
        STOA_TRY(support, evidence.support(bench_.call(), statements[i]));
        supported[i] = !support.found.empty();
      }
    }
    return supported;
  }

  // Yes or no, by construction.
  Result<std::vector<bool>> judged_by_model(std::span<const std::string> texts, std::span<const std::string> statements) {
    std::string all;
    for (const std::string& text : texts) all += text + "\n\n";
    if (all.size() > kJudgedBytes) all.resize(kJudgedBytes);
    all.resize(complete_utf8_prefix(all));
    std::vector<bool> supported;
    for (const std::string& statement : statements) {
      ChatRequest request;
      request.model = bench_.config().models.generator;
      request.messages = {{.role = "system", .content = prompts_.system}, {.role = "user", .content = gateway::fill_template(prompts_.user, {{"text", all}, {"statement", statement}})}};
      request.max_tokens = 4;
      request.sampling.temperature = 0;
      request.constraint = AnswerConstraint{AnswerConstraint::Kind::kRegex, "(Yes|No)", ""};
      std::string said;
      const auto outcome = bench_.bench().models().generator->generate(bench_.call(), request, [&](const ChatDelta& delta) {
        said += delta.text;
        return true;
      });
      if (!outcome) return fail(Error(outcome.error()).in("the judge"));
      supported.push_back(said.starts_with("Yes"));
    }
    return supported;
  }

  EvaluationBench& bench_;
  const EvalOptions& options_;
  const gateway::GroundingSettings settings_;
  const JudgePrompts prompts_;
  const std::string collection_;
  const data::SearchOptions search_;
};

void say_how(EvaluationBench& bench, const EvalOptions& options, const gateway::GroundingSettings& settings, feedback::EvaluationReport& report) {
  const auto say = [&](const char* name, std::string value) { report.settings.emplace_back(name, std::move(value)); };
  const wiring::Models& models = bench.bench().models();
  say("generating model", models.generator ? bench.config().models.generator : "none");
  if (models.generator && models.generator_artifact.valid()) say("its weights", models.generator_artifact.get());
  say("prompts", settings.version);
  say("judge of support", options.judge);
  say("passages", std::to_string(options.passages));
  say("fusion", options.fusion);
  say("rerank", std::to_string(options.rerank));
}

Result<feedback::EvaluationReport> run_rag(const Global& global, const EvalOptions& options) {
  STOA_TRY(bench, EvaluationBench::open(global, options, {}));
  const bool needs_model = options.judge == "model" || std::ranges::find(options.answerers, "generative") != options.answerers.end();
  if (needs_model && !bench->bench().models().generator)
    return fail(error(ErrorCode::kNotFound, "no generating model is in the data folder").with_hint("stoa pull it, or measure with --answerer extractive --judge evidence"));
  STOA_TRY(file, wiring::data_file(bench->config().answers.prompts, "prompts.yaml"));
  STOA_TRY(settings, gateway::parse_grounding_settings(file.text, file.name));
  JudgePrompts prompts;
  if (options.judge == "model") {
    STOA_TRY(read, judge_prompts(file));
    prompts = std::move(read);
  }
  data::SearchOptions search;
  STOA_TRY(fusion, data::parse_fusion(options.fusion));
  search.fusion = fusion;
  search.rerank = static_cast<std::size_t>(options.rerank);
  search.k = static_cast<std::size_t>(options.passages);
  STOA_TRY(collection, bench->fill());
  feedback::EvaluationReport report = bench->report("rag", options);
  say_how(*bench, options, settings, report);
  RagEvaluation evaluation(*bench, options, settings, std::move(prompts), collection, search);
  std::set<std::string> done;
  for (const std::string& answerer : options.answerers) {
    if (!done.insert(answerer).second) continue;
    STOA_TRY(run, evaluation.run(answerer));
    report.runs.push_back(std::move(run));
  }
  return report;
}

}  // namespace

int eval_rag(const Global& global, const EvalOptions& options) { return finish_evaluation(global, options, run_rag(global, options)); }

}  // namespace stoa::cli
