#include "models/engine/model_config.h"

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/decoder.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

// The smallest file that read_decoder_config accepts, with one key changed.
Result<DecoderConfig> read(const std::function<void(GgufWriter&)>& change, const char* architecture = "llama", const std::string& skip = "") {
  GgufWriter writer;
  writer.add_string("general.architecture", architecture);
  const std::pair<const char*, std::uint32_t> numbers[] = {
      {"block_count", 2}, {"embedding_length", 64}, {"attention.head_count", 4}, {"feed_forward_length", 128}, {"context_length", 512}};
  for (const auto& [key, value] : numbers) {
    if (key != skip) writer.add_u32(std::string(architecture) + "." + key, value);
  }
  if (skip != "token_embd") {
    const std::vector<std::byte> data(32 * 64 * 4);
    const std::int64_t shape[] = {32, 64};
    writer.add_tensor("token_embd.weight", DType::kF32, shape, data);
  }
  change(writer);
  const auto bytes = writer.finish();
  auto file = GgufFile::parse(bytes, "test.gguf");
  if (!file) return fail(file.error());
  return read_decoder_config(*file);
}

TEST(DecoderConfig, ReadsDefaultsAndVariants) {
  const auto plain = read([](GgufWriter&) {});
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->head_dim, 16);
  EXPECT_EQ(plain->kv_heads, 4);
  EXPECT_EQ(plain->ropes[0].dim, 16);
  EXPECT_EQ(plain->vocabulary, 32);
  EXPECT_EQ(plain->ropes[0].style, RopeStyle::kInterleaved);
  EXPECT_EQ(plain->context_length, 512);

  const auto qwen = read([](GgufWriter&) {}, "qwen2");
  ASSERT_TRUE(qwen);
  EXPECT_EQ(qwen->ropes[0].style, RopeStyle::kHalves);

  const auto variant = read([](GgufWriter& w) {
    w.add_u32("llama.attention.head_count_kv", 2);
    w.add_u32("llama.attention.sliding_window", 100);
    w.add_string("llama.rope.scaling.type", "linear");
    w.add_f32("llama.rope.scaling.factor", 4);
    w.add_f32("llama.rope.freq_base", 500000);
  });
  ASSERT_TRUE(variant) << variant.error().message;
  EXPECT_EQ(variant->kv_heads, 2);
  EXPECT_EQ(variant->context_length, 512);
  EXPECT_EQ(variant->plan[1].window, 100);
  EXPECT_DOUBLE_EQ(variant->ropes[0].scale, 0.25);
  EXPECT_DOUBLE_EQ(variant->ropes[0].base, 500000);
}

TEST(DecoderConfig, PlansTheLayersOfEachFamily) {
  const auto windows = [](const DecoderConfig& config) {
    std::vector<int> all;
    for (const auto& layer : config.plan) all.push_back(layer.window);
    return all;
  };
  const auto gemma2 = read([](GgufWriter& w) { w.add_u32("gemma2.attention.sliding_window", 100); w.add_u32("gemma2.block_count", 4); }, "gemma2", "block_count");
  ASSERT_TRUE(gemma2) << gemma2.error().message;
  EXPECT_EQ(windows(*gemma2), (std::vector{100, 0, 100, 0}));
  EXPECT_EQ(gemma2->attention_softcap, 50);
  EXPECT_EQ(gemma2->logit_softcap, 30);
  EXPECT_EQ(gemma2->embedding_scale, 8);
  EXPECT_EQ(gemma2->activation, Activation::kGelu);
  EXPECT_TRUE(gemma2->post_norms);
  EXPECT_EQ(gemma2->plan[0].rope, gemma2->plan[1].rope);

  const auto gemma3 = read([](GgufWriter& w) {
    w.add_u32("gemma3.block_count", 7);
    w.add_u32("gemma3.attention.sliding_window", 64);
    w.add_f32("gemma3.rope.freq_base", 1e6f);
    w.add_string("gemma3.rope.scaling.type", "linear");
    w.add_f32("gemma3.rope.scaling.factor", 8);
  }, "gemma3", "block_count");
  ASSERT_TRUE(gemma3) << gemma3.error().message;
  EXPECT_EQ(windows(*gemma3), (std::vector{64, 64, 64, 64, 64, 0, 64}));
  EXPECT_EQ(gemma3->ropes[static_cast<std::size_t>(gemma3->plan[0].rope)].base, 10000);
  EXPECT_EQ(gemma3->ropes[static_cast<std::size_t>(gemma3->plan[0].rope)].scale, 1);
  EXPECT_EQ(gemma3->ropes[static_cast<std::size_t>(gemma3->plan[5].rope)].base, 1e6);
  EXPECT_EQ(gemma3->ropes[static_cast<std::size_t>(gemma3->plan[5].rope)].scale, 0.125);

  const auto yarn = read([](GgufWriter& w) {
    w.add_string("qwen2.rope.scaling.type", "yarn");
    w.add_f32("qwen2.rope.scaling.factor", 4);
    w.add_u32("qwen2.rope.scaling.original_context_length", 128);
  }, "qwen2");
  ASSERT_TRUE(yarn) << yarn.error().message;
  EXPECT_TRUE(yarn->ropes[0].yarn);
  EXPECT_EQ(yarn->ropes[0].ramp.original_context, 128);
  EXPECT_NEAR(yarn->ropes[0].magnitude, 1.1386, 1e-4);

  const auto experts = read([](GgufWriter& w) {
    w.add_u32("qwen2moe.expert_count", 8);
    w.add_u32("qwen2moe.expert_used_count", 2);
    w.add_u32("qwen2moe.expert_feed_forward_length", 48);
    w.add_u32("qwen2moe.expert_shared_feed_forward_length", 96);
  }, "qwen2moe");
  ASSERT_TRUE(experts) << experts.error().message;
  EXPECT_EQ(experts->experts.count, 8);
  EXPECT_EQ(experts->experts.feed_forward, 48);
  EXPECT_EQ(experts->experts.shared, 96);
  EXPECT_FALSE(experts->experts.normalized);
}

