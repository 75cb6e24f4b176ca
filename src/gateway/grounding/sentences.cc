#include "gateway/grounding/sentences.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

namespace stoa::gateway {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
// Bytes of multi-byte characters count as letters.
bool is_word(char c) { return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0; }
bool joins_words(char c) { return c == '.' || c == '-' || c == '/' || c == '+' || c == '\'' || c == ':' || c == '@'; }

constexpr std::array<std::string_view, 14> kAbbreviations{"e.g", "i.e", "etc", "cf", "vs", "mr", "mrs", "dr", "st", "no", "fig", "sec", "approx", "resp"};
constexpr std::array<std::string_view, 3> kWideStops{"\u3002", "\uff01", "\uff1f"};

// Words of grammar rather than meaning.
constexpr std::string_view kFunctionWords =
    " a about above after all also am an and any are as at be because been before being below between both but by can could did do does doing "
    "down during each few for from further had has have having he her here hers him his how i if in into is it its itself just may me might "
    "more most must my of off on once only or other our out over own same shall she should so some such than that the their them then there "
    "these they this those through to too under until up upon us very was we were what when where which while who whom why will with would "
    "you your yours ";
constexpr std::string_view kCounts = " one two three four five six seven eight nine ten eleven twelve dozen twenty hundred thousand million billion half several both once twice ";
constexpr std::string_view kCounted = " many much long old far tall high large big often ";
constexpr std::string_view kTimes = " year date century decade day month ";
constexpr std::string_view kNegations = " not no never cannot without neither nor none can't don't doesn't isn't aren't mustn't shouldn't won't ";

bool listed(std::string_view list, std::string_view word) {
  const std::size_t at = list.find(word);
  if (word.empty() || at == std::string_view::npos) return false;
  // A word of the list stands between spaces; look on, since it may first occur inside another one.
  for (std::size_t i = at; i != std::string_view::npos; i = list.find(word, i + 1))
    if (list[i - 1] == ' ' && list[i + word.size()] == ' ') return true;
  return false;
}

std::string_view word_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && !is_space(text[begin - 1]) && text[begin - 1] != '(') --begin;
  return text.substr(begin, end - begin);
}

bool is_abbreviation(std::string_view text, std::size_t dot) {
  std::string word(word_before(text, dot));
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (word.size() == 1 && !is_digit(word[0])) return true;  // an initial
  return std::ranges::find(kAbbreviations, word) != kAbbreviations.end();
}

bool starts_list_item(std::string_view rest) {
  if (rest.empty()) return false;
  if ((rest[0] == '-' || rest[0] == '*') && rest.size() > 1 && rest[1] == ' ') return true;
  std::size_t digits = 0;
  while (digits < rest.size() && digits < 3 && is_digit(rest[digits])) ++digits;
  return digits > 0 && digits + 1 < rest.size() && (rest[digits] == '.' || rest[digits] == ')') && rest[digits + 1] == ' ';
}

// The end of a sentence that stops at `i`, or 0 when none does.
std::size_t stop_at(std::string_view text, std::size_t i) {
  for (const std::string_view stop : kWideStops)
    if (text.substr(i).starts_with(stop)) return i + stop.size();
  const char c = text[i];
  if (c == '\n') {
    std::size_t next = i + 1;
    while (next < text.size() && (text[next] == ' ' || text[next] == '\t' || text[next] == '\r')) ++next;
    const bool blank = next < text.size() && text[next] == '\n';
    return blank || starts_list_item(text.substr(next)) ? i + 1 : 0;
  }
  if (c != '.' && c != '!' && c != '?') return 0;
  std::size_t end = i + 1;
  while (end < text.size() && std::string_view(".!?\"')]").contains(text[end])) ++end;
  if (end < text.size() && !is_space(text[end])) return 0;
  std::size_t next = end;
  while (next < text.size() && is_space(text[next])) ++next;
  if (c == '.' && next < text.size() && (is_lower(text[next]) || is_abbreviation(text, i))) return 0;
  // "3. Item" is one list item, not a sentence "3."
  if (c == '.' && next < text.size()) {
    const std::string_view word = word_before(text, i);
    if (!word.empty() && word.size() <= 3 && std::ranges::all_of(word, is_digit) && (word.data() == text.data() || word.data()[-1] == '\n')) return 0;
  }
  return end;
}

template <class Visit>
void for_words(std::string_view text, Visit visit) {
  std::size_t i = 0;
  while (i < text.size()) {
    while (i < text.size() && !is_word(text[i])) ++i;
    std::string word;
    const std::size_t begin = i;
    while (i < text.size()) {
      const bool joined = joins_words(text[i]) && i + 1 < text.size() && is_word(text[i + 1]) && !word.empty();
      if (!is_word(text[i]) && !joined) break;
      word += is_capital(text[i]) ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
      ++i;
    }
    if (word.empty()) continue;
    if constexpr (std::is_invocable_v<Visit, std::string, bool>) visit(std::move(word), is_capital(text[begin]));
    else visit(std::move(word));
  }
}

