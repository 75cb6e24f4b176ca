#include "models/engine/model_config.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/json.h"

namespace stoa::models {
namespace {

struct Family {
  std::string_view architecture;
  RopeStyle rope_style;
};

constexpr std::array kFamilies = {
    Family{"llama", RopeStyle::kInterleaved},
    Family{"qwen2", RopeStyle::kHalves},
    Family{"qwen3", RopeStyle::kHalves},
};

// No model comes near these; they bound what a lying file can make us allocate.
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxWidth = 1 << 17;
constexpr std::int64_t kMaxVocabulary = 1 << 22;
constexpr std::int64_t kMaxContext = 1 << 24;

// Reads "<architecture>.<suffix>" of one file.
class Keys {
 public:
  Keys(const GgufFile& file, std::string_view architecture) : file_(file), prefix_(std::string(architecture) + ".") {}

  Result<int> positive(std::string_view suffix, std::int64_t max, std::optional<std::int64_t> fallback = {}) const {
    const std::string key = prefix_ + std::string(suffix);
    STOA_TRY(value, fallback ? file_.get_int_or(key, *fallback) : file_.get_int(key));
    if (value < 1 || value > max) {
      return fail(ErrorCode::kDataLoss, "{}: {} is {}, but has to be between 1 and {}", file_.name(), key, value, max);
    }
    return static_cast<int>(value);
  }
  Result<double> number(std::string_view suffix, double fallback) const { return file_.get_float_or(prefix_ + std::string(suffix), fallback); }
  Result<std::string_view> text(std::string_view suffix, std::string_view fallback) const {
    return file_.get_string_or(prefix_ + std::string(suffix), fallback);
  }
  Result<std::int64_t> integer(std::string_view suffix, std::int64_t fallback) const {
    return file_.get_int_or(prefix_ + std::string(suffix), fallback);
  }
  std::unexpected<Error> bad(std::string_view suffix, std::string_view what) const {
    return fail(ErrorCode::kDataLoss, "{}: {}{} {}", file_.name(), prefix_, suffix, what);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

Result<const Family*> find_family(const GgufFile& file) {
  STOA_TRY(architecture, file.get_string("general.architecture"));
  const auto* found = std::ranges::find(kFamilies, architecture, &Family::architecture);
  if (found != kFamilies.end()) return found;
  std::string known;
  for (const auto& family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  return fail(error(ErrorCode::kUnsupported, "{}: architecture \"{}\" is not supported", file.name(), architecture)
                  .with_hint("Supported are " + known + ". Take a model of one of these families."));
}

Status read_rope(const GgufFile& file, const Keys& keys, DecoderConfig& config) {
  STOA_TRY(dim, keys.positive("rope.dimension_count", config.head_dim, config.head_dim));
  if (dim % 2 != 0) return keys.bad("rope.dimension_count", "is odd");
  config.rope_dim = dim;
  STOA_TRY(base, keys.number("rope.freq_base", 10000.0));
  if (!(base > 0)) return keys.bad("rope.freq_base", "is not positive");
  config.rope_base = base;
  STOA_TRY(scaling, keys.text("rope.scaling.type", "none"));
  STOA_TRY(factor, keys.number("rope.scaling.factor", 1.0));
  STOA_TRY(old_factor, keys.number("rope.scale_linear", 1.0));  // how files before 2024 said it
  if (scaling == "linear" || (scaling == "none" && old_factor != 1.0)) {
    const double by = scaling == "linear" ? factor : old_factor;
    if (!(by > 0)) return keys.bad("rope.scaling.factor", "is not positive");
    config.rope_scale = 1.0 / by;
  } else if (scaling != "none") {
    // Llama 3's scaling is stored as the tensor rope_freqs and has no type here.
    return fail(error(ErrorCode::kUnsupported, "{}: rope scaling \"{}\" is not supported", file.name(), scaling)
                    .with_hint("Supported are none, linear and Llama 3's factors."));
  }
  return {};
}

}  // namespace

Result<DecoderConfig> read_decoder_config(const GgufFile& file) {
  STOA_TRY(family, find_family(file));
  const Keys keys(file, family->architecture);
  DecoderConfig config;
  config.architecture = family->architecture;
  config.rope_style = family->rope_style;
  STOA_TRY(name, file.get_string_or("general.name", file.name()));
  config.name = name;

  STOA_TRY(experts, keys.integer("expert_count", 0));
  if (experts != 0) return fail(ErrorCode::kUnsupported, "{}: mixtures of experts are not supported ({} experts)", file.name(), experts);

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
  STOA_TRY(window, keys.integer("attention.sliding_window", 0));
  STOA_TRY(epsilon, keys.number("attention.layer_norm_rms_epsilon", 1e-5));

  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.feed_forward = feed_forward;
  // Within the window, attention with and without it are the same: a shorter context keeps the model exact.
  config.context_length = window > 0 ? static_cast<int>(std::min<std::int64_t>(window, context)) : context;
  config.norm_epsilon = static_cast<float>(epsilon);
  STOA_CHECK(read_rope(file, keys, config));

  const auto* embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr) return fail(ErrorCode::kDataLoss, "{}: tensor token_embd.weight is missing", file.name());
  if (embedding->shape.size() != 2 || embedding->shape[0] < 1 || embedding->shape[0] > kMaxVocabulary) {
    return fail(ErrorCode::kDataLoss, "{}: tensor token_embd.weight is not a matrix of 1 to {} rows", file.name(), kMaxVocabulary);
  }
  config.vocabulary = static_cast<int>(embedding->shape[0]);
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
  if (type != "bert") {
    return fail(error(ErrorCode::kUnsupported, "{}: model_type \"{}\" is not supported as an encoder", file, type).with_hint("Supported is bert."));
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
  if (width % heads != 0 || width / heads % 16 != 0 || width / heads > KvLayout::kMaxHeadDim) {
    return fail(ErrorCode::kUnsupported, "{}: {} heads over width {} do not give a head size that is a multiple of 16 up to {}", file, heads, width,
                KvLayout::kMaxHeadDim);
  }
  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.feed_forward = feed_forward;
  config.vocabulary = vocabulary;
  config.positions = positions;
  config.token_types = token_types;
  config.norm_epsilon = static_cast<float>(epsilon->value_or(1e-12));
  return config;
}

}  // namespace stoa::models
