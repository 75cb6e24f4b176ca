#include "feedback/evaluation/questions.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <system_error>
#include <unordered_map>

#include "base/json.h"
#include "base/utf8.h"
#include "feedback/evaluation/metrics.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kMaxLine = 16u << 20;
constexpr int kMaxGrade = 1000;
constexpr std::size_t kMaxAnswers = 100;  // of one question

Result<std::string> read_file(const std::filesystem::path& file, const QuestionLimits& limits) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) return fail(stoa::error(ErrorCode::kNotFound, "{}: {}", file.string(), error.message()).with_hint("name a file in the format of SQuAD, or a folder in the layout of BEIR"));
  if (size > limits.max_bytes) return fail(ErrorCode::kTooLarge, "{}: {} bytes, more than {}", file.string(), size, limits.max_bytes);
  std::string text(size, '\0');
  std::ifstream in(file, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) return fail(ErrorCode::kUnavailable, "{}: cannot be read", file.string());
  return text;
}

std::string paragraph_id(std::size_t index) { return fmt::format("p{:06}.txt", index + 1); }

// ---- SQuAD

Result<const JsonArray*> array_of(const Json& value, std::string_view key, const std::string& where) {
  const Json* found = value.is_object() ? find(value.as_object(), key) : nullptr;
  if (found == nullptr || !found->is_array()) return fail(error(ErrorCode::kInvalidArgument, "{}: no list '{}'", where, key).with_hint("the format of SQuAD is needed"));
  return &found->as_array();
}

Result<std::string> text_of(const Json& value, std::string_view key, const std::string& where) {
  if (!value.is_object()) return fail(ErrorCode::kInvalidArgument, "{}: not an object", where);
  auto text = read_string(value.as_object(), key);
  if (!text) return fail(std::move(text).error().in(where));
  return text->value_or("");
}

// The sentence of `context` around the bytes [begin, end): up to full stops with a space behind them.
std::string sentence_around(std::string_view context, std::size_t begin, std::size_t end) {
  const auto stops = [&](std::size_t i) { return (context[i] == '.' || context[i] == '!' || context[i] == '?') && (i + 1 == context.size() || context[i + 1] == ' ' || context[i + 1] == '\n'); };
  std::size_t first = begin, last = end;
  while (first > 0 && !stops(first - 1)) --first;
  while (first < begin && (context[first] == ' ' || context[first] == '\n')) ++first;
  while (last < context.size() && (last == 0 || !stops(last - 1))) ++last;
  return std::string(context.substr(first, last - first));
}

// The byte at which the code point number `count` begins, as answer_start counts them.
std::size_t byte_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; count > 0 && at < text.size(); --count) at += decode_rune(text.substr(at)).size;
  return at;
}

Status add_answers(const Json& entry, const std::string& context, const std::string& where, Question& question) {
  if (find(entry.as_object(), "answers") == nullptr) return {};
  STOA_TRY(answers, array_of(entry, "answers", where));
  if (answers->size() > kMaxAnswers) return fail(ErrorCode::kTooLarge, "{}.answers: {} of them, more than {}", where, answers->size(), kMaxAnswers);
  for (std::size_t i = 0; i < answers->size(); ++i) {
    const std::string place = fmt::format("{}.answers[{}]", where, i);
    STOA_TRY(text, text_of((*answers)[i], "text", place));
    auto start = read_int((*answers)[i].as_object(), "answer_start", 0, 1 << 30);
    if (!start) return fail(std::move(start).error().in(place));
    if (text.empty()) return fail(ErrorCode::kInvalidArgument, "{}.text: empty", place);
    std::size_t begin = start->has_value() ? byte_of(context, static_cast<std::size_t>(**start)) : std::string::npos;
    if (begin == std::string::npos || !std::string_view(context).substr(std::min(begin, context.size())).starts_with(text)) begin = context.find(text);
    if (std::ranges::find(question.answers, text) == question.answers.end()) question.answers.push_back(text);
    if (begin == std::string::npos) continue;  // a reference answer in other words
    std::string sentence = sentence_around(context, begin, begin + text.size());
    if (std::ranges::find(question.sentences, sentence) == question.sentences.end()) question.sentences.push_back(std::move(sentence));
  }
  return {};
}

Status add_questions(const Json& paragraph, const std::string& where, const QuestionLimits& limits, QuestionSet& set) {
  STOA_TRY(questions, array_of(paragraph, "qas", where));
  const std::string& context = set.paragraphs.back().text;
  for (std::size_t i = 0; i < questions->size(); ++i) {
    const Json& entry = (*questions)[i];
    const std::string place = fmt::format("{}.qas[{}]", where, i);
    Question question;
    STOA_TRY(id, text_of(entry, "id", place));
    STOA_TRY(text, text_of(entry, "question", place));
    auto impossible = read_bool(entry.as_object(), "is_impossible");
    if (!impossible) return fail(std::move(impossible).error().in(place));
    if (text.empty()) return fail(ErrorCode::kInvalidArgument, "{}.question: empty", place);
    question.id = std::move(id);
    question.text = std::move(text);
    if (!impossible->value_or(false)) {
      question.relevant[set.paragraphs.size() - 1] = 1;
      STOA_CHECK(add_answers(entry, context, place, question));
    }
    if (set.questions.size() >= limits.max_questions) return fail(ErrorCode::kTooLarge, "more than {} questions", limits.max_questions);
    set.questions.push_back(std::move(question));
  }
  return {};
}

