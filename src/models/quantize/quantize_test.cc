#include "models/quantize/quantize.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "models/compute/dequantize.h"
#include "models/formats/gguf_writer.h"
#include "models/quantize/blocks.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;

std::vector<float> gaussian(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (auto& value : values) value = normal(random);
  return values;
}

std::vector<float> round_trip(DType dtype, std::span<const float> values) {
  std::vector<std::byte> packed(dtype_bytes(dtype, values.size()));
  quantize_row(dtype, values, packed.data());
  std::vector<float> back(values.size());
  dequantize_row(dtype, packed.data(), static_cast<int>(values.size()), back.data());
  return back;
}

double relative_error(std::span<const float> values, std::span<const float> back) {
  double error = 0, total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(values[i]) - static_cast<double>(back[i]), 2);
    total += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / total);
}

// Of normally distributed weights. Rounding to the largest value, without a search, has Q4_0 0.092, Q5_0 0.045, Q4_1 0.084, Q5_1 0.041.
TEST(Blocks, ErrorOfNormalWeights) {
  const auto values = gaussian(256 * 200, 1);
  const auto check = [&](DType dtype, double bound) {
    const double error = relative_error(values, round_trip(dtype, values));
    EXPECT_LE(error, bound) << dtype_info(dtype).name;
    EXPECT_GE(error, bound * 0.5) << dtype_info(dtype).name << ": the bound says nothing";
  };
  check(DType::kBF16, 0.0018);
  check(DType::kF16, 0.00023);
  check(DType::kQ8_0, 0.0058);
  check(DType::kQ4_0, 0.084);
  check(DType::kQ4_1, 0.077);
  check(DType::kQ5_0, 0.041);
  check(DType::kQ5_1, 0.037);
  check(DType::kQ4_K, 0.076);
  check(DType::kQ5_K, 0.037);
  check(DType::kQ6_K, 0.0185);
}

TEST(Blocks, EveryValueStaysWithinAStepOfItsOwn) {
  const auto check = [](const char* what, std::vector<float> values, double share) {
    float peak = 0;
    for (const float value : values) peak = std::max(peak, std::fabs(value));
    for (const auto& info : dtype_table()) {
      if (!can_quantize(info.dtype)) continue;
      ASSERT_TRUE(representable(info.dtype, values));
      const auto back = round_trip(info.dtype, values);
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_LE(std::fabs(values[i] - back[i]), share * static_cast<double>(peak)) << what << ", " << info.name << ", value " << i << ": " << values[i];
    }
  };
  const auto filled = [](float value) { return std::vector<float>(256, value); };
  auto outlier = gaussian(256, 2);
  outlier[77] = -60;
  auto ramp = filled(0);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i) - 100;
  auto large = gaussian(256, 3);
  for (auto& value : large) value = std::clamp(value * 30000, -65504.0f, 65504.0f);
  check("zeros", filled(0), 0);
  check("a constant", filled(0.7f), 0.02);
  check("a negative constant", filled(-3), 0.02);
  check("an outlier", outlier, 0.14);
  check("a ramp", ramp, 0.1);
  check("large", large, 0.14);
}

TEST(Blocks, NamesWhatDoesNotFit) {
  const float infinite = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto check = [](DType dtype, float value, bool fits) { EXPECT_EQ(representable(dtype, std::vector<float>{0, value}), fits) << dtype_info(dtype).name << value; };
  check(DType::kQ8_0, 65504, true);
  check(DType::kQ8_0, 70000, false);
  check(DType::kF16, -70000, false);
  check(DType::kBF16, 70000, true);
  check(DType::kBF16, 3.4e38f, false);
  check(DType::kF32, 3.4e38f, true);
  check(DType::kF32, infinite, false);
  check(DType::kBF16, nan, false);
}

TensorView tensor(std::string name, std::vector<std::int64_t> shape) { return {std::move(name), DType::kF32, std::move(shape), {}}; }

