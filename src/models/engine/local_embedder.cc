#include "models/engine/local_embedder.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>
#include <utility>

#include "base/log.h"
#include "models/engine/memory_plan.h"

namespace stoa::models {
namespace {

constexpr std::uintmax_t kMaxConfigBytes = 1u << 20;

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

}  // namespace

LocalEmbedder::LocalEmbedder(std::string name, SafetensorsFile file, Tokenizer tokenizer, Encoder encoder, int max_tokens, int batch_tokens,
                             Metrics& metrics)
    : name_(std::move(name)),
      file_(std::move(file)),
      tokenizer_(std::move(tokenizer)),
      max_tokens_(max_tokens),
      batch_tokens_(batch_tokens),
      tokens_total_(metrics.counter("stoa_embedder_tokens_total", "Tokens embedded", {{"model", name_}})),
      compute_seconds_(metrics.counter("stoa_embedder_compute_seconds_total", "Time spent embedding", {{"model", name_}})),
      encoder_(std::move(encoder)) {}

Result<std::unique_ptr<LocalEmbedder>> LocalEmbedder::load(const std::filesystem::path& folder, std::string name, const EmbedderOptions& options,
                                                          ThreadPool& threads, Metrics& metrics) {
  const auto begin = std::chrono::steady_clock::now();
  const auto config_path = folder / "config.json";
  STOA_TRY(config_text, read_small_file(config_path));
  STOA_TRY(config, read_encoder_config(config_text, config_path.string()));
  STOA_TRY(tokenizer, Tokenizer::from_json_file(folder / "tokenizer.json"));
  if (tokenizer.size() > config.vocabulary) {
    return fail(ErrorCode::kDataLoss, "{}: tokenizer.json has {} tokens, but config.json says {}", folder.string(), tokenizer.size(), config.vocabulary);
  }
  STOA_TRY(file, SafetensorsFile::open(folder / "model.safetensors"));
  STOA_TRY(encoder, Encoder::load(file, config, threads, options.isa));
  STOA_CHECK(check_memory({.weights = encoder.weight_bytes()}, available_memory(), name));
  const int max_tokens = std::min(options.max_tokens, config.positions);
  if (max_tokens < 2) return fail(ErrorCode::kInvalidArgument, "{}: {} tokens do not hold [CLS] and [SEP]", folder.string(), max_tokens);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  log(LogLevel::kInfo, "embedding model loaded",
      {{"model", name}, {"folder", folder.string()}, {"dimensions", std::int64_t{config.width}}, {"layers", std::int64_t{config.layers}},
       {"isa", std::string(isa_name(options.isa))}, {"max_tokens", std::int64_t{max_tokens}}, {"seconds", seconds}});
  return std::unique_ptr<LocalEmbedder>(new LocalEmbedder(std::move(name), std::move(file), std::move(tokenizer), std::move(encoder), max_tokens,
                                                          std::max(options.batch_tokens, max_tokens), metrics));
}

Result<int> LocalEmbedder::count_tokens(const std::string& text) const { return static_cast<int>(tokenizer_.encode(text).size()); }

std::vector<std::int32_t> LocalEmbedder::tokens_of(const std::string& text) const {
  auto tokens = tokenizer_.encode(text);
  const auto limit = static_cast<std::size_t>(max_tokens_);
  if (tokens.size() > limit) {
    // Cut the text, keep the closing [SEP].
    tokens[limit - 1] = tokens.back();
    tokens.resize(limit);
  }
  // A vocabulary without [CLS] and [SEP] may give an empty text no token at all; the encoder needs one.
  if (tokens.empty()) tokens.push_back(std::max(tokenizer_.special().unk, 0));
  return tokens;
}

// Waits for the encoder to be free; the reason when the call is to end instead.
std::optional<Error> LocalEmbedder::take_turn(const Call& call) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (call.cancel.cancelled()) return error(ErrorCode::kCancelled, "the caller cancelled the request");
    if (call.deadline.passed()) return error(ErrorCode::kDeadlineExceeded, "the deadline passed before all texts were embedded");
    if (!busy_) break;
    // Short waits, so that a cancelled call does not queue to the end.
    free_.wait_for(lock, std::chrono::milliseconds(20));
  }
  busy_ = true;
  return std::nullopt;
}

void LocalEmbedder::end_turn() {
  {
    std::lock_guard lock(mutex_);
    busy_ = false;
  }
  free_.notify_one();
}

Result<data::Embeddings> LocalEmbedder::embed(const Call& call, std::span<const std::string> texts) {
  Span span = call.span("embeddings " + name_);
  span.set("gen_ai.operation.name", std::string("embeddings"));
  span.set("gen_ai.request.model", name_);
  std::vector<std::vector<std::int32_t>> tokens;
  tokens.reserve(texts.size());
  data::Embeddings result{.dimensions = dimensions(), .values = {}, .tokens = {}, .compute_micros = 0};
  for (const auto& text : texts) {
    tokens.push_back(tokens_of(text));
    result.tokens.push_back(static_cast<int>(tokens.back().size()));
  }
  const auto width = static_cast<std::size_t>(dimensions());
  result.values.resize(texts.size() * width);
  for (std::size_t begin = 0; begin < tokens.size();) {
    std::size_t end = begin;
    int total = 0;
    while (end < tokens.size() && total + result.tokens[end] <= batch_tokens_) total += result.tokens[end++];
    if (auto why = take_turn(call)) {
      span.fail(why->message);
      return fail(std::move(*why));
    }
    const auto start = std::chrono::steady_clock::now();
    encoder_.encode(std::span(tokens).subspan(begin, end - begin), result.values.data() + begin * width);
    const auto spent = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    end_turn();
    result.compute_micros += spent.count();
    tokens_total_.add(total);
    compute_seconds_.add(static_cast<double>(spent.count()) * 1e-6);
    begin = end;
  }
  span.set("gen_ai.usage.input_tokens", std::accumulate(result.tokens.begin(), result.tokens.end(), std::int64_t{0}));
  return result;
}

}  // namespace stoa::models
