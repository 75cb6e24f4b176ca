// POST /v1/moderations: a model of the project judges texts by the categories of share/moderation.yaml, in answers that are valid by construction.
#pragma once

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

// References outlive the server; so does this struct, which the route refers to.
struct Moderation {
  const Pipeline& pipeline;
  const ServedModels& models;
  ModerationSettings settings;
};

// What the model is asked for one text.
ChatRequest moderation_request(const ModerationSettings& settings, const std::string& model, const std::string& text);
// The result of one text, from the model's answer. kUnavailable when the answer is not what was asked for.
Result<JsonObject> moderation_result(const ModerationSettings& settings, std::string_view answer);

Status register_moderations(infra::Router& router, const Moderation& moderation);

}  // namespace stoa::gateway::openai
