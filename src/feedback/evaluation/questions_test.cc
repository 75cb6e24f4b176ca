#include "feedback/evaluation/questions.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/id.h"

namespace stoa::feedback {
namespace {

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / new_id("questions_test")) { std::filesystem::create_directories(path_ / "qrels"); }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, std::string_view text) const { std::ofstream(path_ / name, std::ios::binary) << text; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

constexpr std::string_view kSquad = R"({"version":"v2.0","data":[{"title":"T","paragraphs":[
  {"context":"Z\u00fcrich is old. It lies in Switzerland, near a lake. Boats cross it.","qas":[
    {"id":"1","question":"Where does it lie?","is_impossible":false,"answers":[{"text":"Switzerland","answer_start":27},{"text":"Switzerland","answer_start":27},{"text":"in Switzerland, near a lake","answer_start":24}]},
    {"id":"2","question":"Who rules it?","is_impossible":true,"answers":[],"plausible_answers":[{"text":"Boats","answer_start":52}]}]},
  {"context":"c2","qas":[{"id":"3","question":"q3"}]}]}]})";

TEST(Questions, ReadsSquad) {
  const auto set = parse_squad(kSquad);
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->paragraphs.size(), 2u);
  EXPECT_EQ(set->paragraphs[1].id, "p000002.txt");
  ASSERT_EQ(set->questions.size(), 3u);
  const Question& first = set->questions[0];
  EXPECT_TRUE(first.answerable());
  EXPECT_EQ(first.answers, (std::vector<std::string>{"Switzerland", "in Switzerland, near a lake"})) << "each once";
  EXPECT_EQ(first.sentences, (std::vector<std::string>{"It lies in Switzerland, near a lake."})) << "answer_start counts characters, not bytes";
  EXPECT_FALSE(set->questions[1].answerable());
  EXPECT_TRUE(set->questions[1].answers.empty());
  EXPECT_EQ(set->questions[2].relevant, (std::map<std::size_t, int>{{1, 1}}));
}

TEST(Questions, SquadErrorsNameTheField) {
  struct Bad {
    std::string_view text, says;
  };
  for (const auto& [text, says] : {Bad{"", ""}, {"[]", "no list 'data'"}, {"{}", "no list 'data'"}, {R"({"data":{}})", "no list 'data'"}, {R"({"data":[]})", "no question"},
                                   {R"({"data":[{"paragraphs":[{"context":"x"}]}]})", "data[0].paragraphs[0]: no list 'qas'"}, {R"({"data":[{"paragraphs":[{"context":7,"qas":[]}]}]})", "data[0].paragraphs[0]: "},
                                   {R"({"data":[{"paragraphs":[{"context":"","qas":[]}]}]})", "data[0].paragraphs[0].context: empty"}, {R"({"data":[{"paragraphs":[{"context":"x","qas":[1]}]}]})", "data[0].paragraphs[0].qas[0]"},
                                   {R"({"data":[{"paragraphs":[{"context":"x","qas":[{"question":"q","answers":[{"text":""}]}]}]}]})", "qas[0].answers[0].text: empty"},
                                   {R"({"data":[{"paragraphs":[{"context":"x","qas":[{"question":"q","answers":[{"text":"x","answer_start":-1}]}]}]}]})", "qas[0].answers[0]: "}}) {
    const auto result = parse_squad(text);
    ASSERT_FALSE(result) << text;
    EXPECT_TRUE(result.error().message.contains(says)) << result.error().message;
  }
  EXPECT_EQ(parse_squad(kSquad, {.max_paragraphs = 1}).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(parse_squad(kSquad, {.max_questions = 2}).error().code, ErrorCode::kTooLarge);
}

constexpr std::string_view kCorpus = "{\"_id\":\"d/1\",\"title\":\"Cats\",\"text\":\"They purr.\"}\r\n\n{\"_id\":\"d2\",\"text\":\"Dogs bark.\"}\n{\"_id\":\"d3\",\"title\":\"\",\"text\":\"\"}\n{\"_id\":\"d4\",\"title\":\"Cows\"}";
constexpr std::string_view kQueries = "{\"_id\":\"q1\",\"text\":\"who purrs?\"}\n{\"_id\":\"q2\",\"text\":\"who is silent?\"}\n{\"_id\":\"q3\",\"text\":\"all of them\"}\n";
constexpr std::string_view kQrels = "query-id\tcorpus-id\tscore\nq3\td/1\t2\nq3\td2\t1\nq3\td3\t1\nq1\td/1\t1\nq1\td2\t0\nq2\td3\t1\n";

TEST(Questions, ReadsBeir) {
  const auto set = parse_beir({kCorpus, kQueries, kQrels});
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->paragraphs.size(), 3u);
  EXPECT_EQ(set->left_out, 1u);
  EXPECT_EQ(set->paragraphs[0].name, "d/1");
  EXPECT_EQ(set->paragraphs[0].text, "Cats\n\nThey purr.");
  EXPECT_EQ(set->paragraphs[2].text, "Cows");
  ASSERT_EQ(set->questions.size(), 2u) << "q2 has no passage that can be found";
  EXPECT_EQ(set->questions[0].id, "q3");
  EXPECT_EQ(set->questions[0].relevant, (std::map<std::size_t, int>{{0, 2}, {1, 1}}));
  EXPECT_EQ(set->questions[1].relevant, (std::map<std::size_t, int>{{0, 1}}));
}