TEST(DecoderConfig, NamesWhatIsWrong) {
  const struct {
    const char* architecture;
    std::function<void(GgufWriter&)> change;
    const char* skip;
    ErrorCode code;
    const char* mentions;
  } cases[] = {
      {"gemma9", [](GgufWriter&) {}, "", ErrorCode::kUnsupported, "gemma9"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.expert_count", 8); }, "", ErrorCode::kNotFound, "llama.expert_used_count"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.expert_count", 8); w.add_u32("llama.expert_used_count", 9); }, "", ErrorCode::kDataLoss, "expert_used_count"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.expert_count", 1u << 20); }, "", ErrorCode::kDataLoss, "expert_count"},
      {"llama", [](GgufWriter& w) { w.add_string("llama.rope.scaling.type", "yarn"); }, "", ErrorCode::kDataLoss, "original_context_length"},
      {"llama", [](GgufWriter& w) { w.add_string("llama.rope.scaling.type", "other"); }, "", ErrorCode::kUnsupported, "other"},
      {"gemma3", [](GgufWriter& w) { w.add_u32("gemma3.attention.sliding_window", 8); w.add_u32("gemma3.attention.sliding_window_pattern", 0); }, "", ErrorCode::kDataLoss, "sliding_window_pattern"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.attention.head_count_kv", 3); }, "", ErrorCode::kDataLoss, "head_count_kv"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.attention.key_length", 24); }, "", ErrorCode::kDataLoss, "key_length"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.attention.value_length", 32); }, "", ErrorCode::kDataLoss, "value_length"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.rope.dimension_count", 15); }, "", ErrorCode::kDataLoss, "dimension_count"},
      {"llama", [](GgufWriter&) {}, "block_count", ErrorCode::kNotFound, "llama.block_count"},
      {"llama", [](GgufWriter& w) { w.add_u32("llama.block_count", 1u << 30); }, "block_count", ErrorCode::kDataLoss, "block_count"},
      {"llama", [](GgufWriter&) {}, "token_embd", ErrorCode::kDataLoss, "token_embd.weight"},
  };
  for (const auto& c : cases) {
    const auto config = read(c.change, c.architecture, c.skip);
    ASSERT_FALSE(config) << c.mentions;
    EXPECT_EQ(config.error().code, c.code) << config.error().message;
    EXPECT_NE(config.error().message.find(c.mentions), std::string::npos) << config.error().message;
  }
}

TEST(DecoderLoad, NamesMissingAndIllShapedTensors) {
  ThreadPool threads(1);
  CpuBackend backend(threads, Isa::kPlain);
  const auto load = [&](const std::vector<std::byte>& bytes) {
    auto file = GgufFile::parse(bytes, "test.gguf");
    EXPECT_TRUE(file);
    return Decoder::load(*file, backend);
  };
  TinyModel missing;
  missing.leave_out = "blk.1.attn_k.weight";
  const auto without = load(missing.build());
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message.find("blk.1.attn_k.weight is missing"), std::string::npos) << without.error().message;

  GgufWriter writer;
  TinyModel model;
  model.leave_out = "output_norm.weight";
  auto bytes = model.build();
  auto file = GgufFile::parse(bytes, "part.gguf");
  ASSERT_TRUE(file);
  for (const auto& entry : file->metadata()) {
    if (entry.type == GgufType::kString) writer.add_string(entry.key, entry.text);
    if (entry.type == GgufType::kU32) writer.add_u32(entry.key, static_cast<std::uint32_t>(*file->get_int(entry.key)));
  }
  for (const auto& tensor : file->tensors()) writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.data);
  const std::vector<std::byte> data(100 * 4);
  const std::int64_t shape[] = {100};
  writer.add_tensor("output_norm.weight", DType::kF32, shape, data);
  const auto ill = load(writer.finish());
  ASSERT_FALSE(ill);
  EXPECT_NE(ill.error().message.find("output_norm.weight has shape [100], expected [256]"), std::string::npos) << ill.error().message;
}

