// Constraints and tools through the whole engine, over a tiny random model: whatever it would say by itself, its answers are valid.
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_generator.h"

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <regex>
#include <thread>

#include <gtest/gtest.h>

#include "base/json.h"
#include "models/constrain/matcher.h"
#include "models/engine/answer_reader.h"
#include "models/engine/constraint_cache.h"
#include "models/engine/sampler.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

using Kind = AnswerConstraint::Kind;

class Constrained : public testing::Test {
 protected:
  void load(EngineOptions options = {}, const std::string& markers = "") {
    options.tool_pattern = "Functions:\n{tools}";
    const auto path = std::filesystem::path(testing::TempDir()) / ("tiny_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".gguf");
    TinyModel model;
    model.context_length = 1024;
    model.markers = markers;
    const auto bytes = model.build();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    auto loaded = LocalGenerator::load(path, "tiny", options, backend_, metrics_);
    ASSERT_TRUE(loaded) << loaded.error().message;
    generator_ = std::move(*loaded);
    std::filesystem::remove(path);
  }

  static ChatRequest request(Kind kind, std::string text, int max_tokens = 400) {
    ChatRequest r;
    r.messages = {{"user", "hello"}};
    r.max_tokens = max_tokens;
    r.sampling.temperature = 0;
    r.constraint = {kind, std::move(text), "format"};
    return r;
  }

  struct Answer {
    Result<ChatOutcome> outcome;
    std::string text;
    std::vector<ToolCall> calls;
    std::vector<TokenLogprob> logprobs;
  };
  Answer run(const ChatRequest& r) {
    Answer answer;
    answer.outcome = generator_->generate({}, r, [&](const ChatDelta& delta) {
      answer.text += delta.text;
      for (const auto& call : delta.tool_calls) {
        if (!call.id.empty()) answer.calls.push_back({call.id, call.name, {}});
        answer.calls.back().arguments += call.arguments;
      }
      answer.logprobs.insert(answer.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
      return true;
    });
    return answer;
  }
  double counter(const char* name) { return metrics_.counter(name, "", {{"model", "tiny"}}).value(); }

  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  Metrics metrics_;
  std::unique_ptr<LocalGenerator> generator_;
};

constexpr const char* kSchema = R"({"type":"object","properties":{"name":{"type":"string","maxLength":6},"kind":{"enum":["alpha","beta"]},
  "count":{"type":"integer","minimum":1,"maximum":99}},"required":["name","kind","count"]})";

TEST_F(Constrained, AnswersMatchWhateverTheSampling) {
  load();
  SamplingOptions samplings[4];
  samplings[0].temperature = 0;
  samplings[2].top_k = 5;
  samplings[2].top_p = 0.7;
  samplings[3].presence_penalty = 1.5;
  samplings[3].repetition_penalty = 1.3;
  for (auto sampling : samplings) {
    sampling.seed = 5;
    auto r = request(Kind::kRegex, "[a-f]{3,9}(-[0-9]{2}){2}");
    r.sampling = sampling;
    const auto matched = run(r);
    ASSERT_TRUE(matched.outcome) << matched.outcome.error().message;
    EXPECT_EQ(matched.outcome->finish, FinishReason::kStop);
    EXPECT_TRUE(std::regex_match(matched.text, std::regex("[a-f]{3,9}(-[0-9]{2}){2}"))) << matched.text;
    r = request(Kind::kJsonSchema, kSchema);
    r.sampling = sampling;
    const auto object = run(r);
    const auto json = parse_json(object.text);
    ASSERT_TRUE(json) << object.text;
    EXPECT_TRUE(json->at("kind") == "alpha" || json->at("kind") == "beta");
    r = request(Kind::kGbnf, "root ::= (\"ab\" | \"cd\"){2,3} \".\"");
    r.sampling = sampling;
    EXPECT_TRUE(std::regex_match(run(r).text, std::regex("(ab|cd){2,3}\\.")));
  }
}

