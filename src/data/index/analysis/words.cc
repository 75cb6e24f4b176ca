#include "data/index/analysis/words.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <unicode/brkiter.h>
#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

namespace stoa::data {
namespace {

constexpr std::size_t kMaxWord = 64;         // bytes; the rest of a longer word is dropped: it is data, not language
constexpr std::size_t kMaxPiece = 1u << 20;  // bytes that are normalised at once

bool is_ascii_byte(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Lower case of letters and digits, zero for what separates words.
constexpr auto kFolded = [] {
  std::array<char, 128> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = table[static_cast<std::size_t>(c - 'a' + 'A')] = c;
  return table;
}();

char folded(char c) { return is_ascii_byte(c) ? kFolded[static_cast<std::size_t>(c)] : '\0'; }

enum class Kind { kNone, kLetter, kIdeograph, kKana, kHangul, kDictionary };

Kind kind_of(UChar32 rune) {
  if (rune < 0x80) return kFolded[static_cast<std::size_t>(rune)] != 0 ? Kind::kLetter : Kind::kNone;
  if (!u_isalnum(rune) && (U_GET_GC_MASK(rune) & U_GC_M_MASK) == 0) return Kind::kNone;
  UErrorCode status = U_ZERO_ERROR;
  switch (uscript_getScript(rune, &status)) {
    case USCRIPT_HAN: return Kind::kIdeograph;
    case USCRIPT_HIRAGANA: case USCRIPT_KATAKANA: return Kind::kKana;
    case USCRIPT_HANGUL: return Kind::kHangul;
    case USCRIPT_THAI: case USCRIPT_LAO: case USCRIPT_KHMER: case USCRIPT_MYANMAR: return Kind::kDictionary;
    default: return Kind::kLetter;
  }
}

}  // namespace

struct WordCutter::Unicode {
  struct Rune {
    Kind kind;
    std::int32_t begin, end;  // in `folded`
  };

  explicit Unicode(const Language& language) {
    UErrorCode status = U_ZERO_ERROR;
    normalizer = language.dotless_i ? icu::Normalizer2::getNFKCInstance(status) : icu::Normalizer2::getNFKCCasefoldInstance(status);
    if (U_FAILURE(status)) normalizer = nullptr;
  }

  // Text beyond ASCII from `from` to `to`, folded, with the way back to its bytes.
  void fold(std::string_view text, bool dotless_i) {
    folded.clear();
    edits.reset();
    UErrorCode status = U_ZERO_ERROR;
    icu::StringByteSink<std::string> out(&folded, static_cast<std::int32_t>(text.size()));
    const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
    if (normalizer != nullptr) normalizer->normalizeUTF8(0, source, out, &edits, status);
    if (normalizer == nullptr || U_FAILURE(status)) {
      folded = text;
      edits.reset();
      edits.addUnchanged(static_cast<std::int32_t>(text.size()));
    }
    if (!dotless_i) return;
    std::string turkic;
    icu::StringByteSink<std::string> turkic_out(&turkic, static_cast<std::int32_t>(folded.size()));
    icu::Edits second, both;
    status = U_ZERO_ERROR;
    icu::CaseMap::utf8Fold(U_FOLD_CASE_EXCLUDE_SPECIAL_I, {folded.data(), static_cast<std::int32_t>(folded.size())}, turkic_out, &second, status);
    both.mergeAndAppend(edits, second, status);
    if (U_FAILURE(status)) return;
    folded = std::move(turkic);
    edits = both;
  }

  // Bytes of the source that folded bytes [begin, end) were made from. Asked in ascending order, this costs next to nothing.
  std::pair<std::uint32_t, std::uint32_t> source(std::int32_t begin, std::int32_t end) {
    UErrorCode status = U_ZERO_ERROR;
    std::uint32_t from = 0, to = 0;
    if (back.findDestinationIndex(begin, status)) from = static_cast<std::uint32_t>(back.sourceIndex() + (back.hasChange() ? 0 : begin - back.destinationIndex()));
    if (back.findDestinationIndex(end - 1, status)) {
      to = static_cast<std::uint32_t>(back.sourceIndex() + (back.hasChange() ? back.oldLength() : end - back.destinationIndex()));
    }
    return {from, to};
  }

  // Boundaries of the words of a run of Thai, Lao, Khmer or Burmese (and by kDictionary, of ideographs and kana), as offsets in the run, without its beginning.
  void words_of(std::string_view run, std::vector<std::int32_t>& ends) {
    ends.clear();
    UErrorCode status = U_ZERO_ERROR;
    if (words == nullptr) words.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
    UText* text = utext_openUTF8(nullptr, run.data(), static_cast<std::int64_t>(run.size()), &status);
    if (words != nullptr && U_SUCCESS(status)) words->setText(text, status);
    if (words != nullptr && U_SUCCESS(status)) {
      words->first();
      for (std::int32_t end = words->next(); end != icu::BreakIterator::DONE; end = words->next()) ends.push_back(end);
    }
    utext_close(text);
    if (ends.empty()) ends.push_back(static_cast<std::int32_t>(run.size()));
  }

  const icu::Normalizer2* normalizer = nullptr;
  std::unique_ptr<icu::BreakIterator> words;
  std::string folded;
  icu::Edits edits;
  icu::Edits::Iterator back;
  std::vector<Rune> runes;
  std::vector<std::int32_t> ends;

  void cut(const Language& language, std::uint32_t offset, bool is_query, const Sink& sink);

