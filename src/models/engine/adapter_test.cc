#include "models/engine/adapter.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/adapter_set.h"
#include "models/engine/decoder.h"
#include "models/engine/local_generator.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;

using Floats = std::vector<float>;

// A change of rank r to tensors of the tiny model, in either format.
struct TinyAdapter {
  int rank = 4;
  float alpha = 8;
  std::vector<std::string> tensors = {"attn_q", "attn_v", "attn_output", "ffn_gate", "ffn_down"};  // of every layer
  std::uint32_t seed = 7;

  struct Part {
    std::string tensor;
    int layer, rows, cols;
    Floats a, b;
  };
  std::vector<Part> parts(const TinyModel& m) const {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 0.1f);
    std::vector<Part> all;
    for (int layer = 0; layer < m.layers; ++layer) {
      for (const auto& tensor : tensors) {
        const int q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
        const int rows = tensor == "attn_q" ? q : tensor == "attn_k" || tensor == "attn_v" ? kv : tensor == "ffn_gate" || tensor == "ffn_up" ? m.feed_forward : m.width;
        const int cols = tensor == "attn_output" ? q : tensor == "ffn_down" ? m.feed_forward : m.width;
        Part part{tensor, layer, rows, cols, Floats(static_cast<std::size_t>(rank * cols)), Floats(static_cast<std::size_t>(rows * rank))};
        for (float& v : part.a) v = normal(random);
        for (float& v : part.b) v = normal(random);
        all.push_back(std::move(part));
      }
    }
    return all;
  }
};