// ---- BEIR

// The lines of a text, from 1, without their ends and without empty ones.
Status each_line(std::string_view text, std::string_view file, const std::function<Status(std::string_view line, std::size_t number)>& visit) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.size() > kMaxLine) return fail(ErrorCode::kTooLarge, "{}:{}: {} bytes, a line has at most {}", file, number, line.size(), kMaxLine);
    if (auto status = visit(line, number); !status) return fail(std::move(status).error().in(fmt::format("{}:{}", file, number)));
  }
  return {};
}

struct BeirLine {
  std::string id, title, text;
};
Result<BeirLine> read_line(std::string_view line) {
  STOA_TRY(value, parse_json(line, {kMaxLine, 8}));
  if (!value.is_object()) return fail(ErrorCode::kInvalidArgument, "not an object");
  BeirLine out;
  for (const auto& [key, into] : {std::pair{"_id", &out.id}, {"title", &out.title}, {"text", &out.text}}) {
    STOA_TRY(text, read_string(value.as_object(), key));
    *into = text.value_or("");
  }
  if (out.id.empty()) return fail(ErrorCode::kInvalidArgument, "no '_id'");
  return out;
}

struct Judgement {
  std::string query, passage;
  int grade = 0;
};
// Nothing for a heading, whose grade is no number; only the first line may be one.
Result<std::optional<Judgement>> read_judgement(std::string_view line, bool first) {
  if (!is_valid_utf8(line)) return fail(ErrorCode::kInvalidArgument, "not UTF-8");
  const std::size_t one = line.find('\t'), two = one == std::string_view::npos ? one : line.find('\t', one + 1);
  if (two == std::string_view::npos || line.find('\t', two + 1) != std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "not 'query<TAB>passage<TAB>grade'");
  Judgement out{std::string(line.substr(0, one)), std::string(line.substr(one + 1, two - one - 1))};
  const std::string_view grade = line.substr(two + 1);
  const auto [end, problem] = std::from_chars(grade.data(), grade.data() + grade.size(), out.grade);
  if (problem != std::errc() || end != grade.data() + grade.size()) {
    if (first) return std::nullopt;
    return fail(ErrorCode::kInvalidArgument, "the grade '{}' is not a whole number", grade.substr(0, 40));
  }
  if (out.grade > kMaxGrade) return fail(ErrorCode::kInvalidArgument, "the grade {} is above {}", out.grade, kMaxGrade);
  return out;
}

Result<std::string> qrels_file(const std::filesystem::path& folder, const std::string& split) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".tsv") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  if (error || names.empty()) return fail(stoa::error(ErrorCode::kNotFound, "{}: no NAME.tsv in it", folder.string()).with_hint("the layout of BEIR is corpus.jsonl, queries.jsonl and qrels/NAME.tsv"));
  const std::string wanted = !split.empty() ? split : names.size() == 1 ? names.front() : "test";
  if (std::ranges::find(names, wanted) == names.end()) return fail(stoa::error(ErrorCode::kNotFound, "{}: no {}.tsv in it", folder.string(), wanted).with_hint(fmt::format("choose a split: {}", fmt::join(names, ", "))));
  return (folder / (wanted + ".tsv")).string();
}

}  // namespace

Result<QuestionSet> parse_squad(std::string_view text, const QuestionLimits& limits) {
  QuestionSet set;
  STOA_TRY(root, parse_json(text, {limits.max_bytes, 64}));
  STOA_TRY(articles, array_of(root, "data", "the file"));
  for (std::size_t a = 0; a < articles->size(); ++a) {
    const std::string article = fmt::format("data[{}]", a);
    STOA_TRY(title, text_of((*articles)[a], "title", article));
    STOA_TRY(paragraphs, array_of((*articles)[a], "paragraphs", article));
    for (std::size_t p = 0; p < paragraphs->size(); ++p) {
      const std::string where = fmt::format("{}.paragraphs[{}]", article, p);
      STOA_TRY(context, text_of((*paragraphs)[p], "context", where));
      if (context.empty()) return fail(ErrorCode::kInvalidArgument, "{}.context: empty", where);
      if (set.paragraphs.size() >= limits.max_paragraphs) return fail(ErrorCode::kTooLarge, "more than {} paragraphs", limits.max_paragraphs);
      set.paragraphs.push_back({paragraph_id(set.paragraphs.size()), title, context});
      STOA_CHECK(add_questions((*paragraphs)[p], where, limits, set));
    }
  }
  if (set.questions.empty()) return fail(ErrorCode::kInvalidArgument, "no question in it");
  return set;
}