 private:
  void emit(std::int32_t begin, std::int32_t end, std::uint32_t offset, bool shares_position, const Sink& sink) {
    const auto [from, to] = source(begin, end);
    const auto size = std::min<std::size_t>(static_cast<std::size_t>(end - begin), kMaxWord);
    std::size_t cut = size;  // up to the end of the character in which the limit lies
    while (cut < static_cast<std::size_t>(end - begin) && (folded[static_cast<std::size_t>(begin) + cut] & 0xC0) == 0x80) ++cut;
    sink({std::string_view(folded).substr(static_cast<std::size_t>(begin), cut), offset + from, offset + to, shares_position});
  }
};

void WordCutter::Unicode::cut(const Language& language, std::uint32_t offset, bool is_query, const Sink& sink) {
  const bool pairs = language.cjk == CjkWords::kBigrams;
  const auto kind_in = [&](UChar32 rune) {
    // The sound mark that lengthens a kana belongs to no script of its own.
    const Kind kind = language.cjk != CjkWords::kSingle && rune == 0x30FC ? Kind::kKana : kind_of(rune);
    return language.cjk == CjkWords::kDictionary && (kind == Kind::kIdeograph || kind == Kind::kKana) ? Kind::kDictionary : kind;
  };
  back = edits.getFineIterator();
  runes.clear();
  const auto size = static_cast<std::int32_t>(folded.size());
  for (std::int32_t at = 0; at < size;) {
    const std::int32_t begin = at;
    UChar32 rune;
    U8_NEXT(folded.data(), at, size, rune);
    runes.push_back({rune < 0 ? Kind::kNone : kind_in(rune), begin, at});
  }
  const auto is_paired = [&](Kind kind) { return pairs && (kind == Kind::kIdeograph || kind == Kind::kKana || kind == Kind::kHangul); };
  const auto is_single = [&](Kind kind) { return !pairs && (kind == Kind::kIdeograph || kind == Kind::kKana); };
  const auto run_end = [&](std::size_t i, auto&& belongs) {
    while (i < runes.size() && belongs(runes[i].kind)) ++i;
    return i;
  };
  for (std::size_t i = 0; i < runes.size();) {
    const Kind kind = runes[i].kind;
    if (kind == Kind::kNone) {
      ++i;
    } else if (is_single(kind)) {
      emit(runes[i].begin, runes[i].end, offset, false, sink);
      ++i;
    } else if (is_paired(kind)) {
      const std::size_t end = run_end(i, is_paired);
      const bool alone = end - i == 1;
      for (; i < end; ++i) {
        const bool single = alone || !is_query;
        if (single) emit(runes[i].begin, runes[i].end, offset, false, sink);
        if (i + 1 < end) emit(runes[i].begin, runes[i + 1].end, offset, single, sink);
      }
    } else if (kind == Kind::kDictionary) {
      const std::size_t end = run_end(i, [](Kind k) { return k == Kind::kDictionary; });
      const std::int32_t start = runes[i].begin;
      words_of(std::string_view(folded).substr(static_cast<std::size_t>(start), static_cast<std::size_t>(runes[end - 1].end - start)), ends);
      std::int32_t from = 0;
      for (const std::int32_t to : ends) {
        emit(start + from, start + to, offset, false, sink);
        from = to;
      }
      i = end;
    } else {
      const std::size_t end = run_end(i, [&](Kind k) { return k == Kind::kLetter || (k == Kind::kHangul && !pairs); });
      emit(runes[i].begin, runes[end - 1].end, offset, false, sink);
      i = end;
    }
  }
}

WordCutter::WordCutter(const Language& language) : language_(language) {}
WordCutter::~WordCutter() = default;
WordCutter::WordCutter(WordCutter&&) noexcept = default;

WordCutter::Unicode& WordCutter::unicode() {
  if (unicode_ == nullptr) unicode_ = std::make_unique<Unicode>(language_);
  return *unicode_;
}

void WordCutter::cut_ascii(std::string_view text, std::size_t from, std::size_t to, const Sink& sink) {
  for (std::size_t at = from; at < to;) {
    if (folded(text[at]) == 0) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    word_.clear();
    for (char c; at < to && (c = folded(text[at])) != 0; ++at) {
      if (word_.size() < kMaxWord) word_ += c;
    }
    sink({word_, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at), false});
  }
}

// What lies between ASCII characters that separate words and stand before ASCII is folded by itself: nothing composes across them. So text with a dash or
// a quotation mark here and there goes the fast way but for the words beside these.
void WordCutter::cut(std::string_view text, bool is_query, const Sink& sink) {
  const auto is_boundary = [&](std::size_t i) { return is_ascii_byte(text[i]) && folded(text[i]) == 0 && (i + 1 == text.size() || is_ascii_byte(text[i + 1])); };
  const auto is_slow = [&](char c) { return !is_ascii_byte(c) || (language_.dotless_i && c == 'I'); };
  std::size_t done = 0;
  while (done < text.size()) {
    const auto hit = static_cast<std::size_t>(std::find_if(text.begin() + static_cast<std::ptrdiff_t>(done), text.end(), is_slow) - text.begin());
    std::size_t start = hit;
    if (hit < text.size()) {
      while (start > done && !is_boundary(start - 1)) --start;
    }
    cut_ascii(text, done, start, sink);
    if (hit == text.size()) return;
    std::size_t end = hit + 1;
    while (end < text.size() && !is_boundary(end) && (end - start < kMaxPiece || (text[end] & 0xC0) == 0x80)) ++end;
    Unicode& wide = unicode();
    wide.fold(text.substr(start, end - start), language_.dotless_i);
    wide.cut(language_, static_cast<std::uint32_t>(start), is_query, sink);
    done = end;
  }
}

}  // namespace stoa::data