void write(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
void write(const fs::path& path, const std::string& text) { write(path, std::as_bytes(std::span(text))); }

void add_floats(GgufWriter& writer, const std::string& name, int rows, int cols, const Floats& values) {
  const std::int64_t shape[] = {rows, cols};
  writer.add_tensor(name, DType::kF32, shape, std::as_bytes(std::span(values)));
}

fs::path write_gguf(const fs::path& path, const TinyModel& model, const TinyAdapter& adapter, const std::string& type = "lora") {
  GgufWriter writer;
  writer.add_string("general.architecture", model.architecture);
  writer.add_string("adapter.type", type);
  writer.add_f32("adapter.lora.alpha", adapter.alpha);
  for (const auto& p : adapter.parts(model)) {
    const std::string name = "blk." + std::to_string(p.layer) + "." + p.tensor + ".weight";
    add_floats(writer, name + ".lora_a", adapter.rank, p.cols, p.a);
    add_floats(writer, name + ".lora_b", p.rows, adapter.rank, p.b);
  }
  write(path, writer.finish());
  return path;
}

std::string module_of(const std::string& tensor) {
  const std::map<std::string, std::string> names = {{"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"}, {"attn_v", "self_attn.v_proj"},
                                                    {"attn_output", "self_attn.o_proj"}, {"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"},
                                                    {"ffn_down", "mlp.down_proj"}};
  return names.at(tensor);
}

// In Hugging Face's order: the rows of a llama's q and k stand as they did before their conversion to GGUF.
fs::path write_peft(const fs::path& folder, const TinyModel& model, const TinyAdapter& adapter, const std::string& config = "") {
  fs::create_directories(folder);
  write(folder / "adapter_config.json",
        config.empty() ? R"({"peft_type":"LORA","r":)" + std::to_string(adapter.rank) + R"(,"lora_alpha":)" + std::to_string(adapter.alpha) + R"(,"bias":"none"})" : config);
  std::string header = "{", data;
  const auto add = [&](const std::string& name, int rows, int cols, const Floats& values) {
    const auto begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    header += (header.size() > 1 ? "," : "") + ("\"" + name + R"(":{"dtype":"F32","shape":[)") + std::to_string(rows) + "," + std::to_string(cols) +
              R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  };
  for (const auto& p : adapter.parts(model)) {
    const std::string name = "base_model.model.model.layers." + std::to_string(p.layer) + "." + module_of(p.tensor);
    Floats b = p.b;
    if (model.architecture == "llama" && (p.tensor == "attn_q" || p.tensor == "attn_k")) {
      const int half = model.head_dim / 2;
      for (int row = 0; row < p.rows; ++row) {
        const int head = row / model.head_dim, i = row % model.head_dim;
        const int to = head * model.head_dim + i % 2 * half + i / 2;
        std::copy_n(p.b.begin() + row * adapter.rank, adapter.rank, b.begin() + to * adapter.rank);
      }
    }
    add(name + ".lora_A.weight", adapter.rank, p.cols, p.a);
    add(name + ".lora_B.weight", p.rows, adapter.rank, b);
  }
  header += "}";
  std::uint64_t size = header.size();
  std::string file(reinterpret_cast<const char*>(&size), sizeof size);
  write(folder / "adapter_model.safetensors", file + header + data);
  return folder;
}

// The model's file with the adapter added to its weights.
std::vector<std::byte> merged(const TinyModel& model, const TinyAdapter& adapter) {
  auto bytes = model.build();
  auto file = GgufFile::parse(bytes, "tiny.gguf");
  EXPECT_TRUE(file);
  for (const auto& p : adapter.parts(model)) {
    const auto* tensor = file->tensor("blk." + std::to_string(p.layer) + "." + p.tensor + ".weight");
    auto* const data = bytes.data() + (tensor->data.data() - bytes.data());
    for (int row = 0; row < p.rows; ++row) {
      for (int col = 0; col < p.cols; ++col) {
        float value = 0, sum = 0;
        std::byte* const at = data + (row * p.cols + col) * 4;
        std::memcpy(&value, at, 4);
        for (int i = 0; i < adapter.rank; ++i) sum += p.b[static_cast<std::size_t>(row * adapter.rank + i)] * p.a[static_cast<std::size_t>(i * p.cols + col)];
        value += adapter.alpha / static_cast<float>(adapter.rank) * sum;
        std::memcpy(at, &value, 4);
      }
    }
  }
  return bytes;
}

class AdapterTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("adapter_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Run {
    Run(std::vector<std::byte> b, Backend& backend) : bytes(std::move(b)), file(std::move(*GgufFile::parse(bytes, "tiny.gguf"))),
        decoder(std::move(*Decoder::load(file, backend))), pool(std::move(*KvPool::create(decoder.kv_layout(), decoder.kv_layout().page_bytes() * 64))) {}
    // Logits of the last token of each sequence, all in one batch.
    std::vector<Floats> logits(const std::vector<std::vector<std::int32_t>>& sequences, const std::vector<const Adapter*>& adapters) {
      std::vector<std::vector<PageId>> pages(sequences.size());
      std::vector<Segment> segments;
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        EXPECT_TRUE(pool.allocate(pages_for(static_cast<int>(sequences[i].size())), pages[i]));
        segments.push_back({.tokens = sequences[i], .position = 0, .pages = pages[i], .logit_rows = 1, .adapter = adapters[i]});
      }
      const auto all = decoder.forward(segments, pool);
      std::vector<Floats> out;
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        const auto row = all.subspan(i * TinyModel::kVocabulary, TinyModel::kVocabulary);
        out.emplace_back(row.begin(), row.end());
        for (const PageId page : pages[i]) pool.release(page);
      }
      return out;
    }
    std::vector<std::byte> bytes;
    GgufFile file;
    Decoder decoder;
    KvPool pool;
  };
  static double distance(const Floats& a, const Floats& b) {
    double most = 0, largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
      largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    }
    return most / largest;
  }

  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  fs::path folder_;
};

