#include "models/quantize/recipe.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace stoa::models {
namespace {

// file_type: llama.h's enum llama_ftype.
constexpr Recipe kRecipes[] = {
    {"Q4_0", DType::kQ4_0, false, 2, "4.5 bits a weight, the fastest"},
    {"Q4_1", DType::kQ4_1, false, 3, "5 bits, a little better than Q4_0"},
    {"Q5_0", DType::kQ5_0, false, 8, "5.5 bits"},
    {"Q5_1", DType::kQ5_1, false, 9, "6 bits"},
    {"Q8_0", DType::kQ8_0, false, 7, "8.5 bits, next to no loss"},
    {"Q4_K_S", DType::kQ4_K, false, 14, "4.5 bits in blocks of 256, a few tensors in 5.5"},
    {"Q4_K_M", DType::kQ4_K, true, 15, "about 4.8 bits: half of the value and down projections in Q6_K; a good default"},
    {"Q5_K_S", DType::kQ5_K, false, 16, "5.5 bits in blocks of 256"},
    {"Q5_K_M", DType::kQ5_K, true, 17, "about 5.7 bits: half of the value and down projections in Q6_K"},
    {"Q6_K", DType::kQ6_K, false, 18, "6.6 bits in blocks of 256"},
    {"F16", DType::kF16, false, 1, "half precision"},
    {"BF16", DType::kBF16, false, 32, "bfloat16: the range of F32, 8 bits of precision"},
    {"F32", DType::kF32, false, 0, "single precision: expands a file for other tools"},
};

bool is_block_type(DType dtype) { return dtype_info(dtype).block_values > 1; }

int layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  int layer = 0;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

// The first and last eighth of the layers, and every third between.
bool deserves_more(int layer, int layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType mixed(const Recipe& recipe, const ModelFacts& facts, std::string_view name) {
  const auto is = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const int layer = layer_of(name);
  const bool small_q4 = recipe.base == DType::kQ4_K && !recipe.some_larger;
  DType dtype = recipe.base;
  if (name == "output.weight" || (!facts.separate_output && name == "token_embd.weight"))
    return recipe.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  if (is("attn_v.weight")) {
    if (recipe.some_larger && deserves_more(layer, facts.layers)) dtype = DType::kQ6_K;
    else if (small_q4 && layer < 4) dtype = DType::kQ5_K;
    if (facts.shared_value_heads && dtype == DType::kQ4_K) dtype = DType::kQ5_K;
    if (facts.experts == 8) dtype = DType::kQ8_0;
  } else if (is("attn_k.weight")) {
    if (facts.experts == 8) dtype = DType::kQ8_0;
  } else if (is("ffn_down")) {
    if (recipe.some_larger && deserves_more(layer, facts.layers)) dtype = DType::kQ6_K;
    else if (small_q4 && layer < facts.layers / 8) dtype = DType::kQ5_K;
  } else if (is("attn_output.weight")) {
    if (facts.experts == 8 && recipe.base == DType::kQ4_K) dtype = DType::kQ5_K;
  } else if (is("attn_qkv.weight")) {
    if (recipe.some_larger) dtype = recipe.base == DType::kQ4_K ? DType::kQ5_K : DType::kQ6_K;
  }
  return dtype;
}

DType smaller_block(DType dtype) {
  switch (dtype) {
    case DType::kQ4_K: return DType::kQ5_0;
    case DType::kQ5_K: return DType::kQ5_1;
    case DType::kQ6_K: return DType::kQ8_0;
    default: return DType::kF16;
  }
}

}  // namespace

std::span<const Recipe> recipes() { return kRecipes; }

Result<Recipe> find_recipe(std::string_view name) {
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper == "Q4_K" || upper == "Q5_K") upper += "_M";
  if (const auto found = std::ranges::find(kRecipes, upper, &Recipe::name); found != std::end(kRecipes)) return *found;
  std::string known;
  for (const auto& recipe : kRecipes) known += (known.empty() ? "" : ", ") + std::string(recipe.name);
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is no type to quantise to", name).with_hint("there are: " + known));
}

Result<ModelFacts> ModelFacts::of(const GgufFile& file) {
  ModelFacts facts;
  STOA_TRY(family, file.get_string("general.architecture"));
  const std::string prefix(family);
  STOA_TRY(layers, file.get_int_or(prefix + ".block_count", 0));
  STOA_TRY(experts, file.get_int_or(prefix + ".expert_count", 0));
  facts.layers = static_cast<int>(std::clamp<std::int64_t>(layers, 0, 1 << 20));
  facts.experts = static_cast<int>(std::clamp<std::int64_t>(experts, 0, 1 << 20));
  facts.separate_output = file.tensor("output.weight") != nullptr;
  // Head counts are lists in some families, none of which this concerns.
  const auto heads = file.get_int_or(prefix + ".attention.head_count", 0), kv_heads = file.get_int_or(prefix + ".attention.head_count_kv", 0);
  facts.shared_value_heads = prefix == "llama" && layers == 80 && heads && kv_heads && *heads != *kv_heads;
  return facts;
}

bool is_quantizable(const TensorView& tensor) {
  constexpr std::string_view kKept[] = {"_norm.weight", "ffn_gate_inp", "position_embd.weight", "token_types.weight"};
  if (tensor.shape.size() < 2 || !tensor.name.ends_with("weight") || tensor.elements() == 0) return false;
  return std::ranges::none_of(kKept, [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

TensorChoice choose_type(const Recipe& recipe, const ModelFacts& facts, const TensorView& tensor, bool pure) {
  TensorChoice choice{is_block_type(recipe.base) && !pure ? mixed(recipe, facts, tensor.name) : recipe.base, {}};
  const std::int64_t columns = tensor.shape.back();
  const auto divides = [&](DType dtype) { return columns % dtype_info(dtype).block_values == 0; };
  if (divides(choice.dtype)) return choice;
  const DType wanted = choice.dtype;
  choice.dtype = smaller_block(wanted);
  if (!divides(choice.dtype)) choice.dtype = DType::kF16;
  choice.note = fmt::format("{} columns are not a multiple of {}, the block of {}", columns, dtype_info(wanted).block_values, dtype_info(wanted).name);
  return choice;
}

}  // namespace stoa::models
