// What supports an answer, what a model is shown, and what is asked beside the answer.
#include "gateway/grounding/test_grounding.h"

namespace stoa::gateway {
namespace {

TEST(Citations, EveryPassageThatSupportsASentenceIsNamedBestFirst) {
  GroundingRequest wanted = request("How often is a key rotated?");
  wanted.passages = {passage("Keys of the house are rotated every 90 days by the security team."), passage("A key is rotated every 90 days."), passage("Every 90 days a key is rotated, no more."),
                     passage("Rotated every 90 days: a key.")};
  GroundingSettings some = settings();
  some.max_passages = 4;
  for (const int most : {1, 2, 3, 9}) {
    some.citations = most;
    Parrot parrot("A key is rotated every 90 days.");
    WordEmbedder embedder;
    GenerativeAnswerer answerer(some, parrot, &embedder);
    const Said said = ask(answerer, wanted);
    check_invariants(said);
    const auto& citations = said.answer->citations;
    ASSERT_EQ(citations.size(), static_cast<std::size_t>(std::min(most, 3))) << "one passage says no";
    EXPECT_EQ(citations[0].passage, 1u);
    EXPECT_NEAR(citations[0].support, 1, 1e-6);
    EXPECT_TRUE(std::ranges::is_sorted(citations, std::greater{}, &Citation::support));
  }
}

TEST(Citations, UnsupportedSentencesStayAndAreNamedWhereTheSettingsSaySo) {
  GroundingSettings flagging = settings();
  flagging.flag_unsupported = true;
  Parrot parrot("A key is rotated every 90 days. The moon is made of green cheese.");
  GenerativeAnswerer answerer(flagging, parrot, nullptr);
  const Said said = ask(answerer, request("How often is a key rotated?"));
  check_invariants(said);
  EXPECT_EQ(said.answer->text, "A key is rotated every 90 days. The moon is made of green cheese.");
  ASSERT_EQ(said.answer->unsupported.size(), 1u);
  const TextRange range = said.answer->unsupported[0];
  EXPECT_EQ(said.answer->text.substr(range.begin, range.end - range.begin), "The moon is made of green cheese.");
  EXPECT_EQ(said.answer->dropped_sentences, 0);
}

TEST(Citations, AJudgeDecidesOnWhatWordsAndVectorsLeaveOpen) {
  struct Row {
    std::string_view says;
    std::string_view generated;
    bool asked, cited;
  };
  const Row table[] = {
      {"yes", "Quarterly the diligent security team rotates a key, every 90 days.", true, true},
      {"no", "Quarterly the diligent security team rotates a key, every 90 days.", true, false},
      {"", "Quarterly the diligent security team rotates a key, every 90 days.", true, false},     // it cannot be asked
      {"yes", "A key is rotated every 90 days.", false, true},                 // words tell
      {"yes", "Quarterly the diligent security team rotates a key, every 30 days.", false, false},  // another number is no matter of opinion
      {"yes", "The moon is made of green cheese.", false, false},
  };
  GroundingSettings judging = settings();
  judging.judge_support = 0.5;
  for (const Row& row : table) {
    Parrot parrot{std::string(row.generated)}, judge{""};
    judge.aside_answer = row.says;
    GenerativeAnswerer answerer(judging, parrot, nullptr, {.generator = &judge, .model = "judge"});
    const Said said = ask(answerer, request("How often is a key rotated?"));
    check_invariants(said);
    ASSERT_EQ(judge.asides.size(), row.asked ? 1u : 0u) << row.generated;
    EXPECT_EQ(said.answer->mode == AnswerMode::kGenerative, row.cited) << row.generated;
    if (row.asked && row.cited) {
      EXPECT_TRUE(said.answer->citations[0].judged);
    }
    if (!row.asked) continue;
    EXPECT_TRUE(judge.asides[0].messages[0].content.contains("90 days by the security team"));
    EXPECT_TRUE(judge.asides[0].constraint);
    ASSERT_EQ(said.answer->also.size(), row.says.empty() ? 0u : 1u);
    if (row.says.empty()) continue;
    EXPECT_EQ(said.answer->also[0].target, "judge");
    EXPECT_EQ(said.answer->also[0].what, "judge");
    EXPECT_EQ(said.answer->also[0].usage.prompt_tokens, 10);
  }
}

TEST(Rewrite, IsTakenWhenItIsMadeOfTheConversation) {
  using Rewrite = GroundingSettings::Rewrite;
  struct Row {
    Rewrite rewrite;
    std::string_view question, says;
    bool asked;
    std::string_view query, how;
  };
  const std::vector<ChatMessage> history{{"user", "How often are keys rotated?"}, {"assistant", "Every 90 days."}};
  const std::string joined = "How often are keys rotated? Who does it?";
  const Row table[] = {
      {Rewrite::kAuto, "Who does it?", "Who rotates keys?", true, "Who rotates keys?", "rewritten"},
      {Rewrite::kAuto, "Who does it?", " \"Who rotates keys?\"\n", true, "Who rotates keys?", "rewritten"},
      {Rewrite::kAuto, "Who does it?", "Who rotates keys in Berlin?", true, joined, "joined"},           // nobody spoke of Berlin
      {Rewrite::kAuto, "Who does it?", "Who rotates keys?\nWho pays?", true, joined, "joined"},
      {Rewrite::kAuto, "Who does it?", "", true, joined, "joined"},                                     // the model is away
      {Rewrite::kAuto, "What does it cost to rotate badges?", "How often are keys rotated?", true, "How often are keys rotated? What does it cost to rotate badges?", "joined"},  // what was asked is gone
      {Rewrite::kAuto, "Where is lunch served today?", "x", false, "Where is lunch served today?", "question"},
      {Rewrite::kAlways, "Where is lunch served today?", "Where is lunch served?", true, "Where is lunch served?", "rewritten"},
      {Rewrite::kNever, "Who does it?", "Who rotates keys?", false, joined, "joined"},
  };
  for (const Row& row : table) {
    GroundingSettings rewriting = settings();
    rewriting.rewrite = row.rewrite;
    Parrot parrot("");
    parrot.aside_answer = row.says;
    const SearchText text = resolve_question({}, rewriting, {.generator = &parrot, .model = "m"}, history, std::string(row.question));
    EXPECT_EQ(text.query, row.query) << row.says;
    EXPECT_EQ(text.how, row.how) << row.says;
    EXPECT_EQ(parrot.asides.size(), row.asked ? 1u : 0u);
    EXPECT_EQ(text.charges.size(), row.asked && !row.says.empty() ? 1u : 0u);
    if (row.asked) {
      EXPECT_TRUE(parrot.asides[0].messages[0].content.contains("assistant: Every 90 days.\nuser: " + std::string(row.question)));
    }
  }
  EXPECT_EQ(resolve_question({}, settings(), {}, history, "Who does it?").how, "joined") << "without a model";
}

std::vector<std::string> packed_texts(const std::vector<Passage>& passages, std::string_view question, std::size_t bytes, std::size_t section_bytes, std::size_t room) {
  const auto evidence = Evidence::collect({}, nullptr, settings(), question, passages);
  EXPECT_TRUE(evidence);
  auto packed = pack_passages(*evidence, passages, passages.size(), bytes);
  const auto fits = [&](const std::vector<PackedPassage>& all) -> Result<bool> {
    std::size_t sum = 0;
    for (const PackedPassage& item : all) sum += item.text().size();
    return sum <= room;
  };
  EXPECT_TRUE(grow_passages(packed, section_bytes, fits));
  std::vector<std::string> texts;
  for (const PackedPassage& item : packed) texts.emplace_back(item.text());
  return texts;
}

TEST(Packing, KeepsTheRelevantSentences) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "Filler words about weather number " + std::to_string(i) + ". ";
  text += "A key is rotated every 90 days. ";
  for (int i = 0; i < 40; ++i) text += "Other words about oceans number " + std::to_string(i) + ". ";
  const auto texts = packed_texts({passage(text)}, "How often is a key rotated?", 300, 300, 10'000);
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_LE(texts[0].size(), 300u);
  EXPECT_TRUE(texts[0].contains("90 days"));
}

TEST(Packing, WhatSurroundsAPassageComesAsFarAsThereIsRoom) {
  const std::string section = "Keys are made of steel. They are kept in a safe.\n\nA key is rotated every 90 days. The team does that.\n\nLost keys are reported. Doors stay shut.";
  Passage first = passage("A key is rotated every 90 days. The team does that.");
  first.context = section;
  Passage second = passage("Lost keys are reported. Doors stay shut.");
  second.context = section;
  const std::string_view question = "How often is a key rotated?";
  EXPECT_EQ(packed_texts({first}, question, 900, 1200, 10'000), (std::vector<std::string>{section}));
  EXPECT_EQ(packed_texts({first}, question, 900, 100, 10'000), (std::vector<std::string>{"A key is rotated every 90 days. The team does that.\n\nLost keys are reported. Doors stay shut."}));
  EXPECT_EQ(packed_texts({first}, question, 900, 1200, 60), (std::vector<std::string>{first.text})) << "no room";
  EXPECT_EQ(packed_texts({first, second}, question, 900, 1200, 10'000),
            (std::vector<std::string>{"Keys are made of steel. They are kept in a safe.\n\nA key is rotated every 90 days. The team does that.", second.text}))
      << "no text twice";
  EXPECT_EQ(packed_texts({first, first}, question, 900, 1200, 10'000).size(), 1u);
  first.context = "Something else.";
  EXPECT_EQ(packed_texts({first}, question, 900, 1200, 10'000), (std::vector<std::string>{first.text})) << "its text does not stand in it";
}

TEST(Packing, TheContextOfAPassageSupportsStatementsToo) {
  GroundingRequest wanted = request("How often is a key rotated?");
  wanted.passages = {passage("A key is rotated every 90 days.")};
  wanted.passages[0].context = "Keys are made of hardened steel.\n\nA key is rotated every 90 days.";
  Parrot parrot("Keys are made of hardened steel.");
  GenerativeAnswerer answerer(settings(), parrot, nullptr);
  const Said said = ask(answerer, wanted);
  check_invariants(said);
  ASSERT_EQ(said.answer->citations.size(), 1u);
  EXPECT_TRUE(said.answer->citations[0].in_context);
  EXPECT_TRUE(parrot.asked.messages.back().content.contains("hardened steel"));
}

}  // namespace
}  // namespace stoa::gateway