TEST(Questions, BeirErrorsNameFileLineAndField) {
  struct Bad {
    BeirTexts texts;
    std::string_view says;
  };
  for (const auto& [texts, says] : {Bad{{"x", kQueries, kQrels}, "corpus.jsonl:1: "}, {{"[]", kQueries, kQrels}, "corpus.jsonl:1: not an object"}, {{"{\"text\":\"x\"}", kQueries, kQrels}, "corpus.jsonl:1: no '_id'"},
                                    {{"{\"_id\":7}", kQueries, kQrels}, "corpus.jsonl:1: "}, {{"\n{\"_id\":\"a\",\"text\":\"x\"}\n{\"_id\":\"a\",\"text\":\"x\"}", kQueries, kQrels}, "corpus.jsonl:3: the '_id' \"a\" is there twice"},
                                    {{kCorpus, "{\"_id\":\"q\"}", kQrels}, "queries.jsonl:1: no 'text'"}, {{kCorpus, kQueries, "q1\td2"}, "qrels:1: not 'query<TAB>"}, {{kCorpus, kQueries, "q1\td2\t1\t1"}, "qrels:1: not 'query<TAB>"},
                                    {{kCorpus, kQueries, "q1\td2\t1\nq1\td2\tx"}, "qrels:2: the grade 'x'"}, {{kCorpus, kQueries, "q1\td2\t1.5\nq1\td2\t1e"}, "qrels:2: the grade '1e'"}, {{kCorpus, kQueries, "q1\td2\t4000"}, "qrels:1: the grade 4000"},
                                    {{kCorpus, kQueries, "q9\td2\t1"}, "qrels:1: queries.jsonl has no query \"q9\""}, {{kCorpus, kQueries, "q1\td9\t1"}, "qrels:1: corpus.jsonl has no passage \"d9\""},
                                    {{kCorpus, kQueries, "q1\t\xff\t1"}, "qrels:1: not UTF-8"}, {{kCorpus, kQueries, ""}, "no query with a relevant passage"}}) {
    const auto result = parse_beir(texts);
    ASSERT_FALSE(result) << says;
    EXPECT_TRUE(result.error().message.starts_with(says) || result.error().message.contains(says)) << result.error().message;
  }
  EXPECT_EQ(parse_beir({kCorpus, kQueries, kQrels}, {.max_paragraphs = 2}).error().code, ErrorCode::kTooLarge);
}

TEST(Questions, LoadsFilesAndFolders) {
  const Folder folder;
  folder.write("set.json", kSquad);
  const auto squad = load_questions(folder.path() / "set.json");
  ASSERT_TRUE(squad) << squad.error().message;
  EXPECT_EQ(squad->name, "set.json");
  EXPECT_EQ(load_questions(folder.path() / "set.json", "", {.max_bytes = 10}).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(load_questions("/does/not/exist").error().code, ErrorCode::kNotFound);
  folder.write("bad.json", "{}");
  EXPECT_TRUE(load_questions(folder.path() / "bad.json").error().message.starts_with((folder.path() / "bad.json").string()));

  EXPECT_EQ(load_questions(folder.path()).error().code, ErrorCode::kNotFound) << "no qrels";
  folder.write("corpus.jsonl", kCorpus);
  folder.write("queries.jsonl", kQueries);
  folder.write("qrels/dev.tsv", kQrels);
  EXPECT_TRUE(load_questions(folder.path())) << "the only split";
  folder.write("qrels/train.tsv", "q1\td2\t1\n");
  const auto unsaid = load_questions(folder.path());
  ASSERT_FALSE(unsaid);
  EXPECT_EQ(unsaid.error().hint, "choose a split: dev, train");
  const auto train = load_questions(folder.path(), "train");
  ASSERT_TRUE(train) << train.error().message;
  EXPECT_EQ(train->questions.size(), 1u);
  EXPECT_EQ(train->name, folder.path().filename().string());
}

TEST(Questions, SamplesBySeed) {
  QuestionSet set;
  for (int i = 0; i < 100; ++i) set.questions.push_back({.id = std::to_string(i), .text = "q", .relevant = {}});
  const auto ids = [](const QuestionSet& from) {
    std::vector<int> out;
    for (const Question& question : from.questions) out.push_back(std::stoi(question.id));
    return out;
  };
  const auto first = ids(sample_questions(set, 10, 1)), again = ids(sample_questions(set, 10, 1)), other = ids(sample_questions(set, 10, 2));
  EXPECT_EQ(first.size(), 10u);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  EXPECT_TRUE(std::ranges::is_sorted(first)) << "in the order of the set";
  EXPECT_EQ(ids(sample_questions(set, 0, 1)).size(), 100u);
  EXPECT_EQ(ids(sample_questions(set, 1000, 1)).size(), 100u);
}

}  // namespace
}  // namespace stoa::feedback
