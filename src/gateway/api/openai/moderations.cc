#include "gateway/api/openai/moderations.h"

#include "base/id.h"
#include "gateway/api/fields.h"
#include "gateway/api/generation.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/openai/reply.h"
#include "infra/config/yaml.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxTexts = 32, kMaxCategories = 64;
constexpr int kMarks = 10, kTokensOfCategory = 24, kTokensAround = 16;
constexpr std::string_view kPrompt = "input";

// A text, texts, or a list of parts that are judged together.
Result<std::vector<std::string>> parse_input(const Fields& body) {
  const Json* input = body.get("input");
  if (input == nullptr) return body.wrong("input", "a text or a list of texts; it is required");
  if (input->is_array() && !input->get_array().empty() && input->get_array()[0].is_object()) {
    STOA_TRY(parts, body.array("input", kMaxTexts));
    std::string whole;
    for (std::size_t i = 0; i < parts->size(); ++i) {
      const std::string path = fmt::format("input[{}]", i);
      const JsonObject* object = (*parts)[i].if_object();
      if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
      const Fields part(*object, path);
      STOA_TRY(type, part.required_text("type"));
      if (type != "text") return part.unsupported("type", "texts are judged, images are not");
      STOA_TRY(text, part.required_text("text"));
      whole += (whole.empty() ? "" : "\n") + text;
    }
    return std::vector{whole};
  }
  STOA_TRY(texts, body.texts("input", kMaxTexts));
  if (texts.empty()) return body.wrong("input", "a text or a non-empty list of texts");
  return texts;
}

// Its tokens are not counted by those who judge: a token for four bytes.
Reply have_judged(TextJudge& judge, RequestScope& scope, const std::string& model, const Fields& body) {
  const Json* input = body.get("input");
  if (input == nullptr) return body.wrong("input", "a text or a list; it is required");
  const std::string text = dump_json(*input);
  const Usage usage{.prompt_tokens = static_cast<std::int64_t>(text.size() + 3) / 4};
  STOA_CHECK(scope.reserve("moderation", model, usage));
  const std::string id = new_id("modr");
  scope.set_answer_id(id);
  scope.answer().model.name = model;
  STOA_TRY(results, judge.judge(scope.call(), *input));
  STOA_CHECK(scope.settle(usage));
  scope.set_content(text, dump_json(results));
  return ok_json({{"id", id}, {"model", model}, {"results", std::move(results)}, {"usage", JsonObject{{"stoa", stoa_json(report_usage(scope, usage))}}}});
}

Reply moderate(const Moderation& moderation, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(model, body.text_or("model", moderation.settings.model));
  if (moderation.find_judge) {
    STOA_TRY(judge, moderation.find_judge(scope.call(), model));
    if (judge != nullptr) return have_judged(*judge, scope, model, body);
  }
  STOA_TRY(texts, parse_input(body));
  auto generator = moderation.models.generator(model, scope);
  if (!generator && generator.error().code == ErrorCode::kNotFound)
    return fail(std::move(generator).error().with_hint("name a model that judges, or make a route of this name that leads to one: stoa routes set " + model + " FILE"));
  if (!generator) return fail(std::move(generator).error());
  Generation generation;
  for (const std::string& text : texts) add_choices(generation, moderation_request(moderation.settings, model, text), 1);
  STOA_CHECK(reserve_generation(scope, **generator, generation, "moderation", kPrompt));
  const std::string id = new_id("modr");
  scope.set_answer_id(id);
  note_model(scope, moderation.models, generation.requests.front());
  STOA_TRY(answers, collect_answer(scope, **generator, generation, kPrompt));
  JsonArray results;
  for (const Choice& choice : answers.choices) {
    STOA_TRY(result, moderation_result(moderation.settings, choice.text));
    results.push_back(std::move(result));
  }
  return ok_json({{"id", id}, {"model", model}, {"results", std::move(results)}, {"usage", JsonObject{{"stoa", stoa_json(answers.usage)}}}});
}

}  // namespace