TEST_F(Constrained, GuessesChangeNothingAndWhatIsPrescribedIsGuessed) {
  EngineOptions options;
  options.scheduler.guess_rows = 0;
  std::vector<std::string> plain, guessed;
  for (auto* texts : {&plain, &guessed}) {
    load(options);
    options.scheduler.guess_rows = 8;
    for (const double temperature : {0.0, 1.0}) {
      auto r = request(Kind::kJsonSchema, kSchema);
      r.sampling.temperature = temperature;
      r.sampling.seed = 3;
      texts->push_back(run(r).text);
    }
  }
  EXPECT_EQ(plain, guessed);
  EXPECT_GT(counter("stoa_engine_accepted_draft_tokens_total"), 20);  // {"name": and the other keys
}

TEST_F(Constrained, LogprobsAreTheModelsOwn) {
  load();
  auto r = request(Kind::kRegex, "[xyz]{20}");
  r.sampling.logprobs = 1;
  const auto answer = run(r);
  ASSERT_EQ(answer.logprobs.size(), 20u);
  bool unlikely = false;  // the model by itself would have said something else
  for (const auto& token : answer.logprobs) unlikely = unlikely || token.logprob < token.top[0].second;
  EXPECT_TRUE(unlikely);
}

TEST_F(Constrained, SurvivesPreemption) {
  EngineOptions options;
  options.kv_bytes = std::size_t{2} * 2 * 128 * 4 * 32 * 6;  // pages for two of the four sequences, once they have grown
  load(options);
  std::array<Answer, 4> answers;
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    callers.emplace_back([&, i] {
      auto r = request(Kind::kRegex, "([a-z]{4},){24}", 150);
      r.sampling.temperature = 1;
      r.sampling.seed = i;
      answers[i] = run(r);
    });
  }
  for (auto& caller : callers) caller.join();
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer.outcome) << answer.outcome.error().message;
    EXPECT_TRUE(std::regex_match(answer.text, std::regex("([a-z]{4},){24}"))) << answer.text;
  }
  EXPECT_GT(counter("stoa_engine_preemptions_total"), 0);
}