// Enough to match "packages" with "package" and "installed" with "installing"; both sides go through it, so the stem need not be a word.
std::string stem(std::string word) {
  if (word.ends_with("'s")) word.resize(word.size() - 2);
  const auto is_name = [](char c) { return is_digit(c) || joins_words(c); };  // "2.0-1", "debian/rules"
  if (word.size() < 4 || std::ranges::any_of(word, is_name)) return word;
  if (word.ends_with("ies") && word.size() > 4) return word.substr(0, word.size() - 3) + "y";
  if (word.ends_with("sses") || word.ends_with("shes") || word.ends_with("ches") || word.ends_with("xes")) word.resize(word.size() - 2);
  else if (word.ends_with("s") && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is")) word.resize(word.size() - 1);
  for (const std::string_view suffix : {"ing", "ed"}) {
    if (!word.ends_with(suffix) || word.size() < suffix.size() + 3) continue;
    word.resize(word.size() - suffix.size());
    if (word[word.size() - 1] == word[word.size() - 2] && !word.ends_with("ss") && !word.ends_with("ll")) word.pop_back();
    break;
  }
  if (word.size() > 3 && word.ends_with("e")) word.pop_back();
  return word;
}

bool is_content(const std::string& word) { return (word.size() > 1 || is_digit(word[0])) && !listed(kFunctionWords, word) && !listed(kNegations, word); }

}  // namespace

std::vector<Sentence> split_sentences(std::string_view text, std::size_t max) {
  std::vector<Sentence> out;
  std::size_t begin = 0;
  const auto add = [&](std::size_t end) {
    while (begin < end && is_space(text[begin])) ++begin;
    std::size_t last = end;
    while (last > begin && is_space(text[last - 1])) --last;
    if (last > begin) out.push_back({begin, last});
    begin = end;
  };
  for (std::size_t i = 0; i < text.size() && out.size() + 1 < max; ++i) {
    const std::size_t end = stop_at(text, i);
    if (end == 0) continue;
    add(end);
    i = end - 1;
  }
  add(text.size());
  return out;
}

std::set<std::string> content_words(std::string_view text) {
  std::set<std::string> out;
  for_words(text, [&](std::string word) {
    if (is_content(word)) out.insert(stem(std::move(word)));
  });
  return out;
}

std::set<std::string> names_of(std::string_view text) {
  std::set<std::string> out;
  bool first = true;
  for_words(text, [&](std::string word, bool capital) {
    const bool named = (capital && !std::exchange(first, false)) || std::ranges::any_of(word, is_digit);
    first = false;
    if (named && is_content(word)) out.insert(stem(std::move(word)));
  });
  return out;
}

AnswerKind answer_kind(std::string_view question) {
  AnswerKind kind = AnswerKind::kAny;
  std::string before;
  for_words(question, [&](std::string word) {
    if (kind == AnswerKind::kAny) {
      const bool which = before == "what" || before == "which";
      if (word.starts_with("who") && word.size() <= 5) kind = AnswerKind::kName;  // who, whom, whose
      else if (word == "where") kind = AnswerKind::kName;
      else if (word == "when" || (which && listed(kTimes, word))) kind = AnswerKind::kTime;
      else if ((before == "how" && listed(kCounted, word)) || (which && (word == "percentage" || word == "percent" || word == "number"))) kind = AnswerKind::kCount;
    }
    before = std::move(word);
  });
  return kind;
}

bool has_answer_of(AnswerKind kind, std::string_view sentence, const std::set<std::string>& asked) {
  bool found = kind == AnswerKind::kAny;
  for_words(sentence, [&](std::string word, bool capital) {
    const bool digit = std::ranges::any_of(word, is_digit), counts = listed(kCounts, word);
    if (found || !(is_content(word) || counts)) return;
    if (kind == AnswerKind::kName) found = capital;
    if (kind == AnswerKind::kTime) found = digit;
    if (kind == AnswerKind::kCount) found = digit || counts;
    found = found && !asked.contains(stem(std::move(word)));
  });
  return found;
}

std::set<std::string> numbers_of(std::string_view text) {
  std::set<std::string> out;
  for_words(text, [&](std::string word) {
    if (std::ranges::any_of(word, is_digit)) out.insert(std::move(word));
  });
  return out;
}

bool is_negated(std::string_view text) {
  bool negated = false;
  for_words(text, [&](const std::string& word) { negated = negated || listed(kNegations, word) || word.ends_with("n't"); });
  return negated;
}

double coverage(const std::set<std::string>& words, const std::set<std::string>& in) {
  if (words.empty()) return 1;
  const auto shared = std::ranges::count_if(words, [&](const std::string& word) { return in.contains(word); });
  return static_cast<double>(shared) / static_cast<double>(words.size());
}

}  // namespace stoa::gateway