Result<ModerationSettings> parse_moderation_settings(std::string_view yaml, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(yaml, name));
  constexpr std::string_view kKeys[] = {"model", "threshold", "instructions", "categories"};
  STOA_CHECK(root.only(kKeys));
  ModerationSettings out;
  STOA_TRY(model, root.at("model"));
  STOA_TRY(model_text, model->text());
  out.model = std::move(model_text);
  STOA_TRY(threshold, root.at("threshold"));
  STOA_TRY(number, threshold->number());
  if (number <= 0 || number > 1) return fail(threshold->wrong("the threshold has to lie above 0, and at most at 1"));
  out.threshold = number;
  STOA_TRY(instructions, root.at("instructions"));
  STOA_TRY(instructions_text, instructions->text());
  out.instructions = std::move(instructions_text);
  STOA_TRY(categories, root.at("categories"));
  if (categories->items().empty() || categories->items().size() > kMaxCategories) return fail(categories->wrong(fmt::format("1 to {} categories", kMaxCategories)));
  for (const infra::YamlNode& item : categories->items()) {
    constexpr std::string_view kCategoryKeys[] = {"name", "meaning"};
    STOA_CHECK(item.only(kCategoryKeys));
    STOA_TRY(category, item.at("name"));
    STOA_TRY(category_name, category->text());
    STOA_TRY(meaning, item.at("meaning"));
    STOA_TRY(meaning_text, meaning->text());
    out.categories.push_back({std::move(category_name), std::move(meaning_text)});
  }
  return out;
}

ChatRequest moderation_request(const ModerationSettings& settings, const std::string& model, const std::string& text) {
  ChatRequest request;
  request.model = model;
  std::string instructions = settings.instructions;
  JsonObject properties;
  JsonArray names, marks;
  for (int mark = 0; mark <= kMarks; ++mark) marks.emplace_back(mark);
  for (const auto& category : settings.categories) {
    instructions += fmt::format("- {}: {}\n", category.name, category.meaning);
    properties[category.name] = JsonObject{{"enum", marks}};
    names.emplace_back(category.name);
  }
  request.messages.push_back({"system", std::move(instructions)});
  request.messages.push_back({"user", text});
  request.sampling.temperature = 0;
  request.max_tokens = kTokensAround + kTokensOfCategory * static_cast<int>(settings.categories.size());
  const JsonObject schema{{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(names)}, {"additionalProperties", false}};
  request.constraint = AnswerConstraint{AnswerConstraint::Kind::kJsonSchema, dump_json(schema), "model"};
  return request;
}

Result<JsonObject> moderation_result(const ModerationSettings& settings, std::string_view answer) {
  const auto wrong = [](std::string_view what) { return fail(ErrorCode::kUnavailable, "the model did not judge as it was asked to: {}", what); };
  const auto json = parse_json(answer);
  if (!json || !json->is_object()) return wrong("its answer is no JSON object");
  JsonObject found, scores, types;
  bool flagged = false;
  for (const auto& category : settings.categories) {
    const Json* mark = find(json->get_object(), category.name);
    if (mark == nullptr || !mark->is_int64() || mark->get_int64() < 0 || mark->get_int64() > kMarks) return wrong(fmt::format("no number for '{}'", category.name));
    const double score = static_cast<double>(mark->get_int64()) / kMarks;
    found[category.name] = score >= settings.threshold;
    scores[category.name] = score;
    types[category.name] = JsonArray{"text"};
    flagged = flagged || score >= settings.threshold;
  }
  return JsonObject{{"flagged", flagged}, {"categories", std::move(found)}, {"category_scores", std::move(scores)}, {"category_applied_input_types", std::move(types)}};
}

Status register_moderations(infra::Router& router, const Moderation& moderation) {
  return moderation.pipeline.route(router, "POST", "/v1/moderations", governance::Action::kModelUse, "moderation", error_response,
                                   [&moderation](RequestScope& scope) { return moderate(moderation, scope); });
}

}  // namespace stoa::gateway::openai