TEST_F(Constrained, SaysWhatIsWrong) {
  load();
  const auto schema = run(request(Kind::kJsonSchema, R"({"type":"object","properties":{"a":{"not":{}}}})")).outcome;
  ASSERT_FALSE(schema);
  EXPECT_EQ(schema.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(schema.error().param, "format");
  EXPECT_NE(schema.error().message.find("properties/a"), std::string::npos);
  std::string exponential = "(a|b)*a";
  for (int i = 0; i < 30; ++i) exponential += "(a|b)";
  const auto large = run(request(Kind::kRegex, exponential)).outcome;
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kInvalidArgument);
  auto banned = request(Kind::kRegex, "abc");
  banned.sampling.logit_bias = {{'b', -100.0f}};
  const auto dead_end = run(banned);
  ASSERT_FALSE(dead_end.outcome);
  EXPECT_EQ(dead_end.outcome.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(dead_end.text, "a");
  auto both = request(Kind::kGbnf, "root ::= \"a\"");
  both.tools = {{"f", "", false}};
  EXPECT_FALSE(run(both).outcome);
}

TEST_F(Constrained, CallsToolsAsAsked) {
  load();
  ChatRequest r;
  r.messages = {{"user", "weather?"}};
  r.max_tokens = 400;
  r.sampling.temperature = 1;
  r.sampling.seed = 2;
  r.tools = {{"look", kSchema, true, "Looks."}, {"other", kSchema, true}};
  r.tool_choice = {ToolChoice::Mode::kNamed, "look"};
  r.parallel_tool_calls = false;
  const auto named = run(r);
  ASSERT_TRUE(named.outcome) << named.outcome.error().message;
  EXPECT_EQ(named.outcome->finish, FinishReason::kToolCalls);
  EXPECT_EQ(named.text, "");
  ASSERT_EQ(named.calls.size(), 1u);
  EXPECT_EQ(named.calls[0].name, "look");
  const auto arguments = parse_json(named.calls[0].arguments);
  ASSERT_TRUE(arguments) << named.calls[0].arguments;
  EXPECT_TRUE(arguments->at("name").is_string());
  const auto with = *generator_->count_prompt_tokens(r);
  r.tool_choice.mode = ToolChoice::Mode::kNone;
  EXPECT_LT(*generator_->count_prompt_tokens(r), with);  // the model is not told of them
  EXPECT_TRUE(run(r).calls.empty());
  // An answer that is text has to be what the constraint says.
  r.tool_choice.mode = ToolChoice::Mode::kAuto;
  r.constraint = {Kind::kRegex, "yes|no", "format"};
  const auto either = run(r);
  ASSERT_TRUE(either.outcome);
  EXPECT_TRUE(!either.calls.empty() || either.text == "yes" || either.text == "no") << either.text;
}

// Whatever the family's format, what a model of random weights writes is a call with arguments that conform.
TEST_F(Constrained, CallsToolsInTheFormatOfTheFamily) {
  for (const char* markers : {"<tool_call>", "<tool_call> <function= <parameter=", "<|python_tag|>", "[TOOL_CALLS]", "[TOOL_CALLS] [ARGS]", "<|tool_call|>"}) {
    load({}, markers);
    ChatRequest r;
    r.messages = {{"user", "weather?"}};
    r.max_tokens = 900;
    r.sampling.temperature = 1;
    r.sampling.seed = 3;
    r.tools = {{"look", R"({"type":"object","properties":{"city":{"type":"string","minLength":1,"maxLength":8},"kind":{"enum":["a<b","beta"]},"count":{"type":"integer","minimum":2,"maximum":9},
      "note":{"type":["string","null"],"maxLength":5}},"required":["city","kind","count","note"],"additionalProperties":false})", true}};
    r.tool_choice = {ToolChoice::Mode::kRequired, ""};
    r.parallel_tool_calls = false;
    const auto answer = run(r);
    ASSERT_TRUE(answer.outcome) << markers << answer.outcome.error().message;
    EXPECT_EQ(answer.outcome->finish, FinishReason::kToolCalls) << markers;
    EXPECT_EQ(answer.text, "") << markers;
    ASSERT_EQ(answer.calls.size(), 1u) << markers;
    EXPECT_EQ(answer.calls[0].name, "look");
    const auto arguments = parse_json(answer.calls[0].arguments);
    ASSERT_TRUE(arguments) << markers << answer.calls[0].arguments;
    EXPECT_TRUE(arguments->at("city").is_string() && arguments->at("note").is_string() != arguments->at("note").is_null()) << markers;
    EXPECT_TRUE(arguments->at("kind") == "a<b" || arguments->at("kind") == "beta") << markers;
    EXPECT_TRUE(arguments->at("count").get_int64() >= 2 && arguments->at("count").get_int64() <= 9) << markers;
  }
}

// The tiny model's tokens are bytes.
TEST_F(Constrained, ReasoningIsCounted) {
  for (const bool reasons : {true, false}) {
    load({}, reasons ? "</think>" : "");
    auto r = request(Kind::kRegex, "<think>abc</think>yes");
    std::swap(r.prompt, r.messages.front().content);
    r.messages.clear();
    const auto answer = run(r);
    ASSERT_TRUE(answer.outcome) << answer.outcome.error().message;
    EXPECT_EQ(answer.text, "<think>abc</think>yes") << "of a raw prompt nothing is split off";
    EXPECT_EQ(answer.outcome->usage.completion_tokens, 21);
    EXPECT_EQ(answer.outcome->usage.reasoning_tokens, reasons ? 18 : 0);
  }
}