// The names and choices of llama.cpp.
TEST(Recipe, ChoosesAType) {
  const auto check = [](const char* type, const char* name, std::int64_t columns, DType expected, bool noted = false, ModelFacts facts = {.layers = 16}, bool pure = false) {
    const auto choice = choose_type(find_recipe(type).value(), facts, tensor(name, {8, columns}), pure);
    EXPECT_EQ(dtype_info(choice.dtype).name, dtype_info(expected).name) << type << " " << name;
    EXPECT_EQ(!choice.note.empty(), noted) << type << " " << name << ": " << choice.note;
  };
  check("q8_0", "token_embd.weight", 1024, DType::kQ8_0);
  check("Q4_0", "blk.0.attn_v.weight", 1024, DType::kQ4_0);
  check("Q4_0", "token_embd.weight", 1024, DType::kQ6_K);
  check("Q4_0", "token_embd.weight", 576, DType::kQ8_0, true);
  check("Q4_0", "token_embd.weight", 1024, DType::kQ4_0, false, {.layers = 16, .separate_output = true});
  check("Q4_0", "output.weight", 1024, DType::kQ6_K, false, {.layers = 16, .separate_output = true});
  check("Q4_0", "output.weight", 1024, DType::kQ4_0, false, {}, true);
  check("Q4_K", "blk.0.attn_v.weight", 1024, DType::kQ6_K);
  check("Q4_K_M", "blk.2.attn_v.weight", 1024, DType::kQ4_K);
  check("Q4_K_M", "blk.4.ffn_down.weight", 1024, DType::kQ6_K);
  check("Q4_K_M", "blk.15.ffn_down.weight", 1024, DType::kQ6_K);
  check("Q4_K_M", "blk.15.ffn_up.weight", 1024, DType::kQ4_K);
  check("Q4_K_M", "blk.3.ffn_up.weight", 576, DType::kQ5_0, true);
  check("Q4_K_M", "blk.3.ffn_up.weight", 200, DType::kF16, true);
  check("Q4_K_M", "blk.3.attn_qkv.weight", 1024, DType::kQ5_K);
  check("Q4_K_M", "blk.2.attn_v.weight", 1024, DType::kQ8_0, false, {.layers = 16, .experts = 8});
  check("Q4_K_S", "blk.3.attn_v.weight", 1024, DType::kQ5_K);
  check("Q4_K_S", "blk.3.ffn_down.weight", 1024, DType::kQ4_K);
  check("Q5_K_M", "blk.3.attn_q.weight", 576, DType::kQ5_1, true);
  check("Q6_K", "blk.3.attn_q.weight", 576, DType::kQ8_0, true);
  check("Q8_0", "blk.3.attn_q.weight", 40, DType::kF16, true);
  check("F16", "token_embd.weight", 40, DType::kF16);
  EXPECT_FALSE(find_recipe("Q9"));
  EXPECT_NE(find_recipe("Q9").error().hint.find("Q4_K_M"), std::string::npos);
}

TEST(Recipe, LeavesWhatIsNoMatrix) {
  EXPECT_TRUE(is_quantizable(tensor("blk.0.ffn_up.weight", {4, 32})));
  EXPECT_TRUE(is_quantizable(tensor("blk.0.ffn_up_exps.weight", {2, 4, 32})));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.attn_norm.weight", {32})));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.attn_q_norm.weight", {4, 32})));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.ffn_gate_inp.weight", {4, 32})));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.attn_q.bias", {32})));
  EXPECT_FALSE(is_quantizable(tensor("rope_freqs", {4, 32})));
}

