#include "models/engine/encoder_model.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "models/engine/memory_plan.h"

namespace stoa::models {
namespace {

constexpr std::uintmax_t kMaxConfigBytes = 1u << 20;
constexpr int kFewestPairTokens = 16;
constexpr std::size_t kMaxFrame = kFewestPairTokens / 2;  // tokens around and between two texts; the query may take the other half

Result<std::string> read_small_file(const std::filesystem::path& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) return fail(ErrorCode::kNotFound, "{}: {}", path.string(), failed.message());
  if (size > kMaxConfigBytes) return fail(ErrorCode::kTooLarge, "{}: has {} bytes, at most {} are read", path.string(), size, kMaxConfigBytes);
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(ErrorCode::kUnavailable, "{}: cannot be read", path.string());
  return std::move(text).str();
}

// What a sentence encoder was made to read, where its folder says it.
Result<int> made_to_read(const std::filesystem::path& folder) {
  constexpr int kUnknown = 256;
  const auto path = folder / "sentence_bert_config.json";
  if (!std::filesystem::exists(path)) return kUnknown;
  STOA_TRY(text, read_small_file(path));
  const auto config = parse_json(text);
  const auto* object = config ? config->if_object() : nullptr;
  const auto tokens = object == nullptr ? fail(ErrorCode::kDataLoss, "it is no JSON object") : read_int(*object, "max_seq_length", 1, 1 << 20);
  if (!tokens) return fail(error(ErrorCode::kDataLoss, "{}: {}", path.string(), tokens.error().message).with_hint("fetch the model's own file, or remove this one"));
  return static_cast<int>(tokens->value_or(kUnknown));
}

// The first GGUF file of a folder by name, if it has one.
std::optional<std::filesystem::path> gguf_in(const std::filesystem::path& folder) {
  std::optional<std::filesystem::path> found;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
    if (entry.path().extension() == ".gguf" && (!found || entry.path() < *found)) found = entry.path();
  return found;
}

Status check_model(const std::string& file, EncoderTask task, const EncoderConfig& config, const Tokenizer& tokenizer) {
  if (tokenizer.size() > config.vocabulary)
    return fail(ErrorCode::kDataLoss, "{}: its tokenizer has {} tokens, but the model {}", file, tokenizer.size(), config.vocabulary);
  const auto refuse = [&](const std::string& why, const char* hint) { return fail(error(ErrorCode::kUnsupported, "{}: {}", file, why).with_hint(hint)); };
  if (task == EncoderTask::kEmbed) {
    if (config.labels == 0) return {};
    return refuse("the model is a classifier and makes no embeddings", "A model that scores pairs of texts goes to models.reranker.");
  }
  if (config.labels == 0) return refuse("the model has no classifier to score with", "A reranker is a cross-encoder, such as a BertForSequenceClassification with one label.");
  if (config.labels != 1) return refuse(fmt::format("the model tells {} classes apart; a reranker gives one score", config.labels), "Take a cross-encoder with one label.");
  const auto* frame = tokenizer.pair_frame();
  if (frame == nullptr || frame->prefix.size() + frame->middle.size() + frame->suffix.size() > kMaxFrame)
    return refuse("the tokenizer does not say how pairs of texts are put together", "Fetch the tokenizer.json of the model itself.");
  return {};
}

}  // namespace

EncoderModel::EncoderModel(std::string name, EncoderTask task, Parts parts, int max_tokens, int batch_tokens, Metrics& metrics)
    : name_(std::move(name)),
      task_(task),
      files_(std::move(parts.files)),
      tokenizer_(std::move(parts.tokenizer)),
      max_tokens_(max_tokens),
      batch_tokens_(batch_tokens),
      tokens_total_(task == EncoderTask::kEmbed ? metrics.counter("stoa_embedder_tokens_total", "Tokens embedded", {{"model", name_}})
                                                : metrics.counter("stoa_reranker_tokens_total", "Tokens of scored pairs", {{"model", name_}})),
      compute_seconds_(task == EncoderTask::kEmbed
                           ? metrics.counter("stoa_embedder_compute_seconds_total", "Time spent embedding", {{"model", name_}})
                           : metrics.counter("stoa_reranker_compute_seconds_total", "Time spent scoring pairs", {{"model", name_}})),
      encoder_(std::move(parts.encoder)) {}

Result<EncoderModel::Parts> EncoderModel::load_gguf(const std::filesystem::path& path, EncoderTask task, Backend& backend) {
  STOA_TRY(file, GgufFile::open(path));
  STOA_TRY(config, read_encoder_config(file));
  STOA_TRY(tokenizer, Tokenizer::from_gguf(file));
  STOA_CHECK(check_model(path.string(), task, config, tokenizer));
  STOA_TRY(encoder, Encoder::load(TensorSource(file), EncoderNames::kGguf, config, backend));
  return Parts{{.safetensors = {}, .gguf = std::move(file)}, std::move(tokenizer), std::move(encoder)};
}

