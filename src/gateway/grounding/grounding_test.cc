#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "gateway/grounding/extractive.h"
#include "gateway/grounding/generative.h"

namespace stoa::gateway {
namespace {

std::string sample(const std::string& file) {
  std::ifstream in(std::string(STOA_SOURCE_DIR) + "/" + file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

GroundingSettings settings() {
  auto parsed = parse_grounding_settings(sample("share/prompts.yaml"), "share/prompts.yaml");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed.value_or(GroundingSettings{});
}

// Vectors of word counts: texts are near when they share words.
class WordEmbedder : public data::Embedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    constexpr std::size_t kWidth = 256;
    data::Embeddings out{.dimensions = kWidth, .values = {}, .tokens = {}, .compute_micros = 5};
    for (const std::string& text : texts) {
      std::vector<float> row(kWidth);
      for (const std::string& word : content_words(text)) row[std::hash<std::string>()(word) % kWidth] += 1;
      float sum = 0;
      for (const float value : row) sum += value * value;
      for (float& value : row) value /= std::sqrt(std::max(sum, 1e-9f));
      out.values.insert(out.values.end(), row.begin(), row.end());
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size() / 4); }
  int dimensions() const override { return 256; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "words"; }
};

// Says what it was told to, a few bytes at a time, and remembers the prompt.
class Parrot : public models::Generator {
 public:
  explicit Parrot(std::string text, FinishReason finish = FinishReason::kStop) : text_(std::move(text)), finish_(finish) {}
  Result<ChatOutcome> generate(const Call&, const ChatRequest& request, const models::DeltaSink& sink) override {
    asked = request;
    for (std::size_t i = 0; i < text_.size(); i += 3) {
      ++deltas;
      if (!sink({.text = text_.substr(i, 3), .logprobs = {}})) return ChatOutcome{.finish = FinishReason::kCancelled, .usage = usage_};
    }
    return ChatOutcome{.finish = finish_, .usage = usage_};
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override {
    std::int64_t bytes = 0;
    for (const ChatMessage& message : request.messages) bytes += static_cast<std::int64_t>(message.content.size());
    return bytes / 4;
  }
  int context_length() const override { return 2048; }

  ChatRequest asked;
  int deltas = 0;

 private:
  std::string text_;
  FinishReason finish_;
  const Usage usage_{.prompt_tokens = 10, .cached_tokens = 0, .completion_tokens = 5, .compute_micros = 100, .queue_micros = 0, .first_token_micros = 0, .total_micros = 0};
};

Passage passage(std::string text, std::string title = "Handbook") {
  Passage out;
  out.chunk_id = "chunk_1";
  out.document_id = "doc_1";
  out.title = std::move(title);
  out.section = {"Keys"};
  out.text = std::move(text);
  return out;
}

GroundingRequest request(std::string question) {
  GroundingRequest out;
  out.question = std::move(question);
  out.passages = {passage("A key is rotated every 90 days by the security team. The team announces the rotation a week before."),
                  passage("Lunch is served in the canteen from noon. Visitors must not enter the canteen without a badge."),
                  passage("The printer on the third floor is called Gutenberg.")};
  return out;
}

struct Said {
  Result<GroundedAnswer> answer;
  std::string stream;
};

Said ask(Answerer& answerer, const GroundingRequest& request) {
  Said said{.answer = GroundedAnswer{}, .stream = {}};
  said.answer = answerer.answer({}, request, [&](std::string_view text) {
    said.stream += text;
    return true;
  });
  return said;
}

// What every answer keeps to, whatever made it.
void check_invariants(const Said& said) {
  ASSERT_TRUE(said.answer) << said.answer.error().message;
  const GroundedAnswer& answer = *said.answer;
  EXPECT_EQ(said.stream, answer.text);
  EXPECT_EQ(answer.answered, !answer.citations.empty());
  std::size_t end = 0;
  for (const Citation& citation : answer.citations) {
    EXPECT_LE(end, citation.begin);
    EXPECT_LT(citation.begin, citation.end);
    EXPECT_LE(citation.end, answer.text.size());
    end = citation.end;
    ASSERT_LT(citation.passage, answer.passages.size());
    EXPECT_TRUE(answer.passages[citation.passage].text.contains(citation.quote)) << citation.quote;
  }
}

TEST(Sentences, Split) {
  const auto check = [](std::string_view text, const std::vector<std::string>& expected) {
    std::vector<std::string> found;
    for (const Sentence sentence : split_sentences(text)) found.emplace_back(sentence.in(text));
    EXPECT_EQ(found, expected) << text;
  };
  check("", {});
  check("  \n ", {});
  check("One. Two!  Three?", {"One.", "Two!", "Three?"});
  check("Use e.g. Python. It has v3.11 now.", {"Use e.g. Python.", "It has v3.11 now."});
  check("He said \"Stop.\" Then left.", {"He said \"Stop.\"", "Then left."});
  check("A heading\n\nA text\nover lines.", {"A heading", "A text\nover lines."});
  check("Items:\n- one\n- two\n3. three", {"Items:", "- one", "- two", "3. three"});
  check("See debian/rules. and then", {"See debian/rules. and then"});
  check("\u4e00\u3002\u4e8c\u3002", {"\u4e00\u3002", "\u4e8c\u3002"});
  EXPECT_EQ(split_sentences("One. Two. Three. Four.", 2).size(), 2u);
}

TEST(Sentences, Words) {
  EXPECT_EQ(content_words("The packages are installed"), content_words("installing a package"));
  EXPECT_EQ(content_words("What is the of"), std::set<std::string>{});
  EXPECT_TRUE(content_words("edit debian/rules now").contains("debian/rules"));
  EXPECT_EQ(numbers_of("version 2.0-1 of 3 files"), (std::set<std::string>{"2.0-1", "3"}));
  EXPECT_TRUE(is_negated("It must not run") && is_negated("It doesn't") && !is_negated("It notes this"));
  EXPECT_EQ(coverage({"a", "b"}, {"a"}), 0.5);
  EXPECT_EQ(coverage({}, {}), 1);
}

TEST(Settings, NamesWhatIsWrong) {
  const std::string good = sample("share/prompts.yaml");
  const auto fails = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_FALSE(parse_grounding_settings(text, "p.yaml")) << to;
  };
  fails("  max_passages: 3", "  max_passages: 0");
  fails("  max_passages: 3", "  passages: 3");
  fails("  relevance: ", "  relevance: 7");
  fails("{question}", "question");
  EXPECT_FALSE(parse_grounding_settings("", "p.yaml"));
  EXPECT_EQ(fill_template("{a} {b} {{a} {", {{"a", "{b}"}, {"b", "x"}}), "{b} x {{b} {");
}

TEST(SearchQuery, JoinsShortQuestions) {
  const std::vector<ChatMessage> history{{"user", "How often are keys rotated?"}, {"assistant", "Every 90 days."}};
  EXPECT_EQ(search_query(history, "And badges?"), "How often are keys rotated? And badges?");
  EXPECT_EQ(search_query(history, "Where is lunch served today?"), "Where is lunch served today?");
  EXPECT_EQ(search_query({}, "And badges?"), "And badges?");
  EXPECT_EQ(search_query(history, "Does It announce the rotation beforehand?"), "How often are keys rotated? Does It announce the rotation beforehand?");
  EXPECT_EQ(search_query(history, "Which items and titles are exempt?"), "Which items and titles are exempt?") << "'it' inside a word";
}

TEST(Extractive, QuotesTheBestSentences) {
  WordEmbedder embedder;
  for (data::Embedder* used : {static_cast<data::Embedder*>(nullptr), static_cast<data::Embedder*>(&embedder)}) {
    ExtractiveAnswerer answerer(settings(), used);
    const Said said = ask(answerer, request("How often is a key rotated?"));
    check_invariants(said);
    EXPECT_TRUE(said.answer->text.starts_with("A key is rotated every 90 days")) << said.answer->text;
    EXPECT_EQ(said.answer->citations.at(0).passage, 0u);
    EXPECT_EQ(said.answer->mode, AnswerMode::kExtractive);
  }
}

TEST(Extractive, SaysWhenNothingAnswers) {
  WordEmbedder embedder;
  ExtractiveAnswerer answerer(settings(), &embedder);
  GroundingRequest none = request("How tall is the Eiffel tower?");
  for (const bool empty : {false, true}) {
    if (empty) none.passages.clear();
    const Said said = ask(answerer, none);
    check_invariants(said);
    EXPECT_FALSE(said.answer->answered);
    EXPECT_EQ(said.answer->text, settings().no_answer);
  }
}

TEST(Generative, CitesWhatIsSupportedAndDropsTheRest) {
  struct Row {
    std::string_view generated, expected;
    int dropped;
  };
  const Row table[] = {
      {"A key is rotated every 90 days.", "A key is rotated every 90 days.", 0},
      {"Keys are rotated every 90 days by the security team. The moon is made of green cheese.", "Keys are rotated every 90 days by the security team.", 1},
      {"The moon is made of green cheese. Every key is rotated every 90 days.", "Every key is rotated every 90 days.", 1},
      {"A key is rotated every 30 days. The security team announces the rotation a week before.", "The security team announces the rotation a week before.", 1},
      {"A key is rotated every 90 days. A key is rotated every 90 days. A key is rotated every 90 days.", "A key is rotated every 90 days.", 0},
      {"A key is not rotated every 90 days by the team. A key is rotated every 90 days by the team.", "A key is rotated every 90 days by the team.", 1},
  };
  WordEmbedder embedder;
  for (const Row& row : table) {
    Parrot parrot{std::string(row.generated)};
    GenerativeAnswerer answerer(settings(), parrot, &embedder);
    const Said said = ask(answerer, request("How often is a key rotated?"));
    check_invariants(said);
    EXPECT_EQ(said.answer->text, row.expected);
    EXPECT_EQ(said.answer->mode, AnswerMode::kGenerative);
    EXPECT_EQ(said.answer->dropped_sentences, row.dropped) << row.generated;
    EXPECT_EQ(said.answer->usage.prompt_tokens, 10);
    EXPECT_GT(said.answer->usage.compute_micros, 100);
  }
}

TEST(Generative, FallsBackToQuotes) {
  WordEmbedder embedder;
  for (const std::string text : {"", "   ", "The moon is made of green cheese.", "Yes.", "!!! ???"}) {
    Parrot parrot(text);
    GenerativeAnswerer answerer(settings(), parrot, &embedder);
    const Said said = ask(answerer, request("How often is a key rotated?"));
    check_invariants(said);
    EXPECT_EQ(said.answer->mode, AnswerMode::kExtractive) << text;
    EXPECT_TRUE(said.answer->text.contains("90 days")) << text;
  }
}

TEST(Generative, DoesNotAskTheModelWhenNothingIsRelevant) {
  WordEmbedder embedder;
  Parrot parrot("The Eiffel tower is 330 metres tall.");
  GenerativeAnswerer answerer(settings(), parrot, &embedder);
  const Said said = ask(answerer, request("How tall is the Eiffel tower?"));
  check_invariants(said);
  EXPECT_EQ(said.answer->text, settings().no_answer);
  EXPECT_EQ(parrot.deltas, 0);
}

TEST(Generative, LeavesOutASentenceThatTheLimitCutOff) {
  Parrot parrot("A key is rotated every 90 days by the security team. The team announces the", FinishReason::kLength);
  GenerativeAnswerer answerer(settings(), parrot, nullptr);
  const Said said = ask(answerer, request("How often is a key rotated?"));
  check_invariants(said);
  EXPECT_EQ(said.answer->text, "A key is rotated every 90 days by the security team.");
}

TEST(Generative, PacksWhatFits) {
  GroundingSettings tight = settings();
  tight.prompt_tokens = 90;
  Parrot parrot("A key is rotated every 90 days.");
  GenerativeAnswerer answerer(tight, parrot, nullptr);
  const Said said = ask(answerer, request("How often is a key rotated?"));
  ASSERT_TRUE(said.answer) << said.answer.error().message;
  EXPECT_TRUE(parrot.asked.messages.back().content.contains("90 days"));
  EXPECT_FALSE(parrot.asked.messages.back().content.contains("Gutenberg"));
  tight.prompt_tokens = 5;
  GenerativeAnswerer impossible(tight, parrot, nullptr);
  const Said refused = ask(impossible, request("How often is a key rotated?"));
  ASSERT_FALSE(refused.answer);
  EXPECT_EQ(refused.answer.error().code, ErrorCode::kTooLarge);
}

TEST(Generative, StopsWhenTheCallerDoes) {
  Parrot parrot("A key is rotated every 90 days. The security team announces the rotation a week before. More text follows here.");
  GenerativeAnswerer answerer(settings(), parrot, nullptr);
  const auto answer = answerer.answer({}, request("How often is a key rotated?"), [](std::string_view) { return false; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_LT(parrot.deltas, 20);
}

TEST(Excerpt, KeepsTheRelevantSentences) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "Filler words about weather number " + std::to_string(i) + ". ";
  text += "A key is rotated every 90 days. ";
  for (int i = 0; i < 40; ++i) text += "Other words about oceans number " + std::to_string(i) + ". ";
  const std::vector<Passage> passages{passage(text)};
  const auto evidence = Evidence::collect({}, nullptr, settings(), "How often is a key rotated?", passages);
  ASSERT_TRUE(evidence);
  const std::string part = excerpt(*evidence, passages, 0, 300);
  EXPECT_LE(part.size(), 300u);
  EXPECT_TRUE(part.contains("90 days"));
}

TEST(Generative, TheConversationIsInThePromptAsFarAsItFits) {
  const auto turns = [&](std::size_t count, std::size_t bytes) {
    std::vector<ChatMessage> history;
    for (std::size_t i = 0; i < count; ++i) {
      history.push_back({"user", fmt::format("q{} ", i) + std::string(bytes, 'x')});
      history.push_back({"assistant", fmt::format("a{}", i)});
    }
    return history;
  };
  struct Case {
    std::vector<ChatMessage> history;
    std::vector<std::string> starts;  // of the messages between the system message and the question
  };
  const std::vector<Case> cases{
      {{}, {}},
      {turns(2, 10), {"q0", "a0", "q1", "a1"}},
      {turns(9, 400), {"q7", "a7", "q8", "a8"}},   // 256 tokens of four bytes
      {turns(1, 100'000), {}},                     // never too long
      {{{"assistant", "a"}, {"user", "q"}, {"assistant", "b"}}, {"q", "b"}},
      {{{"user", "q"}, {"assistant", "b"}, {"user", "unanswered"}}, {}},
  };
  for (const Case& test : cases) {
    Parrot parrot("A key is rotated every 90 days by the security team.");
    GenerativeAnswerer answerer(settings(), parrot, nullptr);
    GroundingRequest wanted = request("How often is a key rotated by the security team?");
    wanted.history = test.history;
    const auto given = answerer.answer({}, wanted, [](std::string_view) { return true; });
    ASSERT_TRUE(given) << given.error().message;
    std::vector<std::string> starts;
    for (std::size_t i = 1; i + 1 < parrot.asked.messages.size(); ++i) starts.push_back(parrot.asked.messages[i].content.substr(0, test.starts.empty() ? 2 : test.starts.front().size()));
    EXPECT_EQ(starts, test.starts);
    EXPECT_LE(*parrot.count_prompt_tokens(parrot.asked), settings().prompt_tokens);
    EXPECT_NE(parrot.asked.messages.back().content.find("How often"), std::string::npos);
  }
}

TEST(Extractive, AFollowUpIsAnsweredInTheContextOfWhatWasAsked) {
  GroundingRequest wanted = request("And who performs that?");
  ExtractiveAnswerer answerer(settings(), nullptr);
  const auto alone = answerer.answer({}, wanted, [](std::string_view) { return true; });
  ASSERT_TRUE(alone);
  EXPECT_FALSE(alone->answered);
  wanted.history = {{"user", "How often is a key rotated?"}, {"assistant", "Every 90 days."}};
  const auto given = answerer.answer({}, wanted, [](std::string_view) { return true; });
  ASSERT_TRUE(given);
  EXPECT_NE(given->text.find("security team"), std::string::npos) << given->text;
}

}  // namespace
}  // namespace stoa::gateway
