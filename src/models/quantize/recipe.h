// Which type each tensor of a model gets. A recipe has the name and the choices of llama.cpp's file type of that name, so that files of both
// have the same tensor types: the output matrix in more bits than the rest, and in the K mixes some of the value and down projections.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "models/formats/dtype.h"
#include "models/formats/gguf.h"
#include "models/formats/tensor.h"

namespace stoa::models {

struct Recipe {
  std::string_view name;         // "Q4_K_M"
  DType base = DType::kF32;      // of most tensors
  bool some_larger = false;      // the "M" mixes
  std::uint32_t file_type = 0;   // general.file_type
  std::string_view about;        // one line for help
};

std::span<const Recipe> recipes();
// By name, in any case; "Q4_K" and "Q5_K" are their M mixes, as in llama.cpp. The error lists the names.
Result<Recipe> find_recipe(std::string_view name);

// What the choice depends on besides the tensor itself.
struct ModelFacts {
  int layers = 0;
  int experts = 0;
  bool separate_output = false;    // has an output.weight; without one the embedding is the output matrix too
  bool shared_value_heads = false; // llama of 80 layers with grouped heads: values are few and precious

  static Result<ModelFacts> of(const GgufFile& file);
};

struct TensorChoice {
  DType dtype = DType::kF32;
  std::string note;      // why it is not what the recipe says; empty where it is
};

// False for what stays as it is: norms, biases and other vectors, routers of experts, and positions.
bool is_quantizable(const TensorView& tensor);
// The type for a quantizable tensor. `pure`: the recipe's base type everywhere. Columns that the type's block does not divide fall back to
// a type of blocks of 32 (Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to Q8_0), and to F16 where that does not divide them either.
TensorChoice choose_type(const Recipe& recipe, const ModelFacts& facts, const TensorView& tensor, bool pure);

}  // namespace stoa::models
