#include "models/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "models/formats/gguf_writer.h"

namespace stoa::models {
namespace {

using Ids = std::vector<TokenId>;

struct Vocab {
  std::string model = "gpt2", pre = "gpt-2";
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  std::vector<std::string> merges;
  std::vector<std::pair<std::string, std::uint32_t>> ids;
  std::vector<std::pair<std::string, bool>> flags;
};

Result<Tokenizer> load(const Vocab& vocab) {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", vocab.model);
  writer.add_string("tokenizer.ggml.pre", vocab.pre);
  writer.add_strings("tokenizer.ggml.tokens", vocab.tokens);
  if (!vocab.types.empty()) writer.add_i32s("tokenizer.ggml.token_type", vocab.types);
  if (!vocab.scores.empty()) writer.add_f32s("tokenizer.ggml.scores", vocab.scores);
  writer.add_strings("tokenizer.ggml.merges", vocab.merges);
  for (const auto& [key, id] : vocab.ids) writer.add_u32("tokenizer.ggml." + key, id);
  for (const auto& [key, flag] : vocab.flags) writer.add_bool("tokenizer.ggml." + key, flag);
  const auto bytes = writer.finish();
  STOA_TRY(file, GgufFile::parse(bytes, "vocab"));
  return Tokenizer::from_gguf(file);  // which copies what it needs
}

// "Ġ" is how byte-level vocabularies write a space.
Vocab bpe() {
  return {.tokens = {"<s>", "a", "b", "c", "Ġ", "ab", "abc", "Ġab", "<|im_end|>", "[mark]", "1"},
          .types = {3, 1, 1, 1, 1, 1, 1, 1, 3, 4, 1},
          .merges = {"a b", "ab c", "Ġ ab"},
          .ids = {{"bos_token_id", 0}, {"eos_token_id", 8}},
          .flags = {{"add_bos_token", true}}};
}

TEST(Tokenizer, ByteLevelBpe) {
  const auto tokenizer = load(bpe());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::pair<const char*, Ids> kCases[] = {
      {"", {}}, {"abc", {6}}, {"ab ab", {5, 7}}, {"ab abc", {5, 4, 6}}, {"cab", {3, 5}}, {"a1b", {1, 10, 2}}, {"ab[mark]c", {5, 9, 3}}, {"abab", {5, 5}},
      {"z", {}},  // no token for the byte
  };
  for (const auto& [text, expected] : kCases) EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), expected) << text;
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{0, 5}));
  EXPECT_EQ(tokenizer->decode(Ids{0, 5, 7, 9}), "ab ab[mark]");
  EXPECT_EQ(tokenizer->decode(Ids{0, 5}, true), "<s>ab");
  EXPECT_EQ(tokenizer->token_bytes(99), "");
  EXPECT_EQ(tokenizer->token_bytes(-1), "");
  EXPECT_EQ(tokenizer->find("Ġab"), 7);
  EXPECT_TRUE(tokenizer->is_end_of_generation(8));
  EXPECT_FALSE(tokenizer->is_end_of_generation(0));
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST(Tokenizer, ControlTokensInTextNeedParseSpecial) {
  const auto tokenizer = load(bpe());
  ASSERT_TRUE(tokenizer);
  const auto plain = tokenizer->encode("ab<|im_end|>", {.add_special = false, .parse_special = false});
  EXPECT_EQ(std::ranges::count(plain, 8), 0);
  EXPECT_EQ(tokenizer->encode("ab<|im_end|>c", {.add_special = false, .parse_special = true}), (Ids{5, 8, 3}));
}

