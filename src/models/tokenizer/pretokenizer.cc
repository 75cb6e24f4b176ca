#include "models/tokenizer/pretokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "models/tokenizer/deepseek_letters.h"

namespace stoa::models {
namespace {

using namespace unicode;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One pass over text[begin, end): a stretch that the expressions see as a whole (their "end of text" is `end`).
class Cutter {
 public:
  Cutter(const UnicodeTable& table, std::string_view text, std::size_t begin, std::size_t end) : table_(table), text_(text), begin_(begin), end_(end) {}

  void gpt2(std::vector<std::size_t>& ends) {
    for (std::size_t at = begin_; at < end_; ends.push_back(at)) at = gpt2_word(at);
  }
  // `digits`: longest run of digits in one word.
  void llama3(int digits, std::vector<std::size_t>& ends) {
    for (std::size_t at = begin_; at < end_; ends.push_back(at)) at = llama3_word(at, digits);
  }
  void tekken(bool gpt4o, std::vector<std::size_t>& ends) {
    for (std::size_t at = begin_; at < end_; ends.push_back(at)) at = tekken_word(at, gpt4o);
  }
  void deepseek3(std::vector<std::size_t>& ends) {
    for (std::size_t at = begin_; at < end_; ends.push_back(at)) at = deepseek3_word(at);
  }

 private:
  struct Seen {
    std::uint8_t flags = 0;
    std::uint8_t size = 0;  // 0 at the end of the stretch
  };
  Seen see(std::size_t at) const {
    if (at >= end_) return {};
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (byte < 0x80) return {table_.ascii(byte), 1};
    const auto rune = next_rune(text_, at);
    return {table_.flags(rune.value), rune.size};
  }
  char byte(std::size_t at) const { return at < end_ ? text_[at] : '\0'; }
  static bool other(Seen seen) { return seen.size != 0 && !(seen.flags & (kSpace | kLetter | kNumber)); }

  // The end of the run of characters with any of `mask`.
  std::size_t run(std::size_t at, std::uint8_t mask) const {
    for (auto seen = see(at); seen.flags & mask; seen = see(at)) at += seen.size;
    return at;
  }
  std::size_t run_other(std::size_t at) const {
    for (auto seen = see(at); other(seen); seen = see(at)) at += seen.size;
    return at;
  }

