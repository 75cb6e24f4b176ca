// The models that are asked beside an answer from documents, and what is set aside for the whole of it.
#pragma once

#include <memory>
#include <string>

#include "gateway/api/openai/served_models.h"
#include "gateway/api/pipeline.h"
#include "gateway/grounding/aside.h"

namespace stoa::gateway::openai {

// Without a cache: a short question about one text is not answered by what was said of another. What the two point to lives as long as the object.
struct Asides {
  AsideModel own;    // the model that answers
  AsideModel judge;  // the one that the settings name, where the caller may use it; else none
  std::shared_ptr<models::Generator> own_generator{}, judge_generator{};
};

// `model` is the one that answers. Errors: as ServedModels::generator for it.
Result<Asides> choose_asides(RequestScope& scope, const ServedModels& models, const GroundingSettings& settings, const std::string& model);

// What an answer from documents takes at most, for its reservation.
Usage grounded_estimate(const GroundingSettings& settings);

}  // namespace stoa::gateway::openai
