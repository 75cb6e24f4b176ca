#include "models/engine/adapter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>

#include <fmt/ranges.h>

#include "base/json.h"
#include "infra/files/mapped_file.h"
#include "models/engine/tensor_source.h"

namespace stoa::models {
namespace {

constexpr int kMaxRank = 1024;
constexpr std::size_t kMaxConfigBytes = 1 << 20;

// A tensor that adapters change, by its names in both formats, and the matrices whose rows it holds, one after the other.
struct Target {
  std::string_view gguf, module;
  std::vector<Matrix> matrices;
};

const std::vector<Target>& targets(bool gate_in_up) {
  static const std::vector<Target> kSeparate = {
      {"attn_q", "q_proj", {kQ}},    {"attn_k", "k_proj", {kK}},        {"attn_v", "v_proj", {kV}}, {"attn_qkv", "qkv_proj", {kQ, kK, kV}},
      {"attn_output", "o_proj", {kOutput}}, {"ffn_gate", "gate_proj", {kGate}}, {"ffn_up", "up_proj", {kUp}}, {"ffn_down", "down_proj", {kDown}}};
  static const std::vector<Target> kFused = [] {
    auto all = kSeparate;
    std::erase_if(all, [](const Target& t) { return t.gguf == "ffn_gate" || t.gguf == "ffn_up"; });
    all.push_back({"ffn_up", "gate_up_proj", {kGate, kUp}});
    return all;
  }();
  return gate_in_up ? kFused : kSeparate;
}

struct Pair {
  const TensorView* a = nullptr;
  const TensorView* b = nullptr;
};
using Pairs = std::map<std::pair<int, const Target*>, Pair>;

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// "blk.3.attn_q.weight.lora_a" and "...model.layers.3.self_attn.q_proj.lora_A.weight", taken apart.
struct Name {
  int layer = 0;
  std::string_view part;
  bool is_b = false;
};

std::optional<Name> split_gguf(std::string_view name) {
  const bool is_b = name.ends_with(".weight.lora_b");
  if (!name.starts_with("blk.") || (!is_b && !name.ends_with(".weight.lora_a"))) return std::nullopt;
  name = name.substr(4, name.size() - 4 - std::string_view(".weight.lora_a").size());
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto layer = number_of(name.substr(0, dot));
  if (!layer) return std::nullopt;
  return Name{*layer, name.substr(dot + 1), is_b};
}

std::optional<Name> split_peft(std::string_view name) {
  constexpr std::string_view kLayers = ".layers.";
  const bool is_b = name.ends_with(".lora_B.weight");
  const auto at = name.find(kLayers);
  if (at == std::string_view::npos || (!is_b && !name.ends_with(".lora_A.weight"))) return std::nullopt;
  name = name.substr(0, name.size() - std::string_view(".lora_A.weight").size());
  if (at + kLayers.size() > name.size()) return std::nullopt;
  const auto rest = name.substr(at + kLayers.size());
  const auto first = rest.find('.'), last = rest.rfind('.');
  if (first == std::string_view::npos || (!rest.substr(first).starts_with(".self_attn.") && !rest.substr(first).starts_with(".mlp."))) return std::nullopt;
  const auto layer = number_of(rest.substr(0, first));
  if (!layer) return std::nullopt;
  return Name{*layer, rest.substr(last + 1), is_b};
}

}  // namespace

// Collects the pairs of one file and turns them into an adapter.
class AdapterBuilder {
 public:
  AdapterBuilder(std::string file, const DecoderConfig& config, Backend& backend) : file_(std::move(file)), c_(config), backend_(backend) {}

  Result<std::shared_ptr<const Adapter>> build(std::span<const TensorView> tensors, bool peft, const std::function<double(int rank)>& scale) {
    for (const auto& tensor : tensors) STOA_CHECK(take(tensor, peft));
    if (pairs_.empty()) return fail(ErrorCode::kDataLoss, "{}: has no tensors of an adapter", file_);
    auto adapter = std::make_shared<Adapter>();
    adapter->packed_ = backend_.make_weight_store(true);
    adapter->layers_.resize(static_cast<std::size_t>(c_.layers));
    for (const auto& [key, pair] : pairs_) {
      auto added = add(*adapter, key.first, *key.second, pair, peft && c_.ropes.front().style == RopeStyle::kInterleaved, scale);
      if (!added) return fail(std::move(added.error()).in(file_));
    }
    return std::shared_ptr<const Adapter>(std::move(adapter));
  }

 private:
  Status take(const TensorView& tensor, bool peft) {
    const auto name = peft ? split_peft(tensor.name) : split_gguf(tensor.name);
    const auto& known = targets(c_.gate_in_up);
    const auto target = name ? std::ranges::find(known, name->part, peft ? &Target::module : &Target::gguf) : known.end();
    const bool is_expert = target != known.end() && c_.experts.count > 0 && target->matrices.front() >= kGate;
    if (target == known.end() || is_expert) {
      return fail(error(ErrorCode::kUnsupported, "{}: changes {}, which adapters cannot change here", file_, tensor.name)
                      .with_hint("Supported are the projections of attention and of a feed-forward without experts. Train the adapter on these only."));
    }
    if (name->layer >= c_.layers) return fail(ErrorCode::kInvalidArgument, "{}: changes {}, but the model has {} layers", file_, tensor.name, c_.layers);
    auto& pair = pairs_[{name->layer, &*target}];
    auto& half = name->is_b ? pair.b : pair.a;
    if (half != nullptr) return fail(ErrorCode::kDataLoss, "{}: tensors {} and {} are for the same matrix", file_, half->name, tensor.name);
    half = &tensor;
    return {};
  }