  // 's|'t|'re|'ve|'m|'ll|'d at `at`, which holds an apostrophe. The end, or kNone.
  std::size_t contraction(std::size_t at, bool any_case) const {
    const auto lower = [&](std::size_t i) -> char {
      const char c = byte(i);
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    const char first = lower(at + 1), second = lower(at + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) return at + 3;
    return kNone;
  }

  // \s+(?!\S)|\s+ for the run of spaces that starts at `at`: all of it at the end of the stretch, else all but the last character.
  std::size_t spaces(std::size_t at) const {
    std::size_t last = at, stop = at;
    for (auto seen = see(stop); seen.flags & kSpace; seen = see(stop)) {
      last = stop;
      stop += seen.size;
    }
    return stop < end_ && last > at ? last : stop;
  }

  // \s*[\r\n]+ : up to the last line break of the run of spaces at `at`; kNone when it has none.
  std::size_t line_breaks(std::size_t at) const {
    std::size_t found = kNone;
    for (auto seen = see(at); seen.flags & kSpace; seen = see(at)) {
      if (text_[at] == '\r' || text_[at] == '\n') found = at + 1;
      at += seen.size;
    }
    return found;
  }

  std::size_t gpt2_word(std::size_t at) const {
    if (text_[at] == '\'')
      if (const auto stop = contraction(at, false); stop != kNone) return stop;
    const std::size_t start = text_[at] == ' ' ? at + 1 : at;
    const Seen seen = see(start);
    if (seen.flags & kLetter) return run(start, kLetter);
    if (seen.flags & kNumber) return run(start, kNumber);
    if (other(seen)) return run_other(start);
    return spaces(at);
  }

  std::size_t digits(std::size_t at, int most) const {
    for (auto seen = see(at); most > 0 && (seen.flags & kNumber); seen = see(at), --most) at += seen.size;
    return at;
  }

  // " ?[^\s\p{L}\p{N}]+" and what of `tail` follows; kNone when it does not match.
  std::size_t symbols(std::size_t at, std::string_view tail) const {
    const std::size_t start = text_[at] == ' ' ? at + 1 : at;
    if (!other(see(start))) return kNone;
    std::size_t stop = run_other(start);
    while (stop < end_ && tail.find(text_[stop]) != std::string_view::npos) ++stop;
    return stop;
  }

  std::size_t rest(std::size_t at, std::string_view tail) const {
    if (const auto stop = symbols(at, tail); stop != kNone) return stop;
    if (const auto stop = line_breaks(at); stop != kNone) return stop;
    const auto stop = spaces(at);
    return stop > at ? stop : at + see(at).size;
  }

  bool may_lead(std::size_t at, Seen seen) const { return !(seen.flags & (kLetter | kNumber)) && text_[at] != '\r' && text_[at] != '\n'; }

  std::size_t llama3_word(std::size_t at, int most_digits) const {
    if (text_[at] == '\'')
      if (const auto stop = contraction(at, true); stop != kNone) return stop;
    const Seen seen = see(at);
    if (seen.flags & kLetter) return run(at, kLetter);
    if (may_lead(at, seen) && (see(at + seen.size).flags & kLetter)) return run(at + seen.size, kLetter);
    if (seen.flags & kNumber) return digits(at, most_digits);
    return rest(at, "\r\n");
  }

  // U and W of the tekken expressions.
  static bool upper(Seen seen) { return (seen.flags & kMark) || ((seen.flags & kLetter) && !(seen.flags & kLower)); }
  static bool lower(Seen seen) { return (seen.flags & kMark) || ((seen.flags & kLetter) && !(seen.flags & kUpper)); }
  // U*W+ with the backtracking a regular expression does: U* takes all it can, and gives back until W+ can match.
  std::size_t upper_then_lower(std::size_t at) const {
    std::size_t given_back = kNone;
    Seen seen = see(at);
    for (; upper(seen); seen = see(at)) {
      if (lower(seen)) given_back = at + seen.size;
      at += seen.size;
    }
    if (!lower(seen)) return given_back;
    for (; lower(seen); seen = see(at)) at += seen.size;
    return at;
  }
  // U+W*
  std::size_t upper_run(std::size_t at) const {
    const std::size_t start = at;
    for (auto seen = see(at); upper(seen); seen = see(at)) at += seen.size;
    if (at == start) return kNone;
    for (auto seen = see(at); lower(seen); seen = see(at)) at += seen.size;
    return at;
  }

  std::size_t tekken_word(std::size_t at, bool gpt4o) const {
    const Seen seen = see(at);
    const bool lead = may_lead(at, seen);
    std::size_t stop = kNone;
    if (lead) stop = upper_then_lower(at + seen.size);
    if (stop == kNone) stop = upper_then_lower(at);
    if (stop == kNone && lead) stop = upper_run(at + seen.size);
    if (stop == kNone) stop = upper_run(at);
    if (stop != kNone) {
      if (gpt4o && byte(stop) == '\'')
        if (const auto longer = contraction(stop, true); longer != kNone) return longer;
      return stop;
    }
    if (seen.flags & kNumber) return digits(at, gpt4o ? 3 : 1);
    return rest(at, "\r\n/");
  }

  std::size_t deepseek3_word(std::size_t at) const {
    const auto ascii_letter = [&](std::size_t i) { return (byte(i) >= 'a' && byte(i) <= 'z') || (byte(i) >= 'A' && byte(i) <= 'Z'); };
    const Seen seen = see(at);
    const bool ascii_punctuation = static_cast<unsigned char>(text_[at]) < 0x80 && (seen.flags & (kPunctuation | kSymbol));
    if (ascii_punctuation && ascii_letter(at + 1)) {
      std::size_t stop = at + 1;
      while (ascii_letter(stop)) ++stop;
      return stop;
    }
    constexpr std::uint8_t kWord = kLetter | kMark, kSign = kPunctuation | kSymbol;
    const bool leads = !(seen.flags & (kLetter | kSign)) && text_[at] != '\r' && text_[at] != '\n';
    if (leads && (see(at + seen.size).flags & kWord)) return run(at + seen.size, kWord);
    if (seen.flags & kWord) return run(at, kWord);
    const std::size_t start = text_[at] == ' ' ? at + 1 : at;
    if (see(start).flags & kSign) {
      std::size_t stop = run(start, kSign);
      while (byte(stop) == '\r' || byte(stop) == '\n') ++stop;
      return stop;
    }
    if (const auto stop = line_breaks(at); stop != kNone) return stop;
    const auto stop = spaces(at);
    if (stop > at) return stop;
    // No alternative matches here: the stretch up to the next match is one word.
    return unmatched(at);
  }
  std::size_t unmatched(std::size_t at) const {
    constexpr std::uint8_t kKnown = kLetter | kMark | kPunctuation | kSymbol | kSpace;
    for (auto seen = see(at); seen.size != 0; seen = see(at)) {
      if (seen.flags & kKnown) break;
      const auto next = see(at + seen.size);
      if (next.flags & (kLetter | kMark) && !(seen.flags & (kLetter | kPunctuation | kSymbol))) break;
      at += seen.size;
    }
    return at;
  }

  const UnicodeTable& table_;
  std::string_view text_;
  std::size_t begin_, end_;
};

// One expression of a family that cuts step by step: matches become words, and so does what lies between them.
// `match(begin, end)` gives the end of a match that starts at begin, or begin for none.
template <class Match>
void isolate(std::string_view text, std::vector<std::size_t>& ends, Match match) {
  std::vector<std::size_t> out;
  out.reserve(ends.size() + ends.size() / 2);
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    std::size_t word = begin;
    for (std::size_t at = begin; at < end;) {
      const std::size_t stop = match(at, end);
      if (stop > at) {
        if (word < at) out.push_back(at);
        out.push_back(stop);
        word = at = stop;
      } else {
        at += next_rune(text, at).size;
      }
    }
    if (word < end) out.push_back(end);
    begin = end;
  }
  ends.swap(out);
}

bool in(char32_t rune, char32_t first, char32_t last) { return rune >= first && rune <= last; }

bool deepseek_letter(char32_t rune) {
  const auto* range = std::upper_bound(std::begin(kDeepSeekLetters), std::end(kDeepSeekLetters), rune, [](char32_t value, const RuneRange& r) { return value < r.first; });
  return range != std::begin(kDeepSeekLetters) && rune <= std::prev(range)->last;
}
bool deepseek_punctuation(char32_t rune) {
  return in(rune, '!', '/') || in(rune, ':', '~') || in(rune, 0xFF01, 0xFF0F) || in(rune, 0xFF1A, 0xFF5E) || in(rune, 0x2018, 0x201F) || in(rune, 0x3000, 0x3002);
}

// [class]+ with an optional white space before it.
template <class Class>
auto runs_of(std::string_view text, Class is_member, const UnicodeTable* leading_space) {
  return [text, is_member, leading_space](std::size_t at, std::size_t end) {
    std::size_t start = at;
    if (leading_space != nullptr) {
      const auto rune = next_rune(text, at);
      if ((leading_space->flags(rune.value) & kSpace) && !is_member(rune.value)) start += rune.size;
    }
    std::size_t stop = start;
    while (stop < end) {
      const auto rune = next_rune(text, stop);
      if (!is_member(rune.value)) break;
      stop += rune.size;
    }
    return stop > start ? stop : at;
  };
}

void deepseek_llm(const UnicodeTable& table, std::string_view text, std::vector<std::size_t>& ends) {
  isolate(text, ends, [&](std::size_t at, std::size_t) { return text[at] == '\r' || text[at] == '\n' ? at + 1 : at; });
  isolate(text, ends, runs_of(text, deepseek_letter, &table));
  isolate(text, ends, runs_of(text, deepseek_punctuation, &table));
  // \s+$ : the spaces at the end of a stretch. One look at the last character decides whether to look for their start.
  isolate(text, ends, [&, space_until = std::size_t{0}](std::size_t at, std::size_t end) mutable {
    if (at < space_until) return at;
    std::size_t stop = at;
    while (stop < end) {
      const auto rune = next_rune(text, stop);
      if (!(table.flags(rune.value) & kSpace)) break;
      stop += rune.size;
    }
    if (stop == end) return stop;
    space_until = stop;
    return at;
  });
  isolate(text, ends, runs_of(text, [](char32_t r) { return in(r, 0x4E00, 0x9FA5) || in(r, 0x800, 0x4E00) || in(r, 0xAC00, 0xD7FF); }, nullptr));
  isolate(text, ends, runs_of(text, [&](char32_t r) { return (table.flags(r) & kNumber) != 0; }, nullptr));
}

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_of_gguf(std::string_view name) {
  constexpr std::pair<std::string_view, PreTokenizer> kNames[] = {
      {"default", PreTokenizer::kGpt2},       {"gpt-2", PreTokenizer::kGpt2},        {"phi-2", PreTokenizer::kGpt2},
      {"mpt", PreTokenizer::kGpt2},           {"olmo", PreTokenizer::kGpt2},         {"smollm", PreTokenizer::kSmolLm},
      {"starcoder", PreTokenizer::kSmolLm},   {"refact", PreTokenizer::kSmolLm},     {"command-r", PreTokenizer::kSmolLm},
      {"codeshell", PreTokenizer::kSmolLm},   {"llama3", PreTokenizer::kLlama3},     {"llama-v3", PreTokenizer::kLlama3},
      {"llama-bpe", PreTokenizer::kLlama3},   {"falcon3", PreTokenizer::kLlama3},    {"smaug-bpe", PreTokenizer::kLlama3},
      {"dbrx", PreTokenizer::kLlama3},        {"chatglm-bpe", PreTokenizer::kLlama3}, {"qwen2", PreTokenizer::kQwen2},
      {"stablelm2", PreTokenizer::kQwen2},    {"deepseek-r1-qwen", PreTokenizer::kQwen2}, {"tekken", PreTokenizer::kTekken},
      {"gpt-4o", PreTokenizer::kGpt4o},       {"llama4", PreTokenizer::kGpt4o},      {"deepseek-llm", PreTokenizer::kDeepSeekLlm},
      {"deepseek-v3", PreTokenizer::kDeepSeek3},
  };
  for (const auto& [known, family] : kNames)
    if (known == name) return family;
  return std::nullopt;
}

std::optional<PreTokenizer> pre_tokenizer_of_regex(std::string_view regex) {
  constexpr std::pair<std::string_view, PreTokenizer> kExpressions[] = {
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", PreTokenizer::kGpt2},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", PreTokenizer::kLlama3},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", PreTokenizer::kQwen2},
      {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       PreTokenizer::kTekken},
      {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       PreTokenizer::kGpt4o},
  };
  for (const auto& [known, family] : kExpressions)
    if (known == regex) return family;
  return std::nullopt;
}

void split_words(PreTokenizer family, const UnicodeTable& table, std::string_view text, std::vector<std::size_t>& ends) {
  ends.clear();
  if (text.empty()) return;
  const auto number_at = [&](std::size_t at) -> std::size_t {
    const auto rune = next_rune(text, at);
    return table.flags(rune.value) & kNumber ? rune.size : 0;
  };
  // Cuts each stretch of `stretches` again with `cut`.
  const auto refine = [&](const std::vector<std::size_t>& stretches, auto cut) {
    std::size_t begin = 0;
    for (const std::size_t end : stretches) {
      cut(Cutter(table, text, begin, end), begin, end);
      begin = end;
    }
  };
  Cutter whole(table, text, 0, text.size());
  switch (family) {
    case PreTokenizer::kNone: ends.push_back(text.size()); return;
    case PreTokenizer::kGpt2: whole.gpt2(ends); return;
    case PreTokenizer::kLlama3: whole.llama3(3, ends); return;
    case PreTokenizer::kQwen2: whole.llama3(1, ends); return;
    case PreTokenizer::kTekken: whole.tekken(false, ends); return;
    case PreTokenizer::kGpt4o: whole.tekken(true, ends); return;
    case PreTokenizer::kDeepSeekLlm: {
      ends.push_back(text.size());
      deepseek_llm(table, text, ends);
      return;
    }
    case PreTokenizer::kSmolLm: {
      for (std::size_t begin = 0, at = 0; at < text.size();) {
        const std::size_t digit = number_at(at);
        const std::size_t size = digit != 0 ? digit : next_rune(text, at).size;
        if (digit != 0) {
          if (begin < at) Cutter(table, text, begin, at).gpt2(ends);
          ends.push_back(at + size);
          begin = at + size;
        }
        at += size;
        if (at == text.size() && begin < at) Cutter(table, text, begin, at).gpt2(ends);
      }
      return;
    }
    case PreTokenizer::kDeepSeek3: {
      std::vector<std::size_t> stretches{text.size()};
      isolate(text, stretches, [&](std::size_t at, std::size_t end) {
        for (int i = 0; i < 3 && at < end; ++i) {
          const std::size_t size = number_at(at);
          if (size == 0) break;
          at += size;
        }
        return at;
      });
      isolate(text, stretches, runs_of(text, [](char32_t r) { return in(r, 0x4E00, 0x9FA5) || in(r, 0x3040, 0x30FF); }, nullptr));
      refine(stretches, [&](Cutter cutter, std::size_t, std::size_t) { cutter.deepseek3(ends); });
      return;
    }
  }
}

}  // namespace stoa::models