TEST(Tokenizer, KnowsHowGapsAreMarked) {
  const auto check = [](const std::vector<std::string>& more, const std::vector<std::pair<std::string, std::uint32_t>>& ids, Ids expected) {
    Vocab vocab = bpe();
    for (const auto& text : more) {
      vocab.tokens.push_back(text);
      vocab.types.push_back(1);
    }
    vocab.ids.insert(vocab.ids.end(), ids.begin(), ids.end());
    const auto tokenizer = load(vocab);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const SpecialTokens& special = tokenizer->special();
    EXPECT_EQ((Ids{special.fim_prefix, special.fim_suffix, special.fim_middle}), expected);
    EXPECT_EQ(special.fills_in(), expected[0] != kNoToken);
    if (!special.fills_in()) return;
    for (const TokenId id : expected) EXPECT_TRUE(tokenizer->is_control(id));
  };
  const Ids none{kNoToken, kNoToken, kNoToken};
  check({}, {}, none);
  check({"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}, {}, {11, 12, 13});
  check({"<|fim_suffix|>", "<|fim_middle|>", "<|fim_prefix|>"}, {}, {13, 11, 12});
  check({"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}, {}, {11, 12, 13});
  check({"▁<PRE>", "▁<SUF>", "▁<MID>"}, {}, {11, 12, 13});
  check({"<fim_prefix>", "<fim_suffix>"}, {}, none);  // no middle
  check({"<fim_prefix>", "<|fim_suffix|>", "<fim_middle>"}, {}, none);
  check({"x", "y", "z"}, {{"fim_pre_token_id", 11}, {"fim_suf_token_id", 13}, {"fim_mid_token_id", 12}}, {11, 13, 12});
  check({"x", "y", "z"}, {{"prefix_token_id", 11}, {"suffix_token_id", 13}, {"middle_token_id", 12}}, {11, 13, 12});
  check({"x", "y"}, {{"fim_pre_token_id", 11}, {"fim_suf_token_id", 12}}, none);
  Vocab vocab = bpe();
  vocab.ids.emplace_back("fim_pre_token_id", 99);
  EXPECT_FALSE(load(vocab));
}

TEST(Tokenizer, LongWordsMergeLikeShortOnes) {
  const auto tokenizer = load(bpe());
  ASSERT_TRUE(tokenizer);
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "abc";
  const auto ids = tokenizer->encode(text, {.add_special = false});
  EXPECT_EQ(ids, Ids(300'000, 6));
  EXPECT_EQ(tokenizer->decode(ids), text);
}

TEST(Tokenizer, SentencePieceBpe) {
  const auto tokenizer = load({.model = "llama",
                               .tokens = {"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "▁a", "▁ab", "ab"},
                               .types = {2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1},
                               .scores = {0, 0, 0, 0, 0, -5, -6, -7, -1, -2, -3},
                               .ids = {{"bos_token_id", 1}, {"eos_token_id", 2}, {"unknown_token_id", 0}}});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->kind(), "spm");
  EXPECT_EQ(tokenizer->encode("ab ab"), (Ids{1, 9, 9}));
  EXPECT_EQ(tokenizer->encode("bab", {.add_special = false}), (Ids{5, 7, 10}));
  EXPECT_EQ(tokenizer->encode("aé", {.add_special = false}), (Ids{8, 3, 4}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 9, 9}), "ab ab");
  EXPECT_EQ(tokenizer->decode(Ids{8, 3, 4}), "aé");
}

TEST(Tokenizer, Unigram) {
  const auto tokenizer = load({.model = "t5",
                               .tokens = {"<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "ab"},
                               .types = {3, 3, 2, 1, 1, 1, 1, 1},
                               .scores = {0, 0, 0, -2, -3, -3, -4, -2.5f},
                               .ids = {{"eos_token_id", 1}, {"unknown_token_id", 2}}});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("ab ab"), (Ids{6, 6, 1}));
  EXPECT_EQ(tokenizer->encode("abzzb", {.add_special = false}), (Ids{6, 2, 5}));
}

TEST(Tokenizer, WordPieceFromGguf) {
  const auto tokenizer = load({.model = "bert",
                               .tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁!", "▁你"},
                               .types = {3, 3, 3, 3, 1, 1, 1, 1, 1}});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("UNaffable!"), (Ids{2, 4, 5, 6, 7, 3}));
  EXPECT_EQ(tokenizer->encode("Ünaffx 你un", {.add_special = false}), (Ids{1, 8, 4}));
  EXPECT_EQ(tokenizer->encode(std::string(101, 'u'), {.add_special = false}), (Ids{1}));
  EXPECT_EQ(tokenizer->decode(Ids{2, 4, 5, 6, 7}), "unaffable !");
}

TEST(Tokenizer, LyingMetadataIsAnError) {
  const auto check = [](Vocab vocab, const char* expected) {
    const auto tokenizer = load(vocab);
    ASSERT_FALSE(tokenizer) << expected;
    EXPECT_NE(tokenizer.error().message.find(expected), std::string::npos) << tokenizer.error().message;
  };
  auto vocab = bpe();
  vocab.model = "rwkv";
  check(vocab, "'rwkv' is not supported");
  vocab = bpe();
  vocab.pre = "klingon";
  check(vocab, "'klingon' is not supported");
  vocab = bpe();
  vocab.types.pop_back();
  check(vocab, "10 values for 11 tokens");
  vocab = bpe();
  vocab.types[3] = 9;
  check(vocab, "token_type[3] is 9");
  vocab = bpe();
  vocab.ids = {{"bos_token_id", 11}};
  check(vocab, "bos_token_id is 11");
  vocab = bpe();
  vocab.merges.push_back("nospace");
  check(vocab, "merges[3] 'nospace' is no pair");
  vocab = bpe();
  vocab.tokens.clear();
  vocab.types.clear();
  check(vocab, "0 tokens");
}

constexpr std::string_view kWordPieceJson = R"({"added_tokens":[{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true}],
  "normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
  "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]"}},{"Sequence":{"id":"A"}}],"special_tokens":{"[CLS]":{"ids":[1]}}},
  "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","vocab":{"[UNK]":0,"[CLS]":1,"hug":2,"##s":3}}})";