  int rows_of_matrix(Matrix m) const {
    switch (m) {
      case kQ: return c_.heads * c_.head_dim;
      case kK:
      case kV: return c_.kv_heads * c_.head_dim;
      case kGate:
      case kUp: return c_.feed_forward;
      default: return c_.width;
    }
  }
  int cols_of_matrix(Matrix m) const { return m == kOutput ? c_.heads * c_.head_dim : m == kDown ? c_.feed_forward : c_.width; }

  Status add(Adapter& adapter, int layer, const Target& target, const Pair& pair, bool permuted, const std::function<double(int rank)>& scale) {
    const auto* any = pair.a != nullptr ? pair.a : pair.b;
    if (pair.a == nullptr || pair.b == nullptr) return fail(ErrorCode::kDataLoss, "tensor {} stands without its other half", any->name);
    std::int64_t outputs = 0;
    for (const auto m : target.matrices) outputs += rows_of_matrix(m);
    const std::int64_t inputs = cols_of_matrix(target.matrices.front());
    const std::int64_t rank = pair.a->shape.empty() ? 0 : pair.a->shape[0];
    if (pair.a->shape != std::vector<std::int64_t>{rank, inputs} || pair.b->shape != std::vector<std::int64_t>{outputs, rank} || rank < 1 || rank > kMaxRank) {
      return fail(error(ErrorCode::kInvalidArgument, "tensors {} of shape [{}] and {} of shape [{}] do not fit the model, which needs [r, {}] and [{}, r] with r from 1 to {}",
                        pair.a->name, fmt::join(pair.a->shape, ", "), pair.b->name, fmt::join(pair.b->shape, ", "), inputs, outputs, kMaxRank)
                      .with_hint("The adapter was trained on another model; take one made for this."));
    }
    STOA_TRY(a, read_finite(*pair.a));
    STOA_TRY(b, read_finite(*pair.b));
    const int r = static_cast<int>(rank), filled = (r + 15) / 16 * 16;
    a.resize(static_cast<std::size_t>(filled) * static_cast<std::size_t>(inputs));
    STOA_TRY(down, keep(adapter, a, filled, static_cast<int>(inputs)));
    const auto factor = static_cast<float>(scale(r));
    std::int64_t first = 0;
    for (const auto m : target.matrices) {
      const int rows = rows_of_matrix(m);
      std::vector<float> part(static_cast<std::size_t>(rows) * static_cast<std::size_t>(filled));
      for (int row = 0; row < rows; ++row) {
        const int from = permuted && (m == kQ || m == kK) ? unturned_row(row) : row;
        for (int i = 0; i < r; ++i) part[static_cast<std::size_t>(row * filled + i)] = factor * b[static_cast<std::size_t>((first + from) * rank + i)];
      }
      first += rows;
      STOA_TRY(up, keep(adapter, part, rows, filled));
      auto& change = adapter.layers_[static_cast<std::size_t>(layer)][m];
      if (change.a.data != nullptr) return fail(ErrorCode::kDataLoss, "tensor {} changes what another one changes too", pair.a->name);
      change = {.a = down, .b = up};
    }
    adapter.rank_ = std::max(adapter.rank_, filled);
    return {};
  }

  // One infinity would make every answer of the adapter nonsense.
  static Result<std::vector<float>> read_finite(const TensorView& tensor) {
    STOA_TRY(values, read_floats(tensor));
    const auto wrong = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
    if (wrong == values.end()) return std::move(values);
    return fail(ErrorCode::kDataLoss, "tensor {} has the value {} at index {}", tensor.name, *wrong, wrong - values.begin());
  }

  // Interleaved rotation turns rows 2i and 2i + 1 of a head together, Hugging Face's i and i + half; conversion to GGUF moves them.
  int unturned_row(int row) const {
    const int head = row / c_.head_dim, in_head = row % c_.head_dim;
    return head * c_.head_dim + in_head % 2 * (c_.head_dim / 2) + in_head / 2;
  }

  Result<Weights> keep(Adapter& adapter, std::span<const float> values, int rows, int cols) {
    STOA_TRY(weights, make_weights(DType::kF32, rows, cols, std::as_bytes(values)));
    adapter.bytes_ += backend_.stored_bytes(weights);
    return adapter.packed_->add(weights);
  }

