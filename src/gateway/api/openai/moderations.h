// POST /v1/moderations: a model of the project judges texts by the categories of share/moderation.yaml, in answers that are valid by construction; or a
// provider's model that is made for it judges, in its own way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "contracts/chat.h"
#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::openai {

struct ModerationSettings {
  struct Category {
    std::string name, meaning;
  };
  std::string model;         // of requests that name none
  double threshold = 0.5;    // from which score on a category is found
  std::string instructions;
  std::vector<Category> categories;
};
// Errors name file and line.
Result<ModerationSettings> parse_moderation_settings(std::string_view yaml, std::string_view name);

// A model that judges by itself.
class TextJudge {
 public:
  virtual ~TextJudge() = default;
  // The results of `input`, as the caller gave it.
  virtual Result<JsonArray> judge(const Call& call, const Json& input) = 0;
};
// Of the name that a caller used; null when it judges as any other model is made to. An error when the caller may not use it.
using FindJudge = std::function<Result<std::unique_ptr<TextJudge>>(const Call& call, std::string_view model)>;

// References outlive the server; so does this struct, which the route refers to.
struct Moderation {
  const Pipeline& pipeline;
  const ServedModels& models;
  ModerationSettings settings;
  FindJudge find_judge{};  // empty: there are none
};

// What the model is asked for one text.
ChatRequest moderation_request(const ModerationSettings& settings, const std::string& model, const std::string& text);
// The result of one text, from the model's answer. kUnavailable when the answer is not what was asked for.
Result<JsonObject> moderation_result(const ModerationSettings& settings, std::string_view answer);

Status register_moderations(infra::Router& router, const Moderation& moderation);

}  // namespace stoa::gateway::openai
