// Question sets: passages, questions about them, and what is right. Read from SQuAD 1.1 and 2.0, and from folders in the layout of BEIR.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::feedback {

struct Paragraph {
  std::string id;     // "p000001.txt": the path it is ingested under
  std::string title;  // of its article
  std::string text;
  std::string name{}; // what the set calls it, where it does
};

struct Question {
  std::string id;
  std::string text;
  std::map<std::size_t, int> relevant;  // paragraphs that are right, by index, each with its grade above 0; none for an unanswerable question
  std::vector<std::string> answers{};   // reference answers, distinct; none in BEIR
  std::vector<std::string> sentences{}; // of the relevant paragraphs: those that hold the reference answers, distinct

  bool answerable() const { return !relevant.empty(); }
};

struct QuestionSet {
  std::string name;
  std::vector<Paragraph> paragraphs;
  std::vector<Question> questions;  // unanswerable ones too
  std::size_t left_out = 0;         // entries without any text, of a BEIR corpus
};

struct QuestionLimits {
  std::size_t max_bytes = std::size_t{1} << 30;  // of each file
  std::size_t max_paragraphs = 1'000'000, max_questions = 1'000'000;
};

// A file is read as SQuAD, a folder as BEIR with `split` (empty: "test" where there is one, else the only one). Errors name file, line and field.
Result<QuestionSet> load_questions(const std::filesystem::path& path, const std::string& split = "", const QuestionLimits& limits = {});

// {"data":[{"title","paragraphs":[{"context","qas":[{"id","question","is_impossible","answers":[{"text","answer_start"}]}]}]}]}. A question of 1.1 is answerable by its paragraph.
Result<QuestionSet> parse_squad(std::string_view text, const QuestionLimits& limits = {});

// The three files of BEIR (Thakur et al. 2021): JSON lines {"_id","title","text"} and {"_id","text"}, and lines "query<TAB>passage<TAB>grade", the first of which may be a heading.
// Questions are those that a line names; grades below 1 are not relevant; a question without any relevant passage is left out.
struct BeirTexts {
  std::string_view corpus, queries, qrels;
};
Result<QuestionSet> parse_beir(const BeirTexts& texts, const QuestionLimits& limits = {});

// `count` of the questions, chosen by `seed` and in their order; all of them where 0 or more than there are.
QuestionSet sample_questions(QuestionSet set, std::size_t count, std::uint64_t seed);

}  // namespace stoa::feedback
