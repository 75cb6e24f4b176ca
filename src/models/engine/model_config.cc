#include "models/engine/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/json.h"
#include "models/engine/config_keys.h"

namespace stoa::models {
namespace {

struct Family {
  std::string_view architecture;
  RopeStyle rope_style = RopeStyle::kHalves;
  Activation activation = Activation::kSilu;
  int global_period = 1;              // where there is a sliding window: every so-many-th layer sees everything; 1: none does
  int default_window = 0;
  double local_rope_base = 0;         // > 0: layers with a window turn with this base, unscaled
  bool scaled_embedding = false;      // embeddings are multiplied by the square root of the width
  bool gate_in_up = false;            // as DecoderConfig says
  bool post_norms = false;
  bool softcaps = false;              // with the values of Gemma 2 where the file names none
  int wide_query_layers = 0;          // with so many layers, queries are scaled by width / heads instead of the head size (Gemma's 27B)
  bool normalized_experts = true;
};

constexpr std::array kFamilies = {
    Family{.architecture = "llama", .rope_style = RopeStyle::kInterleaved},
    Family{.architecture = "qwen2"},
    Family{.architecture = "qwen3"},
    Family{.architecture = "qwen2moe", .normalized_experts = false},
    Family{.architecture = "qwen3moe"},
    Family{.architecture = "phi3", .gate_in_up = true},
    Family{.architecture = "gemma2", .activation = Activation::kGelu, .global_period = 2, .default_window = 4096, .scaled_embedding = true,
           .post_norms = true, .softcaps = true, .wide_query_layers = 46},
    Family{.architecture = "gemma3", .activation = Activation::kGelu, .global_period = 6, .local_rope_base = 10000, .scaled_embedding = true,
           .post_norms = true, .wide_query_layers = 62},
};

// No model comes near these; they bound what a lying file can make us allocate.
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxWidth = 1 << 17;
constexpr std::int64_t kMaxVocabulary = 1 << 22;
constexpr std::int64_t kMaxContext = 1 << 24;

constexpr int kMaxExperts = 4096;

Result<const Family*> find_family(const GgufFile& file) {
  STOA_TRY(architecture, file.get_string("general.architecture"));
  const auto* found = std::ranges::find(kFamilies, architecture, &Family::architecture);
  if (found != kFamilies.end()) return found;
  std::string known;
  for (const auto& family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  return fail(error(ErrorCode::kUnsupported, "{}: architecture \"{}\" is not supported", file.name(), architecture)
                  .with_hint("Supported are " + known + ". Take a model of one of these families."));
}

Result<RopeConfig> read_rope(const ConfigKeys& keys, const Family& family, int head_dim) {
  RopeConfig rope{.style = family.rope_style};
  STOA_TRY(dim, keys.positive("rope.dimension_count", head_dim, head_dim));
  if (dim % 2 != 0) return keys.bad("rope.dimension_count", "is odd");
  rope.dim = dim;
  STOA_TRY(base, keys.number("rope.freq_base", 10000.0));
  if (!(base > 1)) return keys.bad("rope.freq_base", "is not above 1");
  rope.base = base;
  STOA_TRY(scaling, keys.text("rope.scaling.type", "none"));
  STOA_TRY(factor, keys.number("rope.scaling.factor", 1.0));
  STOA_TRY(old_factor, keys.number("rope.scale_linear", 1.0));  // how files before 2024 said it
  STOA_TRY(original, keys.count("rope.scaling.original_context_length", kMaxContext));
  STOA_TRY(magnitude, keys.number("rope.scaling.attn_factor", 1.0));
  if (!(magnitude > 0)) return keys.bad("rope.scaling.attn_factor", "is not positive");
  rope.magnitude = magnitude;
  const double by = scaling == "linear" || scaling == "yarn" ? factor : scaling == "none" ? old_factor : 1.0;
  if (!(by > 0)) return keys.bad("rope.scaling.factor", "is not positive");
  rope.scale = 1.0 / by;
  rope.original_context = original;
  if (scaling == "yarn") {
    if (original == 0) return keys.bad("rope.scaling.original_context_length", "is missing, which YaRN needs");
    STOA_TRY(fast, keys.number("rope.scaling.yarn_beta_fast", 32.0));
    STOA_TRY(slow, keys.number("rope.scaling.yarn_beta_slow", 1.0));
    if (!(slow > 0) || !(fast >= slow)) return keys.bad("rope.scaling.yarn_beta_fast", "has to be at least yarn_beta_slow, and both positive");
    rope.yarn = true;
    rope.ramp = {.original_context = static_cast<double>(original), .beta_fast = fast, .beta_slow = slow};
    rope.magnitude *= 1 + 0.1 * std::log(by);
  } else if (scaling != "none" && scaling != "linear" && scaling != "longrope") {
    // Llama 3's scaling is stored as the tensor rope_freqs and has no type here.
    return fail(error(ErrorCode::kUnsupported, "{}: rope scaling \"{}\" is not supported", keys.file().name(), scaling)
                    .with_hint("Supported are none, linear, yarn, longrope and Llama 3's factors."));
  }
  return rope;
}

// Which layers have a window, and how each one turns its heads.
Status read_plan(const ConfigKeys& keys, const Family& family, DecoderConfig& config) {
  STOA_TRY(rope, read_rope(keys, family, config.head_dim));
  config.ropes = {rope};
  STOA_TRY(window, keys.integer("attention.sliding_window", family.default_window));
  if (window < 0) return keys.bad("attention.sliding_window", "is negative");
  config.plan.assign(static_cast<std::size_t>(config.layers), {});
  if (window == 0) return {};
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";  // the period, or for each layer whether it has a window
  const auto* pattern = keys.value(kPattern);
  int period = family.global_period;
  if (pattern != nullptr && pattern->type != GgufType::kArray) {
    STOA_TRY(given, keys.positive(kPattern, kMaxLayers));
    period = given;
  } else if (pattern != nullptr && (pattern->array.type == GgufType::kString || pattern->array.count < config.plan.size())) {
    return keys.bad(kPattern, fmt::format("is not an array of {} flags", config.layers));
  }
  if (family.local_rope_base > 0) {
    STOA_TRY(base, keys.number("rope.freq_base_swa", family.local_rope_base));
    if (!(base > 1)) return keys.bad("rope.freq_base_swa", "is not above 1");
    config.ropes.push_back({.style = rope.style, .dim = rope.dim, .base = base});
  }
  for (std::size_t i = 0; i < config.plan.size(); ++i) {
    const bool local = pattern != nullptr && pattern->type == GgufType::kArray ? pattern->array.int_at(i) != 0
                                                                               : period == 1 || static_cast<int>(i) % period < period - 1;
    config.plan[i] = {.rope = local ? static_cast<int>(config.ropes.size()) - 1 : 0, .window = local && window < config.context_length ? static_cast<int>(window) : 0};
  }
  return {};
}

Status read_experts(const ConfigKeys& keys, const Family& family, DecoderConfig& config) {
  auto& e = config.experts;
  STOA_TRY(count, keys.count("expert_count", kMaxExperts));
  if (count == 0) return {};
  STOA_TRY(used, keys.positive("expert_used_count", count));
  STOA_TRY(gating, keys.integer("expert_gating_func", 0));
  if (gating > 1) return fail(ErrorCode::kUnsupported, "{}: expert_gating_func {} is not supported; supported is 1, softmax", keys.file().name(), gating);
  STOA_TRY(feed_forward, keys.positive("expert_feed_forward_length", kMaxWidth * 8, config.feed_forward));
  STOA_TRY(shared, keys.count("expert_shared_feed_forward_length", kMaxWidth * 8));
  STOA_TRY(normalized, keys.flag("expert_weights_norm", family.normalized_experts));
  STOA_TRY(scale, keys.number("expert_weights_scale", 0));
  e = {.count = count, .used = used, .feed_forward = feed_forward, .shared = shared, .normalized = normalized,
       .scale = scale == 0 ? 1.0f : static_cast<float>(scale)};
  return {};
}

Status read_numerics(const ConfigKeys& keys, const Family& family, DecoderConfig& config) {
  STOA_TRY(epsilon, keys.number("attention.layer_norm_rms_epsilon", 1e-5));
  STOA_TRY(attention_softcap, keys.number("attn_logit_softcapping", family.softcaps ? 50.0 : 0.0));
  STOA_TRY(logit_softcap, keys.number("final_logit_softcapping", family.softcaps ? 30.0 : 0.0));
  if (!(attention_softcap >= 0) || !(logit_softcap >= 0)) return keys.bad("final_logit_softcapping", "and attn_logit_softcapping cannot be negative");
  const auto query = static_cast<float>(config.layers == family.wide_query_layers ? config.width / config.heads : config.head_dim);
  STOA_TRY(scale, keys.number("attention.scale", 1.0 / std::sqrt(query)));
  if (!(scale > 0)) return keys.bad("attention.scale", "is not positive");
  config.norm_epsilon = static_cast<float>(epsilon);
  config.activation = family.activation;
  config.embedding_scale = family.scaled_embedding ? std::sqrt(static_cast<float>(config.width)) : 1.0f;
  config.attention_scale = static_cast<float>(scale);
  config.attention_softcap = static_cast<float>(attention_softcap);
  config.logit_softcap = static_cast<float>(logit_softcap);
  config.gate_in_up = family.gate_in_up;
  config.post_norms = family.post_norms;
  return {};
}

}  // namespace

int DecoderConfig::window() const {
  if (plan.empty() || std::ranges::any_of(plan, [](const LayerPlan& layer) { return layer.window == 0; })) return 0;
  return std::ranges::max(plan, {}, &LayerPlan::window).window;
}

Result<DecoderConfig> read_decoder_config(const GgufFile& file) {
  STOA_TRY(family, find_family(file));
  const ConfigKeys keys(file, family->architecture);
  DecoderConfig config;
  config.architecture = family->architecture;
  STOA_TRY(name, file.get_string_or("general.name", file.name()));
  config.name = name;

  STOA_TRY(layers, keys.positive("block_count", kMaxLayers));
  STOA_TRY(width, keys.positive("embedding_length", kMaxWidth));
  STOA_TRY(heads, keys.positive("attention.head_count", width));
  STOA_TRY(kv_heads, keys.positive("attention.head_count_kv", heads, heads));
  if (heads % kv_heads != 0) return keys.bad("attention.head_count_kv", "does not divide the number of heads");
  STOA_TRY(head_dim, keys.positive("attention.key_length", KvLayout::kMaxHeadDim, width / heads));
  STOA_TRY(value_dim, keys.positive("attention.value_length", KvLayout::kMaxHeadDim, head_dim));
  if (value_dim != head_dim) return keys.bad("attention.value_length", "differs from the key length, which is not supported");
  if (head_dim % 16 != 0) return keys.bad("attention.key_length", fmt::format("is {}, not a multiple of 16", head_dim));
  STOA_TRY(feed_forward, keys.positive("feed_forward_length", kMaxWidth * 8));
  STOA_TRY(context, keys.positive("context_length", kMaxContext));

  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.feed_forward = feed_forward;
  config.context_length = context;
  STOA_CHECK(read_plan(keys, *family, config));
  STOA_CHECK(read_experts(keys, *family, config));
  STOA_CHECK(read_numerics(keys, *family, config));

  const auto* embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr) return fail(ErrorCode::kDataLoss, "{}: tensor token_embd.weight is missing", file.name());
  if (embedding->shape.size() != 2 || embedding->shape[0] < 1 || embedding->shape[0] > kMaxVocabulary) {
    return fail(ErrorCode::kDataLoss, "{}: tensor token_embd.weight is not a matrix of 1 to {} rows", file.name(), kMaxVocabulary);
  }
  config.vocabulary = static_cast<int>(embedding->shape[0]);
  return config;
}

namespace {

Status check_heads(int width, int heads, std::string_view file) {
  if (width % heads == 0 && width / heads % 16 == 0 && width / heads <= KvLayout::kMaxHeadDim) return {};
  return fail(ErrorCode::kUnsupported, "{}: {} heads over width {} do not give a head size that is a multiple of 16 up to {}", file, heads, width,
              KvLayout::kMaxHeadDim);
}

// How many classes a Hugging Face model tells apart: as many as it names, else two; 0 without a classifier.
int label_count(const JsonObject& config) {
  const Json* architectures = find(config, "architectures");
  if (architectures == nullptr || !architectures->is_array()) return 0;
  for (const auto& name : architectures->get_array()) {
    if (!name.is_string() || !std::string_view(name.get_string()).ends_with("ForSequenceClassification")) continue;
    const Json* labels = find(config, "id2label");
    return labels != nullptr && labels->is_object() ? static_cast<int>(std::min<std::size_t>(labels->get_object().size(), 1 << 20)) : 2;
  }
  return 0;
}

}  // namespace

Result<EncoderConfig> read_encoder_config(const GgufFile& file) {
  STOA_TRY(architecture, file.get_string("general.architecture"));
  if (architecture != "bert") {
    return fail(error(ErrorCode::kUnsupported, "{}: architecture \"{}\" is not supported as an encoder", file.name(), architecture).with_hint("Supported is bert."));
  }
  const ConfigKeys keys(file, architecture);
  EncoderConfig config;
  STOA_TRY(name, file.get_string_or("general.name", file.name()));
  config.name = name;
  STOA_TRY(layers, keys.positive("block_count", kMaxLayers));
  STOA_TRY(width, keys.positive("embedding_length", kMaxWidth));
  STOA_TRY(heads, keys.positive("attention.head_count", width));
  STOA_CHECK(check_heads(width, heads, file.name()));
  STOA_TRY(feed_forward, keys.positive("feed_forward_length", kMaxWidth * 8));
  STOA_TRY(context, keys.positive("context_length", kMaxContext));
  STOA_TRY(epsilon, keys.number("attention.layer_norm_epsilon", 1e-12));
  // llama.cpp's enum llama_pooling_type: 1 is the mean, 4 a classifier on the first token.
  STOA_TRY(pooling, keys.integer("pooling_type", 0));
  if (pooling != 1 && pooling != 4) {
    return fail(error(ErrorCode::kUnsupported, "{}: bert.pooling_type {} is not supported", file.name(), pooling).with_hint("Supported are 1 (mean) and 4 (rank)."));
  }
  const auto rows = [&](std::string_view tensor, std::int64_t max) -> Result<int> {
    const auto* table = file.tensor(tensor);
    if (table == nullptr) return fail(ErrorCode::kDataLoss, "{}: tensor {} is missing", file.name(), tensor);
    if (table->shape.size() != 2 || table->shape[0] < 1 || table->shape[0] > max) return fail(ErrorCode::kDataLoss, "{}: tensor {} is not a matrix of 1 to {} rows", file.name(), tensor, max);
    return static_cast<int>(table->shape[0]);
  };
  STOA_TRY(vocabulary, rows("token_embd.weight", kMaxVocabulary));
  STOA_TRY(positions, rows("position_embd.weight", context));
  STOA_TRY(token_types, rows("token_types.weight", 1024));
  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.feed_forward = feed_forward;
  config.vocabulary = vocabulary;
  config.positions = positions;
  config.token_types = token_types;
  config.norm_epsilon = static_cast<float>(epsilon);
  if (pooling == 4) {
    const auto* head = file.tensor("cls.output.weight");
    config.labels = head == nullptr || head->shape.size() != 2 ? 1 : static_cast<int>(std::clamp<std::int64_t>(head->shape[0], 1, 1 << 20));
  }
  return config;
}

Result<EncoderConfig> read_encoder_config(std::string_view json, std::string_view file) {
  auto parsed = parse_json(json);
  if (!parsed) return fail(std::move(parsed.error()).in(file));
  const auto* object = parsed->if_object();
  if (object == nullptr) return fail(ErrorCode::kDataLoss, "{}: is not a JSON object", file);

  const auto number = [&](std::string_view key, std::int64_t max) -> Result<int> {
    auto value = read_int(*object, key, 1, max);
    if (!value) return fail(std::move(value.error()).in(file));
    if (!*value) return fail(ErrorCode::kDataLoss, "{}: \"{}\" is missing", file, key);
    return static_cast<int>(**value);
  };
  const auto text = [&](std::string_view key, std::string fallback) -> Result<std::string> {
    auto value = read_string(*object, key);
    if (!value) return fail(std::move(value.error()).in(file));
    return value->value_or(std::move(fallback));
  };
  STOA_TRY(type, text("model_type", ""));
  if (type != "bert" && type != "roberta" && type != "xlm-roberta") {
    return fail(error(ErrorCode::kUnsupported, "{}: model_type \"{}\" is not supported as an encoder", file, type)
                    .with_hint("Supported are bert, roberta and xlm-roberta."));
  }
  STOA_TRY(position_type, text("position_embedding_type", "absolute"));
  if (position_type != "absolute") return fail(ErrorCode::kUnsupported, "{}: position_embedding_type \"{}\" is not supported", file, position_type);
  STOA_TRY(activation, text("hidden_act", "gelu"));
  if (activation != "gelu" && activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    return fail(ErrorCode::kUnsupported, "{}: hidden_act \"{}\" is not supported", file, activation);
  }
  EncoderConfig config;
  config.gelu_tanh = activation != "gelu";
  STOA_TRY(name, text("_name_or_path", std::string(file)));
  config.name = name;
  STOA_TRY(layers, number("num_hidden_layers", kMaxLayers));
  STOA_TRY(width, number("hidden_size", kMaxWidth));
  STOA_TRY(heads, number("num_attention_heads", width));
  STOA_TRY(feed_forward, number("intermediate_size", kMaxWidth * 8));
  STOA_TRY(vocabulary, number("vocab_size", kMaxVocabulary));
  STOA_TRY(positions, number("max_position_embeddings", kMaxContext));
  STOA_TRY(token_types, number("type_vocab_size", 1024));
  auto epsilon = read_number(*object, "layer_norm_eps", 0, 1);
  if (!epsilon) return fail(std::move(epsilon.error()).in(file));
  STOA_CHECK(check_heads(width, heads, file));
  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.feed_forward = feed_forward;
  config.vocabulary = vocabulary;
  config.positions = positions;
  config.token_types = token_types;
  config.norm_epsilon = static_cast<float>(epsilon->value_or(1e-12));
  config.labels = label_count(*object);
  if (config.roberta = type != "bert"; config.roberta) {
    // RoBERTa counts positions from behind the padding token's id.
    auto padding = read_int(*object, "pad_token_id", 0, positions - 2);
    if (!padding) return fail(std::move(padding.error()).in(file));
    config.first_position = static_cast<int>(padding->value_or(1)) + 1;
    config.positions = positions - config.first_position;
    if (config.positions < 1) return fail(ErrorCode::kDataLoss, "{}: max_position_embeddings {} leaves no position", file, positions);
  }
  return config;
}

}  // namespace stoa::models
