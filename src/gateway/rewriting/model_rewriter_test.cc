#include "gateway/rewriting/model_rewriter.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

std::string prompts() {
  std::ifstream file(STOA_SOURCE_DIR "/share/prompts.yaml");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Phrasings, AreTheLinesOfWhatAModelSaid) {
  struct Case {
    std::string said;
    std::size_t count;
    std::vector<std::string> expected;
  };
  for (const auto& [said, count, expected] : std::vector<Case>{
           {"how often do keys change?\nkey rotation period", 3, {"how often do keys change?", "key rotation period"}},
           {"Here are some:\n1. First way\n2) Second way\n- Third way\n* \"Fourth way\"\n", 9, {"First way", "Second way", "Third way", "Fourth way"}},
           {"a\nA\n  a  \nb", 9, {"a", "b"}},
           {"Query\n\"QUERY\"\nother", 9, {"other"}},
           {"one\ntwo\nthree", 2, {"one", "two"}},
           {"3 steps to rotate keys\r\n2024. was the year\n10.5 volts", 9, {"3 steps to rotate keys", "2024. was the year", "10.5 volts"}},
           {std::string(301, 'x') + "\nshort", 9, {"short"}},
           {"\xff\xfe\nfine", 9, {"fine"}},
           {"\"\"\n1.\n-\n \n", 9, {"1.", "-"}},
           {"", 9, {}},
           {"one", 0, {}},
       })
    EXPECT_EQ(phrasings_of(said, "query", count), expected) << said;
}

TEST(RewriteSettings, AreRead) {
  const auto settings = parse_rewrite_settings(prompts(), "prompts.yaml");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->phrasing_tokens, 32);
  const std::string whole = "rewrite:\n  system: s\n  user: \"{query}\"\n  query_bytes: 10\n  phrasing_tokens: 5\n  seconds: 1\n  temperature: 0\n";
  ASSERT_TRUE(parse_rewrite_settings(whole, "x"));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"rewrite:", "other:"}, {"  system: s\n", ""}, {"{query}", "query"}, {"query_bytes: 10", "query_bytes: 0"}, {"seconds: 1", "seconds: 601"}, {"temperature: 0", "temperature: 3"}, {"  system: s\n", "  system: s\n  sytem: s\n"}}) {
    std::string changed = whole;
    changed.replace(changed.find(from), from.size(), to);
    EXPECT_FALSE(parse_rewrite_settings(changed, "x")) << changed;
  }
}

class Teller : public models::Generator {
 public:
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override {
    asked = request;
    deadline = call.deadline;
    if (broken) return fail(ErrorCode::kResourceExhausted, "the queue is full");
    for (const std::string& piece : says)
      if (!sink({.text = piece, .logprobs = {}})) return ChatOutcome{.finish = FinishReason::kCancelled};
    return ChatOutcome{.finish = finish, .usage = {.prompt_tokens = 40, .completion_tokens = 9}};
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest&) const override { return 40; }
  int context_length() const override { return 2048; }

  std::vector<std::string> says{"keys cha", "nge\nrotation"};
  FinishReason finish = FinishReason::kStop;
  bool broken = false;
  ChatRequest asked;
  Deadline deadline;
};

TEST(ModelRewriter, AsksWithinBounds) {
  Teller teller;
  auto settings = *parse_rewrite_settings(prompts(), "prompts.yaml");
  settings.query_bytes = 11;
  ModelRewriter rewriter(settings, teller, "small");
  const auto made = rewriter.rewrite({}, "how\noften \xc3\xa4 and more", 2);  // cut inside of the a with dots
  ASSERT_TRUE(made);
  EXPECT_EQ(made->queries, (std::vector<std::string>{"keys change", "rotation"}));
  EXPECT_EQ(made->usage.completion_tokens, 9);
  const std::string user = teller.asked.messages.at(1).content;
  EXPECT_NE(user.find("how often \n"), std::string::npos) << user;
  EXPECT_NE(user.find("Write 2 other ways"), std::string::npos) << user;
  EXPECT_EQ(teller.asked.max_tokens, 2 * settings.phrasing_tokens);
  EXPECT_TRUE(teller.asked.sampling.seed) << "the same query gets the same phrasings";
  EXPECT_NE(teller.deadline.at, SteadyTime::max());
  const Usage most = rewriter.estimate("q", 2);
  EXPECT_EQ(most.completion_tokens, 2 * settings.phrasing_tokens);
  EXPECT_EQ(most.prompt_tokens, 40);

  teller.finish = FinishReason::kLength;
  EXPECT_EQ(rewriter.rewrite({}, "q", 2)->queries, (std::vector<std::string>{"keys change"})) << "half a line is none";
  Call soon;
  soon.deadline = Deadline::after(std::chrono::milliseconds(1));
  rewriter.rewrite(soon, "q", 2);
  EXPECT_EQ(teller.deadline.at, soon.deadline.at) << "the caller's comes first";
  teller.says.assign(10'000, "and on ");
  EXPECT_TRUE(rewriter.rewrite({}, "q", 2)->queries.empty()) << "what does not end is stopped";
  teller.broken = true;
  EXPECT_EQ(rewriter.rewrite({}, "q", 2).error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace stoa::gateway
