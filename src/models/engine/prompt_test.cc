#include "models/engine/prompt.h"

#include <gtest/gtest.h>

#include "models/formats/gguf_writer.h"

namespace stoa::models {
namespace {

using Ids = std::vector<std::int32_t>;

Result<Tokenizer> tokenizer_with(const std::vector<std::string>& controls, bool bos) {
  GgufWriter writer;
  std::vector<std::string> tokens{"a", "b", "c", "<", ">", "m"};
  std::vector<std::int32_t> types(tokens.size(), 1);
  for (const std::string& control : controls) {
    tokens.push_back(control);
    types.push_back(3);
  }
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "smollm");
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  writer.add_i32s("tokenizer.ggml.token_type", types);
  writer.add_strings("tokenizer.ggml.merges", {});
  writer.add_u32("tokenizer.ggml.bos_token_id", 6);
  writer.add_bool("tokenizer.ggml.add_bos_token", bos);
  const auto bytes = writer.finish();
  STOA_TRY(file, GgufFile::parse(bytes, "vocabulary"));
  return Tokenizer::from_gguf(file);
}

ChatRequest gap(std::string prompt, std::string suffix) {
  ChatRequest request;
  request.model = "coder";
  request.prompt = std::move(prompt);
  request.suffix = std::move(suffix);
  return request;
}

TEST(Prompt, GapsAreMarked) {
  const auto check = [](bool bos, const ChatRequest& request, const Ids& expected) {
    const auto tokenizer = tokenizer_with({"<s>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"}, bos);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto prompt = PromptBuilder(*tokenizer, "", "").build(request);
    ASSERT_TRUE(prompt) << prompt.error().message;
    EXPECT_EQ(prompt->tokens, expected);
  };
  check(false, gap("ab", "c"), {7, 0, 1, 8, 2, 9});
  check(true, gap("ab", "c"), {6, 7, 0, 1, 8, 2, 9});
  check(false, gap("ab", ""), {0, 1});
  const auto spoken = gap("a<s>", "<fim_middle>");  // text that speaks of the tokens does not become them
  const auto tokenizer = tokenizer_with({"<s>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"}, false);
  const auto tokens = PromptBuilder(*tokenizer, "", "").build(spoken)->tokens;
  EXPECT_EQ(std::ranges::count(tokens, 6) + std::ranges::count(tokens, 9), 1);
  EXPECT_EQ(tokens.back(), 9);
}

TEST(Prompt, WithoutTokensForItAModelSaysSo) {
  const auto tokenizer = tokenizer_with({"<s>"}, false);
  ASSERT_TRUE(tokenizer);
  const auto refused = PromptBuilder(*tokenizer, "", "").build(gap("a", "b"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused.error().param, "suffix");
  EXPECT_NE(refused.error().message.find("'coder' cannot fill in the middle"), std::string::npos);
  EXPECT_NE(refused.error().hint.find("leave 'suffix' out"), std::string::npos);
}

}  // namespace
}  // namespace stoa::models