Result<QuestionSet> parse_beir(const BeirTexts& texts, const QuestionLimits& limits) {
  QuestionSet set;
  std::unordered_map<std::string, std::size_t> passages, questions;
  std::unordered_map<std::string, std::string> asked;
  constexpr std::size_t kNoText = ~std::size_t{0};
  STOA_CHECK(each_line(texts.corpus, "corpus.jsonl", [&](std::string_view line, std::size_t) -> Status {
    STOA_TRY(entry, read_line(line));
    if (set.paragraphs.size() >= limits.max_paragraphs) return fail(ErrorCode::kTooLarge, "more than {} passages", limits.max_paragraphs);
    const bool empty = entry.text.empty() && entry.title.empty();
    if (!passages.emplace(entry.id, empty ? kNoText : set.paragraphs.size()).second) return fail(ErrorCode::kInvalidArgument, "the '_id' \"{}\" is there twice", entry.id);
    set.left_out += empty;
    if (empty) return {};
    std::string text = entry.title.empty() ? entry.text : entry.text.empty() ? entry.title : entry.title + "\n\n" + entry.text;
    set.paragraphs.push_back({paragraph_id(set.paragraphs.size()), entry.title, std::move(text), entry.id});
    return {};
  }));
  STOA_CHECK(each_line(texts.queries, "queries.jsonl", [&](std::string_view line, std::size_t) -> Status {
    STOA_TRY(entry, read_line(line));
    if (entry.text.empty()) return fail(ErrorCode::kInvalidArgument, "no 'text'");
    if (asked.size() >= limits.max_questions) return fail(ErrorCode::kTooLarge, "more than {} queries", limits.max_questions);
    if (!asked.emplace(entry.id, entry.text).second) return fail(ErrorCode::kInvalidArgument, "the '_id' \"{}\" is there twice", entry.id);
    return {};
  }));
  STOA_CHECK(each_line(texts.qrels, "qrels", [&](std::string_view line, std::size_t number) -> Status {
    STOA_TRY(judged, read_judgement(line, number == 1));
    if (!judged || judged->grade < 1) return {};
    const auto query = asked.find(judged->query);
    const auto passage = passages.find(judged->passage);
    if (query == asked.end()) return fail(ErrorCode::kInvalidArgument, "queries.jsonl has no query \"{}\"", judged->query);
    if (passage == passages.end()) return fail(ErrorCode::kInvalidArgument, "corpus.jsonl has no passage \"{}\"", judged->passage);
    if (passage->second == kNoText) return {};  // nobody can find it
    const auto [at, added] = questions.emplace(judged->query, set.questions.size());
    if (added) set.questions.push_back({.id = judged->query, .text = query->second, .relevant = {}});
    set.questions[at->second].relevant[passage->second] = judged->grade;
    return {};
  }));
  if (set.questions.empty()) return fail(ErrorCode::kInvalidArgument, "qrels: no query with a relevant passage");
  return set;
}

Result<QuestionSet> load_questions(const std::filesystem::path& path, const std::string& split, const QuestionLimits& limits) {
  std::error_code ignored;
  const bool beir = std::filesystem::is_directory(path, ignored);
  const auto load = [&]() -> Result<QuestionSet> {
    if (!beir) {
      STOA_TRY(text, read_file(path, limits));
      auto set = parse_squad(text, limits);
      if (!set) return fail(std::move(set).error().in(path.string()));
      return set;
    }
    STOA_TRY(judgements, qrels_file(path / "qrels", split));
    STOA_TRY(corpus, read_file(path / "corpus.jsonl", limits));
    STOA_TRY(queries, read_file(path / "queries.jsonl", limits));
    STOA_TRY(qrels, read_file(judgements, limits));
    auto set = parse_beir({corpus, queries, qrels}, limits);
    if (!set) return fail(std::move(set).error().in(path.string()));
    return set;
  };
  STOA_TRY(set, load());
  set.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  return std::move(set);
}

QuestionSet sample_questions(QuestionSet set, std::size_t count, std::uint64_t seed) {
  if (count == 0 || count >= set.questions.size()) return set;
  Dice dice(seed);
  std::vector<std::size_t> order(set.questions.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (std::size_t i = 0; i < count; ++i) std::swap(order[i], order[i + dice.below(order.size() - i)]);
  order.resize(count);
  std::ranges::sort(order);
  std::vector<Question> chosen;
  for (const std::size_t i : order) chosen.push_back(std::move(set.questions[i]));
  set.questions = std::move(chosen);
  return set;
}

}  // namespace stoa::feedback