class QuantizeFile : public ::testing::Test {
 protected:
  QuantizeFile() {
    std::string name = (fs::temp_directory_path() / "stoa-quantize-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~QuantizeFile() override { fs::remove_all(folder_); }

  static std::span<const std::byte> bytes_of(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }

  void write_model(const std::vector<float>& matrix = gaussian(96 * 256, 5), std::vector<std::int64_t> shape = {96, 256}) {
    GgufWriter writer;
    writer.add_string("general.architecture", "llama");
    writer.add_u32("general.file_type", 0);
    writer.add_u32("llama.block_count", 4);
    writer.add_strings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "bc", ""});
    writer.add_i32s("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, -2, 3});
    writer.add_tensor("output_norm.weight", DType::kF32, std::vector<std::int64_t>{3}, bytes_of({1, 2, 3}));
    writer.add_tensor("blk.1.ffn_up.weight", DType::kF32, shape, bytes_of(matrix));
    writer.add_tensor("blk.1.ffn_gate_exps.weight", DType::kF32, std::vector<std::int64_t>{2, 3, 32}, bytes_of(gaussian(192, 6)));
    const auto bytes = writer.finish();
    std::ofstream(input(), std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  fs::path input() const { return folder_ / "in.gguf"; }
  fs::path output() const { return folder_ / "out.gguf"; }
  Result<QuantizeReport> run(std::string_view type, QuantizeOptions options = {}) { return run(input(), output(), type, std::move(options)); }
  Result<QuantizeReport> run(const fs::path& from, const fs::path& to, std::string_view type, QuantizeOptions options = {}) {
    options.recipe = find_recipe(type).value();
    return quantize_file(from, to, options, threads_);
  }
  void expect_error(const Result<QuantizeReport>& result, ErrorCode code, std::string_view part) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
    // Neither the output nor anything unfinished.
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  }

  fs::path folder_;
  ThreadPool threads_{2};
};

TEST_F(QuantizeFile, WritesWhatTheReaderReads) {
  write_model();
  std::size_t reports = 0;
  QuantizeOptions options;
  options.progress = [&](const QuantizeProgress& state) {
    ++reports;
    EXPECT_LE(state.bytes, state.total_bytes);
    return true;
  };
  const auto report = run("Q4_K_M", options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(reports, 3u);
  EXPECT_EQ(report->bytes_out, fs::file_size(output()));
  const auto file = GgufFile::open(output());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->get_int("general.file_type").value(), 15);
  EXPECT_EQ(file->get_int("general.quantization_version").value(), 2);
  EXPECT_EQ(file->get_array("tokenizer.ggml.tokens").value().strings[1], "bc");
  EXPECT_EQ(file->get_array("tokenizer.ggml.token_type").value().int_at(1), -2);
  EXPECT_EQ(file->tensor("output_norm.weight")->dtype, DType::kF32);
  EXPECT_EQ(file->tensor("blk.1.ffn_gate_exps.weight")->dtype, DType::kQ5_0);
  EXPECT_EQ(file->tensor("blk.1.ffn_gate_exps.weight")->shape, (std::vector<std::int64_t>{2, 3, 32}));
  const auto* matrix = file->tensor("blk.1.ffn_up.weight");
  ASSERT_EQ(matrix->dtype, DType::kQ4_K);
  std::vector<float> back(96 * 256);
  for (std::size_t r = 0; r < 96; ++r) dequantize_row(matrix->dtype, matrix->data.data() + r * 144, 256, back.data() + r * 256);
  EXPECT_LE(relative_error(gaussian(96 * 256, 5), back), 0.08);
}

TEST_F(QuantizeFile, RefusesToReplaceAndToLoseTwice) {
  write_model();
  ASSERT_TRUE(run("Q8_0"));
  const auto again = run("Q4_0");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(run("Q4_0", {.recipe = {}, .force = true}));
  const auto third = folder_ / "third.gguf";
  const auto twice = run(output(), third, "Q8_0");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().hint.find("--requantize"), std::string::npos);
  EXPECT_TRUE(run(output(), third, "Q8_0", {.recipe = {}, .requantize = true}));
  EXPECT_TRUE(run(output(), third, "F32", {.recipe = {}, .force = true})) << "expanding loses nothing";
  EXPECT_EQ(GgufFile::open(third).value().tensor("blk.1.ffn_up.weight")->dtype, DType::kF32);
  fs::remove(third);
  fs::remove(output());
  expect_error(run(input(), input(), "Q8_0", {.recipe = {}, .force = true}), ErrorCode::kInvalidArgument, "both input and output");
}

TEST_F(QuantizeFile, BadValuesAreNamed) {
  auto values = gaussian(96 * 256, 5);
  values[256 * 7 + 3] = std::numeric_limits<float>::quiet_NaN();
  write_model(values);
  expect_error(run("Q4_0"), ErrorCode::kInvalidArgument, "row 7 of tensor blk.1.ffn_up.weight");
  values[256 * 7 + 3] = 1e6f;
  write_model(values);
  expect_error(run("F16"), ErrorCode::kInvalidArgument, "range of F16");
  EXPECT_TRUE(run("BF16"));
}

TEST_F(QuantizeFile, AFullDiskLeavesNothing) {
  write_model();
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{20000, before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto full = run("Q8_0");
  ::setrlimit(RLIMIT_FSIZE, &before);
  expect_error(full, ErrorCode::kResourceExhausted, "cannot write");
}

TEST_F(QuantizeFile, StopsWhenToldTo) {
  write_model();
  QuantizeOptions options;
  options.progress = [](const QuantizeProgress& state) { return state.done < 1; };
  expect_error(run("Q8_0", options), ErrorCode::kCancelled, "interrupted");
}

TEST_F(QuantizeFile, DamagedAndSplitInputs) {
  write_model();
  fs::resize_file(input(), 900);
  expect_error(run("Q8_0"), ErrorCode::kDataLoss, "in.gguf");
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("split.count", 3);
  const auto bytes = writer.finish();
  std::ofstream(input(), std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  expect_error(run("Q8_0"), ErrorCode::kUnsupported, "one of 3 parts");
}

}  // namespace
}  // namespace stoa::models
