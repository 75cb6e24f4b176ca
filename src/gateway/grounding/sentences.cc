#include "gateway/grounding/sentences.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include "data/index/analysis/languages.h"
#include "data/index/analysis/unspaced.h"

namespace stoa::gateway {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }
// Bytes of multi-byte characters count as letters.
bool is_word(char c) { return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_' || !is_ascii(c); }
bool joins_words(char c) { return c == '.' || c == '-' || c == '/' || c == '+' || c == '\'' || c == ':' || c == '@'; }

constexpr std::array<std::string_view, 14> kAbbreviations{"e.g", "i.e", "etc", "cf", "vs", "mr", "mrs", "dr", "st", "no", "fig", "sec", "approx", "resp"};
// Those that end a sentence, and what may follow them and still be of it: closing brackets and quotation marks.
constexpr auto kWideStops = std::to_array<std::string_view>({"\u3002", "\uff01", "\uff1f", "\uff61"});
constexpr auto kWideClosers = std::to_array<std::string_view>({"\u300d", "\u300f", "\u201d", "\u2019", "\uff09", "\u300b", "\u3011"});

// Words of grammar rather than meaning.
constexpr std::string_view kFunctionWords =
    " a about above after all also am an and any are aren't as at be because been before being below between both but by can can't cannot could did "
    "do does doesn't doing don't down during each few for from further had has have having he her here hers him his how i if in into is isn't it its "
    "itself just may me might more most must mustn't my neither never no none nor not of off on once only or other our out over own same shall she "
    "should shouldn't so some such than that the their them then there these they this those through to too under until up upon us very was we were "
    "what when where which while who whom why will with without won't would you your yours ";
// Those of Chinese, Japanese and Thai, as data::unspaced_words cuts them.
constexpr std::string_view kUnspacedFunctionWords =
    " 的 了 着 过 過 地 得 之 是 在 和 与 與 及 或 有 也 都 就 而 但 被 把 将 將 对 對 从 從 到 由 于 於 以 为 為 向 会 會 能 可以 应 應 应该 應該 需要 要 我 你 您 他 她 它 "
    "们 們 我们 我們 你们 他们 他們 其 这 這 那 这个 這個 那个 那個 这些 這些 那些 个 個 一个 一個 另 哪 哪个 哪個 哪些 哪里 哪裡 哪儿 什么 什麼 甚麼 怎么 怎麼 怎样 怎樣 如何 谁 誰 "
    "何时 何時 几 幾 多 多少 多久 多长 多長 吗 嗎 呢 吧 啊 请 請 请问 問 时候 時候 "
    "は が を に へ と で も の や か ね よ な だ です でし でしょう ます まし ま た て い う る れ さ せ し す っ ん ある あり ありま あっ いる おり おりま する して こと もの "
    "ため よう そう から まで より など では には とは その この あの どの それ これ あれ どれ そこ ここ どこ いつ なぜ どう いくつ いくら だれ なに なん 何 何時 くだ さい ください なり "
    "なる られ ら く "
    "ที่ ซึ่ง อัน และ หรือ แต่ ของ ใน บน จาก โดย กับ แก่ ต่อ ถึง เพื่อ เป็น คือ อยู่ มี ได้ ให้ ว่า จะ ถูก ก็ แล้ว "
    "นี้ นั้น ไว้ อะไร ไหน ที่ไหน ใคร กี่ เมื่อไร เมื่อไหร่ ทำไม อย่างไร ยังไง เท่าไร เท่าไหร่ แค่ บ้าง ไหม มั้ย "
    "ครับ ค่ะ คะ เขา เรา ฉัน ผม คุณ มัน ";
constexpr std::string_view kCounts = " one two three four five six seven eight nine ten eleven twelve dozen twenty hundred thousand million billion half several both once twice ";
constexpr std::string_view kCounted = " many much long old far tall high large big often ";
constexpr std::string_view kTimes = " year date century decade day month ";

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

// The mark of `marks` that `text` begins with, or nothing.
std::string_view mark_of(std::span<const std::string_view> marks, std::string_view text) {
  const auto found = std::ranges::find_if(marks, [&](std::string_view mark) { return text.starts_with(mark); });
  return found == marks.end() ? std::string_view() : *found;
}

// The end of a sentence whose wide stop is at `i`, or 0 when there is none: behind all stops and closers.
std::size_t wide_stop_at(std::string_view text, std::size_t i) {
  std::size_t end = i;
  for (std::string_view mark; !(mark = mark_of(kWideStops, text.substr(end))).empty();) end += mark.size();
  if (end == i) return 0;
  for (std::string_view mark; !(mark = mark_of(kWideClosers, text.substr(end))).empty();) end += mark.size();
  return end;
}

// The end of a sentence that stops at `i`, or 0 when none does.
std::size_t stop_at(std::string_view text, std::size_t i) {
  if (const std::size_t end = wide_stop_at(text, i); end > 0) return end;
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

std::size_t unspaced_size(std::string_view text, std::size_t i) { return is_ascii(text[i]) ? 0 : data::unspaced_prefix(text.substr(i)); }

// Words of scripts without spaces are those of a dictionary, and no capitals. What stands beside them is cut as everywhere.
template <class Visit>
void for_words(std::string_view text, Visit visit) {
  const auto say = [&](std::string word, bool capital) {
    if constexpr (std::is_invocable_v<Visit, std::string, bool>) visit(std::move(word), capital);
    else visit(std::move(word));
  };
  const auto unspaced_at = [&](std::size_t i) { return unspaced_size(text, i); };
  std::size_t i = 0;
  while (i < text.size()) {
    while (i < text.size() && !is_word(text[i])) ++i;
    if (i == text.size()) return;
    if (const std::size_t size = unspaced_at(i); size > 0) {
      for (std::string& word : data::unspaced_words(text.substr(i, size))) say(std::move(word), false);
      i += size;
      continue;
    }
    std::string word;
    const std::size_t begin = i;
    while (i < text.size() && unspaced_at(i) == 0) {
      const bool joined = joins_words(text[i]) && i + 1 < text.size() && is_word(text[i + 1]) && unspaced_at(i + 1) == 0;
      if (!is_word(text[i]) && !joined) break;
      word += is_capital(text[i]) ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
      ++i;
    }
    say(std::move(word), is_capital(text[begin]));
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

bool is_content(const std::string& word) { return (word.size() > 1 || is_digit(word[0])) && !listed(kFunctionWords, word) && !listed(kUnspacedFunctionWords, word); }

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

bool is_ended(std::string_view sentence) {
  const auto ends_it = [&](std::string_view mark) { return sentence.ends_with(mark); };
  return (!sentence.empty() && std::string_view(".!?\")]").contains(sentence.back())) || std::ranges::any_of(kWideStops, ends_it) || std::ranges::any_of(kWideClosers, ends_it);
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

bool is_unspaced(std::string_view text) {
  return std::ranges::any_of(std::views::iota(std::size_t{0}, text.size()), [&](std::size_t i) { return unspaced_size(text, i) > 0; });
}

std::string_view language_of(std::string_view text) {
  const auto languages = data::languages();
  std::vector<std::size_t> found(languages.size());
  for_words(text, [&](const std::string& word) {
    for (std::size_t i = 0; i < languages.size(); ++i) found[i] += std::ranges::binary_search(languages[i].stop_words, word) ? 1 : 0;
  });
  return languages[static_cast<std::size_t>(std::ranges::max_element(found) - found.begin())].name;  // the first of the best
}

bool is_negated(std::string_view text, const Negations& negations, std::string_view language) {
  const auto says_no = [&](std::string_view list, const std::string& word) {
    const auto words = negations.find(list);
    return words != negations.end() && words->second.contains(word);
  };
  bool negated = false;
  for_words(text, [&](const std::string& word) { negated = negated || says_no(kAnyLanguage, word) || says_no(language, word) || word.ends_with("n't"); });
  return negated;
}

double coverage(const std::set<std::string>& words, const std::set<std::string>& in) {
  if (words.empty()) return 1;
  const auto shared = std::ranges::count_if(words, [&](const std::string& word) { return in.contains(word); });
  return static_cast<double>(shared) / static_cast<double>(words.size());
}

}  // namespace stoa::gateway