TEST_F(AdapterTest, EqualsMergedWeightsInABatchOfSeveral) {
  for (const char* architecture : {"llama", "qwen2"}) {
    TinyModel model;
    model.architecture = architecture;
    const TinyAdapter first, second{.rank = 20, .alpha = 10, .tensors = {"attn_k", "ffn_up", "attn_q"}, .seed = 8};
    Run base(model.build(), backend_);
    const auto load = [&](const fs::path& path) {
      auto adapter = Adapter::load(path, base.decoder.config(), backend_);
      EXPECT_TRUE(adapter) << adapter.error().message;
      return *adapter;
    };
    const auto a = load(write_gguf(folder_ / "a.gguf", model, first));
    const auto b = load(write_gguf(folder_ / "b.gguf", model, second));
    const auto peft = load(write_peft(folder_ / "peft", model, second));
    EXPECT_EQ(a->rank(), 16);
    EXPECT_EQ(b->rank(), 32);

    std::vector<std::vector<std::int32_t>> tokens;
    for (int i = 0; i < 6; ++i) {
      for (tokens.emplace_back(); tokens.back().size() < static_cast<std::size_t>(3 + 9 * i);) tokens.back().push_back(static_cast<std::int32_t>((tokens.back().size() * 31 + static_cast<std::size_t>(i) * 7) % 250));
    }
    const std::vector<const Adapter*> mixed = {b.get(), nullptr, a.get(), peft.get(), nullptr, b.get()}, none(6, nullptr);
    const auto actual = base.logits(tokens, mixed);
    const auto plain = base.logits(tokens, none);
    const auto with_a = Run(merged(model, first), backend_).logits(tokens, none);
    const auto with_b = Run(merged(model, second), backend_).logits(tokens, none);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto& expected = mixed[i] == nullptr ? plain[i] : mixed[i] == a.get() ? with_a[i] : with_b[i];
      EXPECT_LT(distance(actual[i], expected), 2e-3) << architecture << " " << i;
      if (mixed[i] == nullptr) continue;
      EXPECT_GT(distance(plain[i], expected), 0.05) << architecture << " " << i;
    }
  }
}

TEST_F(AdapterTest, NamesWhatDoesNotFit) {
  TinyModel model;
  Run base(model.build(), backend_);
  TinyModel wider = model, deeper = model, other = model;
  wider.feed_forward = 1024;
  deeper.layers = 3;
  other.architecture = "qwen2";
  const TinyAdapter good;
  const auto config = [](const std::string& rest) { return R"({"lora_alpha":8,"r":4)" + rest + "}"; };
  GgufWriter strange;
  strange.add_string("adapter.type", "lora");
  add_floats(strange, "token_embd.weight.lora_a", 4, 256, Floats(4 * 256));
  write(folder_ / "strange.gguf", strange.finish());
  GgufWriter half;
  half.add_string("adapter.type", "lora");
  add_floats(half, "blk.0.attn_q.weight.lora_a", 4, 256, Floats(4 * 256));
  write(folder_ / "half.gguf", half.finish());
  GgufWriter infinite;
  infinite.add_string("adapter.type", "lora");
  add_floats(infinite, "blk.0.attn_q.weight.lora_a", 4, 256, Floats(4 * 256));
  add_floats(infinite, "blk.0.attn_q.weight.lora_b", 256, 4, Floats(256 * 4, INFINITY));
  write(folder_ / "infinite.gguf", infinite.finish());
  const struct {
    fs::path path;
    ErrorCode code;
    const char* mentions;
  } cases[] = {
      {write_gguf(folder_ / "wider.gguf", wider, good), ErrorCode::kInvalidArgument, "blk.0.ffn_gate.weight.lora_b of shape [1024, 4]"},
      {write_gguf(folder_ / "deeper.gguf", deeper, good), ErrorCode::kInvalidArgument, "the model has 2 layers"},
      {write_gguf(folder_ / "other.gguf", other, good), ErrorCode::kInvalidArgument, "qwen2"},
      {write_gguf(folder_ / "type.gguf", model, good, "ia3"), ErrorCode::kInvalidArgument, "ia3"},
      {write_gguf(folder_ / "rank.gguf", model, {.rank = 1025, .tensors = {"attn_v"}}), ErrorCode::kInvalidArgument, "r from 1 to 1024"},
      {folder_ / "strange.gguf", ErrorCode::kInvalidArgument, "token_embd.weight.lora_a"},
      {folder_ / "half.gguf", ErrorCode::kInvalidArgument, "without its other half"},
      {folder_ / "infinite.gguf", ErrorCode::kInvalidArgument, "infinite.gguf: tensor blk.0.attn_q.weight.lora_b has the value inf at index 0"},
      {folder_ / "nowhere.gguf", ErrorCode::kNotFound, "nowhere.gguf"},
      {write_peft(folder_ / "dora", model, good, config(R"(,"use_dora":true)")), ErrorCode::kInvalidArgument, "use_dora"},
      {write_peft(folder_ / "bias", model, good, config(R"(,"bias":"all")")), ErrorCode::kInvalidArgument, "bias"},
      {write_peft(folder_ / "pattern", model, good, config(R"(,"alpha_pattern":{"q_proj":1})")), ErrorCode::kInvalidArgument, "alpha_pattern"},
      {write_peft(folder_ / "no_alpha", model, good, "{}"), ErrorCode::kInvalidArgument, "lora_alpha"},
      {write_peft(folder_ / "no_json", model, good, "{"), ErrorCode::kInvalidArgument, "adapter_config.json"},
      {write_peft(folder_ / "peft_wider", wider, good), ErrorCode::kInvalidArgument, "gate_proj.lora_B.weight of shape [1024, 4]"},
  };
  for (const auto& c : cases) {
    const auto adapter = Adapter::load(c.path, base.decoder.config(), backend_);
    ASSERT_FALSE(adapter) << c.path;
    EXPECT_EQ(adapter.error().code, c.code) << adapter.error().message;
    EXPECT_NE(adapter.error().message.find(c.mentions), std::string::npos) << adapter.error().message;
  }
}