  const std::string file_;
  const DecoderConfig& c_;
  Backend& backend_;
  Pairs pairs_;
};

namespace {

Result<std::string> read_config(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kNotFound, "{}: cannot be opened; a PEFT adapter is a folder with this file", path.string());
  std::string text(kMaxConfigBytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() == kMaxConfigBytes) return fail(ErrorCode::kTooLarge, "{}: has {} bytes or more", path.string(), kMaxConfigBytes);
  return text;
}

// What PEFT multiplies the product with.
struct PeftScale {
  double alpha = 0;
  bool by_root = false;  // of the rank

  double operator()(int rank) const { return alpha / (by_root ? std::sqrt(static_cast<double>(rank)) : rank); }
};

// What of PEFT's options changes the product in other ways is refused.
Result<PeftScale> read_scale(std::string_view config_json) {
  STOA_TRY(json, parse_json(config_json));
  if (!json.is_object()) return fail(ErrorCode::kDataLoss, "is not a JSON object");
  const auto& object = json.get_object();
  STOA_TRY(type, read_string(object, "peft_type"));
  if (type.value_or("LORA") != "LORA") return fail(ErrorCode::kUnsupported, "peft_type \"{}\" is not supported; supported is LORA", *type);
  STOA_TRY(dora, read_bool(object, "use_dora"));
  if (dora.value_or(false)) return fail(ErrorCode::kUnsupported, "use_dora is not supported");
  STOA_TRY(bias, read_string(object, "bias"));
  if (bias.value_or("none") != "none") return fail(ErrorCode::kUnsupported, "bias \"{}\" is not supported; supported is none", *bias);
  const auto* patterns = find(object, "alpha_pattern");
  if (patterns != nullptr && (!patterns->is_object() || !patterns->get_object().empty())) return fail(ErrorCode::kUnsupported, "alpha_pattern is not supported");
  STOA_TRY(alpha, read_number(object, "lora_alpha", -1e6, 1e6));
  if (!alpha) return fail(ErrorCode::kDataLoss, "\"lora_alpha\" is missing");
  STOA_TRY(by_root, read_bool(object, "use_rslora"));
  return PeftScale{.alpha = *alpha, .by_root = by_root.value_or(false)};
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::from_gguf(const GgufFile& file, const DecoderConfig& config, Backend& backend) {
  STOA_TRY(type, file.get_string_or("adapter.type", ""));
  if (type != "lora") {
    return fail(error(ErrorCode::kUnsupported, "{}: adapter.type is \"{}\", but has to be \"lora\"", file.name(), type)
                    .with_hint("Take a GGUF adapter as llama.cpp's converter writes it, or a PEFT folder."));
  }
  STOA_TRY(architecture, file.get_string_or("general.architecture", config.architecture));
  if (architecture != config.architecture) {
    return fail(ErrorCode::kInvalidArgument, "{}: is an adapter for the architecture \"{}\", but the model is \"{}\"", file.name(), architecture, config.architecture);
  }
  STOA_TRY(alpha, file.get_float_or("adapter.lora.alpha", 0.0));
  if (!std::isfinite(alpha)) return fail(ErrorCode::kDataLoss, "{}: adapter.lora.alpha is not a finite number", file.name());
  return AdapterBuilder(file.name(), config, backend).build(file.tensors(), false, [alpha](int rank) { return alpha == 0 ? 1.0 : alpha / rank; });
}

Result<std::shared_ptr<const Adapter>> Adapter::from_peft(std::string_view config_json, const std::string& config_name, const SafetensorsFile& file,
                                                          const DecoderConfig& config, Backend& backend) {
  auto scale = read_scale(config_json);
  if (!scale) return fail(std::move(scale.error()).in(config_name));
  return AdapterBuilder(file.name(), config, backend).build(file.tensors(), true, *scale);
}

Result<std::shared_ptr<const Adapter>> Adapter::load(const std::filesystem::path& path, const DecoderConfig& config, Backend& backend) {
  std::error_code ignored;
  auto adapter = std::filesystem::is_directory(path, ignored) ? load_peft(path, config, backend) : load_gguf(path, config, backend);
  if (adapter || (adapter.error().code != ErrorCode::kDataLoss && adapter.error().code != ErrorCode::kUnsupported)) return adapter;
  // To the readers of files these are bytes gone bad and formats they lack. An adapter is handed in by whoever wants it loaded: his argument.
  adapter.error().code = ErrorCode::kInvalidArgument;
  return adapter;
}

Result<std::shared_ptr<const Adapter>> Adapter::load_gguf(const std::filesystem::path& path, const DecoderConfig& config, Backend& backend) {
  STOA_TRY(bytes, infra::MappedFile::copy(path));
  STOA_TRY(file, GgufFile::parse(bytes.bytes(), path.string()));
  return from_gguf(file, config, backend);
}

Result<std::shared_ptr<const Adapter>> Adapter::load_peft(const std::filesystem::path& folder, const DecoderConfig& config, Backend& backend) {
  const auto config_path = folder / "adapter_config.json";
  STOA_TRY(text, read_config(config_path));
  const auto weights = folder / "adapter_model.safetensors";
  STOA_TRY(bytes, infra::MappedFile::copy(weights));
  STOA_TRY(file, SafetensorsFile::parse(bytes.bytes(), weights.string()));
  return from_peft(text, config_path.string(), file, config, backend);
}

}  // namespace stoa::models
