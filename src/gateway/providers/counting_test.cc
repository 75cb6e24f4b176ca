// Who counts the tokens that an upstream does not tell.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "gateway/providers/provider.h"
#include "gateway/providers/test_replay.h"

namespace stoa::gateway {
namespace {

// Counts words, behind one token that begins every prompt; no prompts with images.
struct WordCounter : models::Generator {
  Result<ChatOutcome> generate(const Call&, const ChatRequest&, const models::DeltaSink&) override { return fail(ErrorCode::kUnsupported, "it only counts"); }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override {
    std::int64_t words = 1;
    const auto count = [&](const std::string& text) { words += text.empty() ? 0 : 1 + std::ranges::count(text, ' '); };
    count(request.prompt);
    for (const ChatMessage& message : request.messages) {
      if (!message.images.empty()) return fail(ErrorCode::kUnsupported, "no images");
      count(message.content);
    }
    return words;
  }
  int context_length() const override { return 100; }
};

TEST(Counting, ByATokenizerWhereTheUpstreamTellsNothing) {
  const std::string begin = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" three\"}}]}\n\n";
  const std::string end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
  const std::string usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":80}}\n\n", done = "data: [DONE]\n\n";
  ChatRequest with_image = question();
  with_image.messages[1].images.push_back({.url = "https://a.example/b.png"});
  const struct { std::string body; ChatRequest request; std::int64_t prompt, completion; } cases[] = {
      {begin + end + done, question(), 4, 3}, {begin + end + usage + done, question(), 70, 80}, {begin, question(), 4, 3}, {begin + end + done, with_image, 1607, 3}};
  for (const auto& c : cases) {
    Replay upstream;
    upstream.body = c.body;
    ProviderTarget target = target_of("openai");
    target.counter = std::make_shared<WordCounter>();
    const auto generator = std::move(*open_provider(std::move(target), upstream));
    const auto outcome = generator->generate({}, c.request, [](const ChatDelta&) { return true; });
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(std::pair(outcome->usage.prompt_tokens, outcome->usage.completion_tokens), std::pair(c.prompt, c.completion)) << c.body;
    EXPECT_EQ(*generator->count_prompt_tokens(question()), 4);
  }
}

}  // namespace
}  // namespace stoa::gateway
