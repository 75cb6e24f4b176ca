#include "data/index/sparse/query_syntax.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace stoa::data {
namespace {

constexpr double kMaxBoost = 100;
constexpr std::uint32_t kMaxSlop = 100;
constexpr std::size_t kShortWord = 6;  // characters, from which on two edits are near

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class QueryParser {
 public:
  QueryParser(std::string_view text, Analyzer& analyzer) : text_(text), analyzer_(analyzer) {}

  Result<SparseQuery> parse() {
    STOA_TRY(query, list(1));
    if (at_ < text_.size()) return wrong("nothing is open that ')' could close");
    return std::move(query);
  }

 private:
  // A word, a phrase or a group, with what is known of it before it is put among its neighbours.
  struct Part {
    SparseQuery query;
    std::size_t begin = 0;
    bool is_negative = false, is_required = false;
    bool is_stop_word = false;
  };

  std::unexpected<Error> wrong(std::string_view what) const { return wrong_at(at_, what); }
  static std::unexpected<Error> wrong_at(std::size_t at, std::string_view what) { return fail(ErrorCode::kInvalidArgument, "the query at byte {}: {}", at, what); }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // An operator in capitals, as a word of its own.
  bool take(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    const std::size_t end = at_ + word.size();
    if (end < text_.size() && !is_space(text_[end]) && text_[end] != '(') return false;
    at_ = end;
    return true;
  }
  bool at_end_of_list() {
    skip_space();
    return at_ == text_.size() || text_[at_] == ')';
  }

  Result<SparseQuery> list(std::size_t depth) {
    if (depth > kMaxQueryDepth) return fail(ErrorCode::kTooLarge, "the query at byte {}: more than {} levels", at_, kMaxQueryDepth);
    const std::size_t begin = at_;
    std::vector<Part> parts;
    while (!at_end_of_list()) {
      const std::size_t sign = at_;
      if (take("OR")) {
        if (parts.empty() || at_end_of_list()) return wrong_at(sign, "OR stands between two parts");
        continue;
      }
      STOA_TRY(part, conjunction(depth));
      if (part) parts.push_back(std::move(*part));
    }
    return combine(std::move(parts), begin);
  }

  // Parts with AND between them. Nothing, where the text has no word.
  Result<std::optional<Part>> conjunction(std::size_t depth) {
    skip_space();
    const std::size_t begin = at_;
    STOA_TRY(first, signed_part(depth));
    std::vector<Part> parts;
    if (first) parts.push_back(std::move(*first));
    bool is_joined = false;
    for (std::size_t sign = (skip_space(), at_); take("AND"); sign = (skip_space(), at_)) {
      if (at_end_of_list() || sign == begin) return wrong_at(sign, "AND stands between two parts");
      is_joined = true;
      STOA_TRY(part, signed_part(depth));
      if (part) parts.push_back(std::move(*part));
    }
    if (parts.empty()) return std::nullopt;
    if (!is_joined) return std::move(parts[0]);
    for (auto& part : parts) part.is_required = !part.is_negative && !(part.is_stop_word && parts.size() > 1);
    STOA_TRY(query, combine(std::move(parts), begin));
    return Part{std::move(query), begin};
  }

  Result<std::optional<Part>> signed_part(std::size_t depth) {
    skip_space();
    const std::size_t begin = at_;
    bool is_negative = false, is_required = false;
    if (take("AND") || take("OR")) return wrong_at(begin, "an operator stands between two parts");
    if (take("NOT")) {
      is_negative = true;
      if (at_end_of_list()) return wrong_at(begin, "NOT stands before a part");
    } else if (at_ + 1 < text_.size() && (text_[at_] == '+' || text_[at_] == '-') && !is_space(text_[at_ + 1]) && text_[at_ + 1] != ')') {
      (text_[at_] == '+' ? is_required : is_negative) = true;
      ++at_;
    }
    STOA_TRY(part, primary(depth, is_negative || is_required));
    if (!part) return std::nullopt;
    part->begin = begin;
    part->is_negative = is_negative;
    part->is_required = is_required;
    if (is_negative || is_required) part->is_stop_word = false;
    return std::move(part);
  }

  Result<std::optional<Part>> primary(std::size_t depth, bool is_signed) {
    std::optional<Part> part;
    if (take('(')) {
      const std::size_t begin = at_ - 1;
      STOA_TRY(query, list(depth + 1));
      if (!take(')')) return wrong_at(begin, "the parenthesis is never closed");
      if (!query.clauses.empty()) part = Part{std::move(query)};
    } else if (take('"')) {
      STOA_TRY(found, quoted());
      part = std::move(found);
    } else {
      STOA_TRY(found, word(is_signed));
      part = std::move(found);
    }
    STOA_TRY(boost, boost_of());
    if (part) part->query.boost = boost;
    return part;
  }

  Result<std::optional<Part>> quoted() {
    const std::size_t begin = at_ - 1;
    std::string inner;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      inner += text_[at_++];
    }
    if (!take('"')) return wrong_at(begin, "the quotation mark is never closed");
    std::uint32_t slop = 0;
    if (take('~')) {
      STOA_TRY(number, count(kMaxSlop, "the number of words between those of a phrase"));
      slop = number;
    }
    return words_of(inner, true, slop);
  }

