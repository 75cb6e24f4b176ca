#include "models/measure/engine_speed.h"

#include <algorithm>

#include "models/measure/bandwidth.h"
#include "models/measure/streams.h"

namespace stoa::models {
namespace {

constexpr int kSkip = kMeasureOutbox + 2;
constexpr int kDecodeTokens = 64, kBatchTokens = 32, kPrefillTokens = 512, kShortPrompt = 16;
constexpr auto kProbe = std::chrono::milliseconds(100);

SpeedRow row_of(std::string what, std::string unit, std::vector<double> values) {
  std::ranges::sort(values);
  return {std::move(what), std::move(unit), values[values.size() / 2], values.front(), values.back(), static_cast<int>(values.size()), 0};
}

class Measurement {
 public:
  Measurement(LocalGenerator& generator, ThreadPool& threads, const SpeedOptions& options) : generator_(generator), threads_(threads), options_(options) {}

  Result<std::vector<SpeedRow>> run() {
    STOA_TRY(warm_up, request(kShortPrompt, 4));
    STOA_TRY(ignored, measure_streams(generator_, std::span(&warm_up, 1), 0));
    (void)ignored;
    STOA_CHECK(prefill());
    for (const int depth : {kShortPrompt, 512, 2048}) STOA_CHECK(decode(1, depth));
    for (const int depth : {128, 512}) STOA_CHECK(decode(kMeasureStreams, depth));
    rows_.push_back(row_of("memory read bandwidth", "GB/s", bandwidths_));
    return std::move(rows_);
  }

 private:
  Result<ChatRequest> request(int prompt_tokens, int max_tokens) {
    ChatRequest request;
    STOA_TRY(text, text_of(generator_, prompt_tokens, ++variant_));
    request.prompt = std::move(text);
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.sampling.temperature = 0;
    return request;
  }
  bool fits(int tokens) const { return tokens + 64 <= generator_.context_length(); }
  void say(std::string_view what, int run) const {
    if (options_.progress) options_.progress(fmt::format("{}, run {} of {}", what, run + 1, options_.runs));
  }

  Status prefill() {
    if (!fits(kPrefillTokens)) return {};
    const std::string what = fmt::format("prefill, {} tokens", kPrefillTokens);
    std::vector<double> speeds;
    for (int run = 0; run < options_.runs; ++run) {
      say(what, run);
      STOA_TRY(one, request(kPrefillTokens, 1));
      STOA_TRY(outcome, generator_.generate({}, one, [](const ChatDelta&) { return true; }));
      speeds.push_back(1e6 * static_cast<double>(outcome.usage.prompt_tokens) / static_cast<double>(std::max<std::int64_t>(outcome.usage.first_token_micros, 1)));
    }
    rows_.push_back(row_of(what, "tokens/s", std::move(speeds)));
    return {};
  }

  Status decode(int count, int depth) {
    const int tokens = count == 1 ? kDecodeTokens : kBatchTokens;
    if (!fits(depth + 2 * kSkip + tokens)) return {};
    const std::string what = fmt::format("decode, {} stream{} at depth {}", count, count == 1 ? "" : "s", depth);
    std::vector<double> speeds, shares;
    for (int run = 0; run < options_.runs; ++run) {
      say(what, run);
      std::vector<ChatRequest> requests;
      for (int i = 0; i < count; ++i) {
        STOA_TRY(one, request(depth, 2 * kSkip + tokens));
        requests.push_back(std::move(one));
      }
      bandwidths_.push_back(read_bandwidth(threads_, kProbe) * 1e-9);
      STOA_TRY(measured, measure_streams(generator_, requests, kSkip));
      speeds.push_back(static_cast<double>(measured.window_deltas) / std::max(measured.window_seconds, 1e-9));
      shares.push_back(speeds.back() * static_cast<double>(options_.weight_bytes) * 1e-9 / bandwidths_.back());
    }
    rows_.push_back(row_of(what, "tokens/s", std::move(speeds)));
    if (count == 1) rows_.back().bandwidth_share = row_of("", "", std::move(shares)).median;
    return {};
  }

  LocalGenerator& generator_;
  ThreadPool& threads_;
  const SpeedOptions& options_;
  int variant_ = 0;
  std::vector<double> bandwidths_;
  std::vector<SpeedRow> rows_;
};

}  // namespace

std::size_t bytes_per_token(const GgufFile& file) {
  const bool separate_output = file.tensor("output.weight") != nullptr;
  std::size_t bytes = 0;
  for (const auto& tensor : file.tensors())
    if (tensor.shape.size() > 1 && !(separate_output && tensor.name == "token_embd.weight")) bytes += tensor.data.size();
  return bytes;
}

Result<std::string> text_of(const Generator& generator, int tokens, int variant) {
  constexpr const char* kWords[] = {"wind", "over", "the", "harbour", "and", "seven", "grey", "boats", "come", "home", "with", "salt"};
  const auto text = [&](int words) {
    std::string out = fmt::format("Log {}:", variant);
    for (int i = 0; i < words; ++i) out += fmt::format(" {}", kWords[(i * 5 + i / 12 + variant) % 12]);
    return out;
  };
  ChatRequest request;
  // The shortest with enough tokens; a word has at least one.
  int low = 0, high = tokens;
  while (low < high) {
    const int middle = (low + high) / 2;
    request.prompt = text(middle);
    STOA_TRY(count, generator.count_prompt_tokens(request));
    if (count >= tokens) high = middle;
    else low = middle + 1;
  }
  return text(low);
}

Result<std::vector<SpeedRow>> measure_engine(LocalGenerator& generator, ThreadPool& threads, const SpeedOptions& options) {
  return Measurement(generator, threads, options).run();
}

}  // namespace stoa::models