Result<EncoderModel::Parts> EncoderModel::load_folder(const std::filesystem::path& folder, EncoderTask task, Backend& backend) {
  const auto config_path = folder / "config.json";
  STOA_TRY(config_text, read_small_file(config_path));
  STOA_TRY(config, read_encoder_config(config_text, config_path.string()));
  STOA_TRY(tokenizer, Tokenizer::from_json_file(folder / "tokenizer.json"));
  STOA_CHECK(check_model(folder.string(), task, config, tokenizer));
  STOA_TRY(file, SafetensorsFile::open(folder / "model.safetensors"));
  STOA_TRY(encoder, Encoder::load(TensorSource(file), EncoderNames::kHuggingFace, config, backend));
  return Parts{{.safetensors = std::move(file), .gguf = {}}, std::move(tokenizer), std::move(encoder)};
}

Result<std::unique_ptr<EncoderModel>> EncoderModel::load(const std::filesystem::path& folder, std::string name, EncoderTask task,
                                                        const EncoderOptions& options, Backend& backend, Metrics& metrics) {
  const auto begin = std::chrono::steady_clock::now();
  const auto gguf = gguf_in(folder);
  STOA_TRY(parts, gguf ? load_gguf(*gguf, task, backend) : load_folder(folder, task, backend));
  const auto& config = parts.encoder.config();
  STOA_CHECK(check_memory({.weights = parts.encoder.weight_bytes()}, available_memory(), name));
  STOA_TRY(made_for, options.max_tokens ? Result<int>(*options.max_tokens) : made_to_read(folder));
  const int max_tokens = std::min(made_for, config.positions);
  const int fewest = task == EncoderTask::kEmbed ? 2 : kFewestPairTokens;
  if (max_tokens < fewest) return fail(ErrorCode::kInvalidArgument, "{}: {} tokens are too few, at least {} are needed", folder.string(), max_tokens, fewest);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  log(LogLevel::kInfo, task == EncoderTask::kEmbed ? "embedding model loaded" : "reranker loaded",
      {{"model", name}, {"folder", folder.string()}, {"width", std::int64_t{config.width}}, {"layers", std::int64_t{config.layers}},
       {"isa", backend.report().kernels}, {"max_tokens", std::int64_t{max_tokens}}, {"seconds", seconds}});
  return std::unique_ptr<EncoderModel>(new EncoderModel(std::move(name), task, std::move(parts), max_tokens, std::max(options.batch_tokens, max_tokens), metrics));
}

// Waits for the encoder to be free; the reason when the call is to end instead.
std::optional<Error> EncoderModel::take_turn(const Call& call) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (call.cancel.cancelled()) return error(ErrorCode::kCancelled, "the caller cancelled the request");
    if (call.deadline.passed()) return error(ErrorCode::kDeadlineExceeded, "the deadline passed before all texts were computed");
    if (!busy_) break;
    // Short waits, so that a cancelled call does not queue to the end.
    free_.wait_for(lock, std::chrono::milliseconds(20));
  }
  busy_ = true;
  return std::nullopt;
}

void EncoderModel::end_turn() {
  {
    std::lock_guard lock(mutex_);
    busy_ = false;
  }
  free_.notify_one();
}

EncoderInput EncoderModel::input_of(const std::string& text) const {
  auto tokens = tokenizer_.encode(text);
  const auto limit = static_cast<std::size_t>(max_tokens_);
  if (tokens.size() > limit) {
    // Cut the text, keep the closing [SEP].
    tokens[limit - 1] = tokens.back();
    tokens.resize(limit);
  }
  // A vocabulary without [CLS] and [SEP] may give an empty text no token at all; the encoder needs one.
  if (tokens.empty()) tokens.push_back(std::max(tokenizer_.special().unk, 0));
  return {.tokens = std::move(tokens)};
}

Result<std::int64_t> EncoderModel::run(const Call& call, std::span<const EncoderInput> inputs, float* out) {
  return run_batches(call, inputs, [&](std::span<const EncoderInput> batch, std::size_t before, std::size_t) {
    if (task_ == EncoderTask::kEmbed) {
      encoder_.encode(batch, out + before * static_cast<std::size_t>(config().width));
    } else {
      encoder_.classify(batch, out + before * static_cast<std::size_t>(config().labels));
    }
  });
}

Result<std::int64_t> EncoderModel::run_tokens(const Call& call, std::span<const EncoderInput> inputs, float* out) {
  return run_batches(call, inputs, [&](std::span<const EncoderInput> batch, std::size_t, std::size_t tokens) {
    encoder_.encode_tokens(batch, out + tokens * static_cast<std::size_t>(config().width));
  });
}

Result<std::int64_t> EncoderModel::run_batches(const Call& call, std::span<const EncoderInput> inputs, const Compute& compute) {
  const auto limit = static_cast<std::size_t>(batch_tokens_);
  std::int64_t micros = 0;
  std::size_t tokens = 0;
  for (std::size_t begin = 0; begin < inputs.size();) {
    std::size_t end = begin, total = 0;
    while (end < inputs.size() && total + inputs[end].tokens.size() <= limit) total += inputs[end++].tokens.size();
    if (auto why = take_turn(call)) return fail(std::move(*why));
    const auto start = std::chrono::steady_clock::now();
    compute(inputs.subspan(begin, end - begin), begin, tokens);
    const auto spent = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    end_turn();
    micros += spent.count();
    tokens_total_.add(static_cast<double>(total));
    compute_seconds_.add(static_cast<double>(spent.count()) * 1e-6);
    tokens += total;
    begin = end;
  }
  return micros;
}

}  // namespace stoa::models
