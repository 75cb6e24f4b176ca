#include <fstream>
#include <sstream>

#include "gateway/grounding/test_grounding.h"

namespace stoa::gateway {

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

namespace {

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
  const auto negated = [](std::string_view text) { return is_negated(text, settings().negations, "english"); };
  EXPECT_TRUE(negated("It must not run") && negated("It doesn't") && !negated("It notes this"));
  EXPECT_EQ(coverage({"a", "b"}, {"a"}), 0.5);
  EXPECT_EQ(coverage({}, {}), 1);
}

TEST(Sentences, NamesAndKindsOfAnswers) {
  EXPECT_EQ(names_of("When did Beyonc\u00e9 leave Destiny's Child in 2003?"), (std::set<std::string>{"beyonc\u00e9", "destiny", "child", "2003"}));
  EXPECT_EQ(names_of("Paris is big"), std::set<std::string>{}) << "the first word begins with a capital anyway";
  struct Row {
    std::string_view question;
    AnswerKind kind;
    std::string_view with, without;
  };
  const Row table[] = {
      {"Who rotates the keys?", AnswerKind::kName, "Then Anna rotates the keys.", "The keys are rotated."},
      {"Where are keys kept?", AnswerKind::kName, "Keys are kept in Berlin.", "Keys are kept."},
      {"When are keys rotated?", AnswerKind::kTime, "Keys are rotated in 2024.", "Keys are rotated."},
      {"In what year were keys cut?", AnswerKind::kTime, "Keys were cut in 1999.", "Keys were cut."},
      {"How many keys are there?", AnswerKind::kCount, "There are seven keys.", "There are keys."},
      {"How many of the 9 keys?", AnswerKind::kCount, "Only 3 of the 9 keys.", "Of the 9 keys."},
      {"Why are keys rotated?", AnswerKind::kAny, "Keys wear.", ""},
  };
  for (const Row& row : table) {
    EXPECT_EQ(answer_kind(row.question), row.kind) << row.question;
    const auto asked = content_words(row.question);
    EXPECT_TRUE(has_answer_of(row.kind, row.with, asked)) << row.question;
    EXPECT_EQ(has_answer_of(row.kind, row.without, asked), row.kind == AnswerKind::kAny) << row.question;
  }
}

TEST(Answerable, SignalsAndFormula) {
  WordEmbedder embedder;
  const GroundingRequest handbook = request("");
  const auto signals = [&](std::string_view question) {
    const auto evidence = Evidence::collect({}, &embedder, settings(), question, handbook.passages);
    EXPECT_TRUE(evidence);
    return evidence->signals();
  };
  const AnswerSignals plain = signals("How often is a key rotated?");
  EXPECT_GT(plain.cosine, 0.4);
  EXPECT_EQ(plain.answer_type, 1);
  EXPECT_EQ(plain.negation, 0);
  EXPECT_EQ(signals("Why is a key not rotated?").negation, 1);
  EXPECT_EQ(signals("How often is a key rotated in Rome by Marius and Sulla and Cinna in 87?").missing_names, 3);
  EXPECT_EQ(signals("Who serves lunch in the canteen?").answer_type, 0);
  const AnswerFormula formula{.intercept = -1, .cosine = 2, .missing_names = -3};
  EXPECT_NEAR(answer_probability(formula, {.cosine = 0.5}), 0.5, 1e-9);
  EXPECT_LT(answer_probability(formula, {.cosine = 0.5, .missing_names = 1}), 0.05);
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
  fails("{conversation}", "conversation");
  fails("{quote}", "quote");
  fails("unsupported: drop", "unsupported: hide");
  fails("rewrite: auto", "rewrite: sometimes");
  fails("citations: 3", "citations: 0");
  fails("    cosine: ", "    sine: ");
  fails("    spanish: ", "    klingon: ");
  fails("    spanish: ", "    es: ");
  fails("    spanish: ", "    chinese: ");  // no function words tell it
  fails("    spanish: [no, ni, sin, nada]", "    spanish: no");
  fails("    negation: -", "    negation: -1000");
  fails("    least: 0", "    least: 7");
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
  const auto answer = answerer.answer({}, request("How often is a key rotated?"), [](const AnswerPiece&) { return false; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_LT(parrot.deltas, 20);
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
    const auto given = answerer.answer({}, wanted, [](const AnswerPiece&) { return true; });
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
  const auto alone = answerer.answer({}, wanted, [](const AnswerPiece&) { return true; });
  ASSERT_TRUE(alone);
  EXPECT_FALSE(alone->answered);
  wanted.history = {{"user", "How often is a key rotated?"}, {"assistant", "Every 90 days."}};
  const auto given = answerer.answer({}, wanted, [](const AnswerPiece&) { return true; });
  ASSERT_TRUE(given);
  EXPECT_NE(given->text.find("security team"), std::string::npos) << given->text;
}

}  // namespace
}  // namespace stoa::gateway