  Result<std::optional<Part>> word(bool is_signed) {
    std::string inner;
    const std::size_t begin = at_;
    bool is_prefix = false, is_near = false;
    while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ')' && text_[at_] != '(' && text_[at_] != '"') {
      const char c = text_[at_];
      if ((c == '*' || c == '~' || c == '^') && ends_word(at_)) break;
      if (c == '\\' && at_ + 1 < text_.size()) ++at_;
      inner += text_[at_++];
    }
    if (at_ == begin && at_ < text_.size() && text_[at_] != '*' && text_[at_] != '~' && text_[at_] != '^') ++at_;
    is_prefix = take('*');
    int distance = 0;
    if (!is_prefix && take('~')) {
      is_near = true;
      if (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        STOA_TRY(number, count(2, "the number of letters that may differ"));
        distance = static_cast<int>(number);
      } else {
        distance = -1;
      }
    }
    if (is_prefix) return prefix_of(inner, begin);
    if (is_near && distance != 0) return near_spellings_of(inner, distance);
    return words_of(inner, is_signed, 0);
  }

  // Whether a sign is the end of its word: behind it comes nothing, or a number and other such signs.
  bool ends_word(std::size_t at) const {
    for (++at; at < text_.size(); ++at) {
      const char c = text_[at];
      if (is_space(c) || c == ')') return true;
      if (!(c >= '0' && c <= '9') && c != '.' && c != '^' && c != '~') return false;
    }
    return true;
  }

  Result<std::uint32_t> count(std::uint32_t most, std::string_view what) {
    std::uint32_t number = 0;
    const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    if (status != std::errc() || number > most) return fail(ErrorCode::kInvalidArgument, "the query at byte {}: {} is 0 to {}", at_, what, most);
    at_ = static_cast<std::size_t>(end - text_.data());
    return number;
  }

  Result<double> boost_of() {
    if (!take('^')) return 1.0;
    double boost = 0;
    const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), boost, std::chars_format::fixed);
    if (status != std::errc() || !(boost > 0 && boost <= kMaxBoost)) return fail(ErrorCode::kInvalidArgument, "the query at byte {}: a weight is above 0 and at most {}", at_, kMaxBoost);
    at_ = static_cast<std::size_t>(end - text_.data());
    return boost;
  }

  Status count_terms(std::size_t more) {
    if ((terms_ += more) <= kMaxQueryTerms) return {};
    return fail(ErrorCode::kTooLarge, "the query at byte {}: more than {} words", at_, kMaxQueryTerms);
  }

  Status count_pattern() {
    if (++patterns_ > kMaxQueryPatterns) return fail(ErrorCode::kTooLarge, "the query at byte {}: more than {} words with * or ~", at_, kMaxQueryPatterns);
    return count_terms(1);
  }

  Result<std::optional<Part>> prefix_of(std::string_view text, std::size_t begin) {
    Part part;
    part.query.kind = SparseQuery::Kind::kPrefix;
    part.query.text = analyzer_.prefix(text);
    if (part.query.text.size() < 2) return wrong_at(begin, "at least two letters stand before a *");
    analyzer_.analyse(text, Analyzer::Purpose::kQuery, words_);
    if (!words_.tokens.empty()) part.query.stem = words_.term(words_.tokens[0]);
    STOA_CHECK(count_pattern());
    return part;
  }

  Result<std::optional<Part>> near_spellings_of(std::string_view text, int distance) {
    analyzer_.analyse(text, Analyzer::Purpose::kQuery, words_);
    if (words_.tokens.size() != 1) return words_of(text, false, 0);
    Part part;
    part.query.kind = SparseQuery::Kind::kFuzzy;
    part.query.text = words_.term(words_.tokens[0]);
    const auto letters = static_cast<std::size_t>(std::ranges::count_if(part.query.text, [](char c) { return (c & 0xC0) != 0x80; }));
    part.query.distance = distance > 0 ? distance : letters < kShortWord ? 1 : 2;
    STOA_CHECK(count_pattern());
    return part;
  }

  // The terms of a text: one, a phrase, or a bag of them. Nothing, where it has none.
  Result<std::optional<Part>> words_of(std::string_view text, bool is_phrase, std::uint32_t slop) {
    analyzer_.analyse(text, Analyzer::Purpose::kQuery, words_);
    if (words_.tokens.empty()) return std::nullopt;
    STOA_CHECK(count_terms(words_.tokens.size()));
    Part part;
    part.is_stop_word = !is_phrase && std::ranges::all_of(words_.tokens, &Token::is_stop_word);
    if (words_.tokens.size() == 1) {
      part.query = SparseQuery::term(std::string(words_.term(words_.tokens[0])));
    } else if (is_phrase) {
      part.query.kind = SparseQuery::Kind::kPhrase;
      part.query.slop = slop;
      for (const auto& token : words_.tokens) part.query.words.push_back({std::string(words_.term(token)), token.position - words_.tokens[0].position});
    } else {
      for (const auto& token : words_.tokens) {
        if (part.is_stop_word || !token.is_stop_word) part.query.clauses.push_back({Occur::kShould, SparseQuery::term(std::string(words_.term(token)))});
      }
    }
    return part;
  }

  // Parts side by side. Stop words go where others stay, and bags in a bag are one, so that text without signs is a plain query.
  Result<SparseQuery> combine(std::vector<Part> parts, std::size_t begin) const {
    if (!std::ranges::all_of(parts, &Part::is_stop_word)) std::erase_if(parts, &Part::is_stop_word);
    if (!parts.empty() && std::ranges::all_of(parts, &Part::is_negative)) return wrong_at(begin, "it only says what must not be there");
    SparseQuery query;
    for (auto& part : parts) {
      const bool is_bag = part.query.kind == SparseQuery::Kind::kBoolean && part.query.boost == 1 && std::ranges::all_of(part.query.clauses, [](const SparseClause& c) { return c.occur == Occur::kShould; });
      if (is_bag && !part.is_negative && !part.is_required) {
        std::ranges::move(part.query.clauses, std::back_inserter(query.clauses));
      } else {
        query.clauses.push_back({part.is_negative ? Occur::kMustNot : part.is_required ? Occur::kMust : Occur::kShould, std::move(part.query)});
      }
    }
    return query;
  }

  std::string_view text_;
  Analyzer& analyzer_;
  AnalysedText words_;
  std::size_t at_ = 0;
  std::size_t terms_ = 0, patterns_ = 0;
};

}  // namespace

SparseQuery plain_query(std::string_view text, Analyzer& analyzer) {
  AnalysedText words;
  analyzer.analyse(text.substr(0, std::min(text.size(), kMaxQueryBytes)), Analyzer::Purpose::kQuery, words);
  const bool all = std::ranges::all_of(words.tokens, &Token::is_stop_word);
  SparseQuery query;
  for (const auto& token : words.tokens) {
    if (query.clauses.size() == kMaxQueryTerms) break;
    if (all || !token.is_stop_word) query.clauses.push_back({Occur::kShould, SparseQuery::term(std::string(words.term(token)))});
  }
  return query;
}

Result<SparseQuery> parse_query(std::string_view text, Analyzer& analyzer) {
  if (text.size() > kMaxQueryBytes) return fail(ErrorCode::kTooLarge, "a query has at most {} bytes, this one has {}", kMaxQueryBytes, text.size());
  return QueryParser(text, analyzer).parse();
}

}  // namespace stoa::data