// Every way to cut a file short, and bytes changed at random: refused as a wrong argument that names the file, or loaded where only weights changed.
TEST_F(AdapterTest, DamagedFilesAreWrongArguments) {
  const TinyModel model;
  Run base(model.build(), backend_);
  const TinyAdapter small{.tensors = {"attn_v"}};
  write_gguf(folder_ / "a.gguf", model, small);
  write_peft(folder_ / "a", model, small);
  const struct {
    fs::path load, damage;
  } cases[] = {{folder_ / "a.gguf", folder_ / "a.gguf"}, {folder_ / "a", folder_ / "a/adapter_model.safetensors"}, {folder_ / "a", folder_ / "a/adapter_config.json"}};
  std::mt19937 random(11);
  for (const auto& [path, damaged] : cases) {
    std::ifstream in(damaged, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    const auto check = [&](const std::string& bytes, bool may_load) {
      write(damaged, bytes);
      const auto adapter = Adapter::load(path, base.decoder.config(), backend_);
      if (adapter && may_load) return;
      ASSERT_FALSE(adapter) << damaged << " of " << bytes.size() << " bytes";
      EXPECT_TRUE(adapter.error().code == ErrorCode::kInvalidArgument || adapter.error().code == ErrorCode::kTooLarge) << adapter.error().message;
      EXPECT_NE(adapter.error().message.find(path.filename().string()), std::string::npos) << adapter.error().message;
    };
    for (std::size_t size = 0; size < whole.size(); size += size < 2000 ? 7 : 1501) check(whole.substr(0, size), false);
    for (int run = 0; run < 300; ++run) {
      std::string bytes = whole;
      for (int i = 0; i < 3; ++i) bytes[random() % std::min<std::size_t>(bytes.size(), 1500)] = static_cast<char>(random());
      check(bytes, true);
    }
    write(damaged, whole);
    EXPECT_TRUE(Adapter::load(path, base.decoder.config(), backend_));
  }
}

TEST_F(AdapterTest, GeneratorChoosesByNameAndKeepsPrefixesApart) {
  const TinyModel model;
  write(folder_ / "model.gguf", model.build());
  write(folder_ / "merged.gguf", merged(model, {}));
  Metrics metrics, other_metrics;
  auto base = LocalGenerator::load(folder_ / "model.gguf", "tiny", {}, backend_, metrics);
  auto same = LocalGenerator::load(folder_ / "merged.gguf", "merged", {}, backend_, other_metrics);
  ASSERT_TRUE(base);
  ASSERT_TRUE(same);
  const auto ask = [](Generator& generator, const std::string& name, const std::string& project = "") {
    Call call;
    call.principal.project = project;
    ChatRequest request;
    request.model = name;
    request.prompt = std::string(80, 'a') + "once";
    request.max_tokens = 24;
    request.ignore_eos = true;
    request.sampling.temperature = 0;
    request.sampling.logprobs = 0;
    std::pair<Result<ChatOutcome>, std::vector<std::int32_t>> answer;
    answer.first = generator.generate(call, request, [&](const ChatDelta& delta) {
      for (const auto& token : delta.logprobs) answer.second.push_back(token.token);
      return true;
    });
    return answer;
  };
  const auto path = write_gguf(folder_ / "a.gguf", model, {});
  const auto plain = ask(**base, "tiny").second, expected = ask(**same, "merged").second;
  ASSERT_NE(plain, expected);
  ASSERT_TRUE((*base)->load_adapter({"polite", "", path, "sha256:a"}));
  ASSERT_EQ((*base)->adapters("").size(), 1u);
  EXPECT_EQ((*base)->adapters("")[0].name, "polite");
  EXPECT_EQ((*base)->adapters("")[0].artifact, "sha256:a");
  const auto first = ask(**base, "tiny:polite"), again = ask(**base, "polite");
  EXPECT_EQ(first.second, expected);
  EXPECT_EQ(first.first->usage.cached_tokens, 0);
  EXPECT_EQ(again.second, expected);
  EXPECT_EQ(again.first->usage.cached_tokens, 64);
  EXPECT_EQ(ask(**base, "tiny").second, plain);

  const auto taken = (*base)->load_adapter({"polite", "", path, ""}), bad = (*base)->load_adapter({"a:b", "", path, ""});
  EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE((*base)->unload_adapter("polite", ""));
  EXPECT_EQ((*base)->unload_adapter("polite", "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ask(**base, "tiny:polite").first.error().code, ErrorCode::kNotFound);

  // Another under the same name: nothing of the first one's is found.
  ASSERT_TRUE((*base)->load_adapter({"polite", "", write_gguf(folder_ / "b.gguf", model, {.seed = 9}), ""}));
  const auto renewed = ask(**base, "polite");
  EXPECT_EQ(renewed.first->usage.cached_tokens, 0);
  EXPECT_NE(renewed.second, expected);

  // A project's own: for it alone, before the installation's of that name, and without a word of it to others.
  ASSERT_TRUE((*base)->load_adapter({"polite", "proj_a", path, "sha256:own"}));
  ASSERT_TRUE((*base)->load_adapter({"secret", "proj_a", path, ""}));
  EXPECT_EQ(ask(**base, "tiny:polite", "proj_a").second, expected);
  EXPECT_EQ(ask(**base, "tiny:polite", "proj_b").second, renewed.second);
  EXPECT_EQ(ask(**base, "secret", "proj_a").second, expected);
  EXPECT_EQ(ask(**base, "secret", "proj_b").second, plain) << "no adapter, as any other name";
  const auto hidden = ask(**base, "tiny:secret", "proj_b").first;
  ASSERT_EQ(hidden.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hidden.error().hint, "There are: polite.");
  EXPECT_EQ((*base)->adapters("proj_a").size(), 2u);
  EXPECT_EQ((*base)->adapters("proj_a")[0].artifact, "sha256:own");
  EXPECT_EQ((*base)->adapters("proj_b").size(), 1u);
  for (const char* other : {"", "proj_b"}) EXPECT_EQ((*base)->unload_adapter("secret", other).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace stoa::models