// Draws under a mask come from the model's distribution over the allowed tokens, whether the mask or the model's own choice comes first.
TEST(MaskedSampler, DrawsInProportion) {
  const std::vector<std::string> tokens{"a", "b", "c", "d", "<end>"};
  const auto trie = TokenTrie::build(tokens, std::vector<TokenId>{4});
  const auto constraint = std::make_shared<const Constraint>(*Grammar::from_regex("[bd]"), trie);
  const std::vector<float> logits{2.0f, 1.0f, 3.0f, 0.0f, 4.0f};
  for (const int top_k : {0, 4}) {
    SamplingOptions options;
    options.top_k = top_k;
    Sampler sampler(options, 7, {});
    std::map<std::int32_t, int> seen;
    for (int i = 0; i < 20'000; ++i) {
      GrammarMatcher matcher(constraint);
      auto copy = logits;
      ++seen[sampler.sample(copy, &matcher)->token];
    }
    EXPECT_EQ(seen[1] + seen[3], 20'000);
    EXPECT_NEAR(seen[1] / 20'000.0, 1 / (1 + std::exp(-1.0)), 0.015) << top_k;
  }
}

TEST(ConstraintCacheTest, KeepsWhatWasUsedLast) {
  TinyModel model;
  const auto bytes = model.build();
  const auto path = std::filesystem::path(testing::TempDir()) / "tiny_constraint_cache.gguf";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file);
  const auto tokenizer = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(tokenizer);
  ConstraintCache cache(*tokenizer, {});
  int compiled = 0;
  const auto get = [&](int i) {
    return cache.get(std::to_string(i), [&] {
      ++compiled;
      return Grammar::from_regex(std::to_string(i));
    });
  };
  const auto first = get(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(*get(0), *first);
  for (int i = 1; i < static_cast<int>(ConstraintCache::kEntries); ++i) ASSERT_TRUE(get(i));
  EXPECT_EQ(*get(0), *first);
  ASSERT_TRUE(get(1000));  // 1 has to go
  EXPECT_EQ(*get(0), *first);
  compiled = 0;
  ASSERT_TRUE(get(1));
  EXPECT_EQ(compiled, 1);
  EXPECT_FALSE(cache.get("bad", [] { return Grammar::from_regex("["); }));
  EXPECT_TRUE(cache.get("bad", [] { return Grammar::from_regex("a"); }));  // errors are not kept
  std::filesystem::remove(path);
}

TEST(AnswerReaderTest, KnowsTheParametersOfTheTools) {
  const std::vector<ToolDefinition> tools = {{"f", R"({"type":"object","properties":{"zip":{"type":"string"}}})"}};
  AnswerReader reader(ToolFormat::kParameters, {Reasoning::kPossible, kBracketTags}, tools);
  std::string arguments, thought;
  const auto take = [&](const std::optional<ChatDelta>& delta) {
    if (!delta) return;
    thought += delta->reasoning;
    for (const auto& call : delta->tool_calls) arguments += call.arguments;
  };
  for (const char c : std::string("[THINK]hm[/THINK]<tool_call>\n<function=f>\n<parameter=zip>\n0150\n</parameter>\n<parameter=floor>\n3\n</parameter>\n</function>\n</tool_call>"))
    take(reader.read({.text = std::string(1, c)}));
  take(reader.finish());
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(arguments, R"({"zip": "0150", "floor": 3})");
  EXPECT_TRUE(reader.called_tools());
}

TEST(AnswerReaderTest, TellsPartsApart) {
  AnswerReader reader(ToolFormat::kHermes, Reasoning::kPossible);
  const std::string text = "<think>hm</think>\n\nLook: <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  std::string content, thought;
  std::vector<ToolCall> calls;
  std::size_t logprobs = 0;
  const auto take = [&](const std::optional<ChatDelta>& delta) {
    if (!delta) return;
    content += delta->text;
    thought += delta->reasoning;
    logprobs += delta->logprobs.size();
    for (const auto& call : delta->tool_calls) {
      if (!call.id.empty()) calls.push_back({call.id, call.name, {}});
      calls.back().arguments += call.arguments;
    }
  };
  for (const char c : text) take(reader.read({.text = std::string(1, c), .logprobs = {TokenLogprob{}}}));
  take(reader.finish());
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(content, "Look: ");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].name, "f");
  EXPECT_EQ(calls[0].arguments, "{\"a\": 1}");
  EXPECT_EQ(logprobs, text.size());
  EXPECT_TRUE(reader.called_tools());
}

}  // namespace
}  // namespace stoa::models