TEST(EncoderConfig, ReadsAndRefuses) {
  const std::string good =
      R"({"model_type":"bert","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"intermediate_size":128,)"
      R"("vocab_size":100,"max_position_embeddings":32,"type_vocab_size":2,"layer_norm_eps":1e-12,"hidden_act":"gelu")";
  const auto config = read_encoder_config(good + "}", "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->positions, 32);
  EXPECT_FALSE(config->gelu_tanh);
  const struct {
    std::string json;
    ErrorCode code;
  } cases[] = {
      {"[]", ErrorCode::kDataLoss},
      {"{", ErrorCode::kInvalidArgument},
      {R"({"model_type":"t5"})", ErrorCode::kUnsupported},
      {R"({"model_type":"bert"})", ErrorCode::kDataLoss},
      {R"({"model_type":"bert","hidden_act":"relu"})", ErrorCode::kUnsupported},
      {R"({"model_type":"bert","num_hidden_layers":-1})", ErrorCode::kInvalidArgument},
  };
  for (const auto& c : cases) {
    const auto bad = read_encoder_config(c.json, "config.json");
    ASSERT_FALSE(bad) << c.json;
    EXPECT_EQ(bad.error().code, c.code) << c.json << ": " << bad.error().message;
    EXPECT_NE(bad.error().message.find("config.json"), std::string::npos);
  }
}

TEST(EncoderConfig, KnowsClassifiersAndRobertasPositions) {
  const auto read = [](const std::string& more) {
    return read_encoder_config(R"({"num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"intermediate_size":128,"vocab_size":100,)"
                               R"("max_position_embeddings":34,"type_vocab_size":1,)" + more + "}", "config.json");
  };
  const auto check = [&](const std::string& more, int labels, int positions, int first) {
    const auto config = read(more);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->labels, labels) << more;
    EXPECT_EQ(config->positions, positions) << more;
    EXPECT_EQ(config->first_position, first) << more;
  };
  check(R"("model_type":"bert","architectures":["BertModel"])", 0, 34, 0);
  check(R"("model_type":"bert","architectures":["BertForSequenceClassification"],"id2label":{"0":"a"})", 1, 34, 0);
  check(R"("model_type":"bert","architectures":["BertForSequenceClassification"])", 2, 34, 0);  // as Hugging Face counts when nothing is said
  check(R"("model_type":"xlm-roberta","architectures":["XLMRobertaForSequenceClassification"],"id2label":{"0":"a"},"pad_token_id":1)", 1, 32, 2);
  check(R"("model_type":"roberta")", 0, 32, 2);
  EXPECT_FALSE(read(R"("model_type":"roberta","pad_token_id":33)"));
}

TEST(EncoderConfig, ReadsGguf) {
  const auto check = [](std::string_view architecture, std::uint32_t pooling, std::uint32_t heads, bool types, const char* refusal) {
    GgufWriter writer;
    writer.add_string("general.architecture", architecture);
    for (const auto& [key, value] : {std::pair{"block_count", 2u}, {"embedding_length", 64u}, {"feed_forward_length", 128u}, {"context_length", 32u},
                                     {"attention.head_count", heads}, {"pooling_type", pooling}})
      writer.add_u32(std::string("bert.") + key, value);
    const std::vector<std::byte> data(100 * 64 * 4);
    const auto add = [&](const char* name, std::int64_t rows) {
      const std::int64_t shape[] = {rows, 64};
      writer.add_tensor(name, DType::kF32, shape, std::span(data).first(static_cast<std::size_t>(rows) * 64 * 4));
    };
    add("token_embd.weight", 100);
    add("position_embd.weight", 30);
    if (types) add("token_types.weight", 2);
    add("cls.output.weight", 1);
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes, "m.gguf");
    ASSERT_TRUE(file) << file.error().message;
    const auto config = read_encoder_config(*file);
    ASSERT_EQ(config.has_value(), refusal == nullptr) << (refusal == nullptr ? config.error().message : refusal);
    if (refusal != nullptr) {
      EXPECT_NE(config.error().message.find(refusal), std::string::npos) << config.error().message;
      return;
    }
    EXPECT_EQ(config->positions, 30);
    EXPECT_EQ(config->token_types, 2);
    EXPECT_EQ(config->labels, pooling == 4 ? 1 : 0);
  };
  check("bert", 4, 4, true, nullptr);
  check("bert", 1, 4, true, nullptr);
  check("bert", 2, 4, true, "pooling_type 2");
  check("bert", 4, 5, true, "5 heads");
  check("bert", 4, 4, false, "token_types.weight is missing");
  check("nomic-bert", 4, 4, true, "nomic-bert");
}

}  // namespace
}  // namespace stoa::models