TEST(Tokenizer, FromJson) {
  const auto tokenizer = Tokenizer::from_json(kWordPieceJson, "t.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("HUGS bye"), (Ids{1, 2, 3, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 2, 3}), "hugs");
  EXPECT_EQ(tokenizer->special().cls, 1);
}

TEST(Tokenizer, SaysHowPairsArePutTogether) {
  const auto check = [](const std::string& post_processor, std::optional<PairFrame> expected) {
    const auto tokenizer = Tokenizer::from_json(
        R"({"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3}},"post_processor":)" +
            post_processor + "}", "t.json");
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto* frame = tokenizer->pair_frame();
    ASSERT_EQ(frame != nullptr, expected.has_value()) << post_processor;
    if (frame == nullptr) return;
    EXPECT_EQ(frame->prefix, expected->prefix);
    EXPECT_EQ(frame->middle, expected->middle);
    EXPECT_EQ(frame->suffix, expected->suffix);
    EXPECT_EQ(frame->second_type, expected->second_type);
  };
  const auto templated = [](const std::string& pair) {
    return R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}}],"pair":[)" + pair +
           R"(],"special_tokens":{"[CLS]":{"ids":[1]},"[SEP]":{"ids":[2]},"far":{"ids":[9]}}})";
  };
  const std::string cls = R"({"SpecialToken":{"id":"[CLS]","type_id":0}},)", sep = R"({"SpecialToken":{"id":"[SEP]","type_id":0}})",
                    last = R"({"SpecialToken":{"id":"[SEP]","type_id":1}})", a = R"({"Sequence":{"id":"A","type_id":0}},)", b = R"({"Sequence":{"id":"B","type_id":1}},)",
                    untyped = R"({"Sequence":{"id":"B","type_id":0}},)";
  check(templated(cls + a + sep + "," + b + last), PairFrame{{1}, {2}, {2}, 1});
  check(templated(cls + a + sep + "," + sep + "," + untyped + sep), PairFrame{{1}, {2, 2}, {2}, 0});
  check(R"({"type":"BertProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]})", PairFrame{{1}, {2}, {2}, 1});
  check(R"({"type":"RobertaProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]})", PairFrame{{1}, {2, 2}, {2}, 0});
  for (const std::string& pair : {std::string(), cls + a + sep, b + a + sep, cls + a + last + "," + b + last, cls + a + b + sep,
                                  a + b + R"({"SpecialToken":{"id":"far","type_id":1}})", a + b + R"({"Other":{}})"}) {
    check(templated(pair), std::nullopt);
  }
  check("null", std::nullopt);
}

TEST(Tokenizer, JsonOutsideOfTheSubsetIsNamed) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{", "not valid JSON"},
      {"{}", "'model' is missing"},
      {R"({"model":{"type":"BPE"}})", "model.vocab is missing"},
      {R"({"model":{"type":"WordLevel","vocab":{"a":0}}})", "'WordLevel' is not supported"},
      {R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})", "impossible id -1"},
      {R"({"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})", "impossible id"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"},"normalizer":{"type":"NFKD"}})", "'NFKD' is not supported"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Whitespace"}})", "'Whitespace' is not supported"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"x+"}}})", "'x+' is not supported"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["ab"]},"pre_tokenizer":{"type":"ByteLevel"}})", "merges[0] is no pair"},
      {R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "vocab[0]"},
      {R"({"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":0},"normalizer":{"type":"Precompiled","precompiled_charsmap":"////"}})", "precompiled_charsmap"},
      {R"({"added_tokens":[{"id":1}],"model":{"type":"BPE","vocab":{"a":0}}})", "added_tokens"},
  };
  for (const auto& [json, expected] : kCases) {
    const auto tokenizer = Tokenizer::from_json(json, "t.json");
    ASSERT_FALSE(tokenizer) << json;
    EXPECT_NE(tokenizer.error().message.find(expected), std::string::npos) << tokenizer.error().message;
    EXPECT_TRUE(tokenizer.error().message.starts_with("t.json: "));
  }
}

TEST(Tokenizer, SmolLm2File) {
  const char* folder = std::getenv("STOA_TEST_MODELS");
  const auto path = (folder != nullptr ? std::filesystem::path(folder) : std::filesystem::path(STOA_SOURCE_DIR) / "build/models") / "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->size(), 49152);
  EXPECT_EQ(tokenizer->encode("Hello world! I am 42 years old, 你好", {.add_special = false}), (Ids{19556, 905, 17, 339, 744, 216, 36, 34, 929, 1573, 28, 216, 18645, 250, 48392, 138}));
  EXPECT_TRUE(tokenizer->is_end_of_generation(tokenizer->find("<|im_end|>")));
  EXPECT_EQ(tokenizer->token_text(tokenizer->special().eos), "<|im_end|>");
}

}  // namespace
}  // namespace stoa::models
