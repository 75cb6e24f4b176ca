#include "data/index/analysis/analyzer.h"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>
#include <libstemmer.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>

namespace stoa::data {
namespace {

using Words = std::vector<std::string>;

Analyzer of(std::string_view language) { return std::move(*Analyzer::of(language)); }

TEST(Analyzer, Terms) {
  const struct {
    std::string_view language, text;
    Words terms;
  } cases[] = {{"english", "The Runners were running, RAN!", {"the", "runner", "were", "run", "ran"}},
               {"english", "libfoo-2.0 x86_64", {"libfoo", "2", "0", "x86", "64"}},
               {"english", "Stra\u00dfe \ufb01ne", {"strass", "fine"}},
               {"english", "na\u00efve caf\u00e9s", {"na\u00efve", "caf\u00e9s"}},
               {"english", "\u6f22\u5b57 ok", {"\u6f22", "\u5b57", "ok"}},
               {"english", "\xFF\xFE", {}},
               {"english", "", {}},
               {"english", "pass\u200bword soft\u00adware \u202Eevil\u202C a\u2066b", {"password", "softwar", "evil", "ab"}},
               {"german", "Die H\u00e4user der Stra\u00dfen", {"die", "haus", "der", "strass"}},
               {"swedish", "\u00c5terv\u00e4nda till \u00f6arna", {"\u00e5terv\u00e4nd", "till", "\u00f6arn"}},
               {"danish", "kr\u00e6fter \u00f8l", {"kr\u00e6ft", "\u00f8l"}},
               {"french", "L'\u00e9l\u00e8ve mangea", {"l", "elev", "mang"}},
               {"french", "universit\u00e9", {"univers", "universit"}},  // as it is written, and as many type it
               {"french", "universite", {"universit"}},
               {"spanish", "a\u00f1os informaci\u00f3n", {"a\u00f1os", "inform", "informacion"}},
               {"russian", "\u043a\u043d\u0438\u0433\u0438 \u043a\u043d\u0438\u0433\u0430\u043c\u0438", {"\u043a\u043d\u0438\u0433", "\u043a\u043d\u0438\u0433"}},
               {"turkish", "ISPARTA \u0130zmir", {"\u0131spar", "izmir"}},
               {"romanian", "\u0219tiin\u021b\u0103", {"stiint"}},
               {"generic", "\u0110i\u1ec7n tho\u1ea1i caf\u00e9s", {"dien", "thoai", "cafes"}},
               // "I go to school": in Thai by a dictionary, in every language.
               {"thai-is-no-name", "", {}},
               {"english", "\u0e09\u0e31\u0e19\u0e44\u0e1b\u0e42\u0e23\u0e07\u0e40\u0e23\u0e35\u0e22\u0e19", {"\u0e09\u0e31\u0e19", "\u0e44\u0e1b", "\u0e42\u0e23\u0e07\u0e40\u0e23\u0e35\u0e22\u0e19"}},
               {"chinese", "\u5317\u4eac\u5927\u5b66, iPhone15", {"\u5317", "\u5317\u4eac", "\u4eac", "\u4eac\u5927", "\u5927", "\u5927\u5b66", "\u5b66", "iphone15"}},
               {"japanese", "\u30c7\u30fc\u30bf", {"\u30c7", "\u30c7\u30fc", "\u30fc", "\u30fc\u30bf", "\u30bf"}},
               {"korean", "\ud559\uad50\uc5d0\uc11c", {"\ud559", "\ud559\uad50", "\uad50", "\uad50\uc5d0", "\uc5d0", "\uc5d0\uc11c", "\uc11c"}}};
  for (const auto& c : cases) {
    auto analyzer = Analyzer::of(c.language);
    if (!analyzer) {
      EXPECT_EQ(c.language, "thai-is-no-name");
      EXPECT_EQ(analyzer.error().code, ErrorCode::kInvalidArgument);
      continue;
    }
    EXPECT_EQ(analyzer->terms(c.text), c.terms) << c.language << ": " << c.text;
  }
}

TEST(Analyzer, QueryTerms) {
  const struct {
    std::string_view language, text;
    Words terms;
  } cases[] = {{"en", "What is the version of it?", {"version"}},
               {"en", "who are you", {"who", "are", "you"}},
               {"de", "Welche Farbe hat das Haus?", {"farb", "haus"}},
               {"fr", "O\u00f9 est l'universit\u00e9 ?", {"univers"}},
               {"fr", "universite", {"universit"}},
               {"zh", "\u5317\u4eac\u5927\u5b66", {"\u5317\u4eac", "\u4eac\u5927", "\u5927\u5b66"}},
               {"zh", "\u6c34", {"\u6c34"}}};
  for (const auto& c : cases) EXPECT_EQ(of(c.language).query_terms(c.text), c.terms) << c.text;
  EXPECT_EQ(of("en").prefix("  Running*"), "running");
  EXPECT_EQ(of("fr").prefix("\u00c9l\u00e8ve"), "eleve");
  EXPECT_EQ(of("en").prefix("?!"), "");
}

// "\u6771\u4eac\u90fd\u306b\u4f4f\u3093\u3067\u3044\u307e\u3059" (lives in Tokyo), and a query for "\u6771\u4eac": every term of the query is one of the passage.
TEST(Analyzer, QueriesOfScriptsWithoutSpacesFindTheirPassages) {
  const struct {
    std::string_view language, passage, query;
  } cases[] = {{"japanese", "\u79c1\u306f\u6771\u4eac\u90fd\u306b\u4f4f\u3093\u3067\u3044\u307e\u3059\u3002", "\u6771\u4eac"},
               {"japanese", "\u30b3\u30f3\u30d4\u30e5\u30fc\u30bf\u30fc\u3092\u8cb7\u3046", "\uff7a\uff9d\uff8b\uff9f\uff6d\uff70\uff80"},  // half-width
               {"chinese", "\u6211\u5728\u5317\u4eac\u5927\u5b66\u5b66\u4e60\u8ba1\u7b97\u673a\u79d1\u5b66\u3002", "\u8ba1\u7b97\u673a"},
               {"korean", "\ub098\ub294 \ud559\uad50\uc5d0\uc11c \uacf5\ubd80\ud55c\ub2e4", "\ud559\uad50"},
               {"english", "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e21\u0e2b\u0e32\u0e19\u0e04\u0e23\u0e40\u0e1b\u0e47\u0e19\u0e40\u0e21\u0e37\u0e2d\u0e07\u0e2b\u0e25\u0e27\u0e07", "\u0e40\u0e21\u0e37\u0e2d\u0e07\u0e2b\u0e25\u0e27\u0e07"}};
  for (const auto& c : cases) {
    Analyzer analyzer = of(c.language);
    const Words passage = analyzer.terms(c.passage);
    const Words query = analyzer.query_terms(c.query);
    EXPECT_FALSE(query.empty());
    for (const auto& term : query) EXPECT_TRUE(std::ranges::find(passage, term) != passage.end()) << c.query << ": " << term;
  }
}

TEST(Analyzer, TokensKnowWhereTheyAre) {
  Analyzer analyzer;
  AnalysedText out;
  const std::string text = "A \u201cbig\u201d \ufb01ne caf\u00e9\u2014x\u200by, Z";
  analyzer.analyse(text, Analyzer::Purpose::kPassage, out);
  std::vector<std::string> sources;
  for (const auto& token : out.tokens) sources.push_back(text.substr(token.begin, token.end - token.begin));
  EXPECT_EQ(sources, (Words{"A", "big", "\ufb01ne", "caf\u00e9", "x\u200by", "Z"}));
  for (std::uint32_t i = 0; i < out.tokens.size(); ++i) EXPECT_EQ(out.tokens[i].position, i);
  Analyzer chinese = of("zh");
  chinese.analyse("\u5317\u4eac ok", Analyzer::Purpose::kPassage, out);
  std::vector<std::uint32_t> places;
  for (const auto& token : out.tokens) places.push_back(token.position);
  EXPECT_EQ(places, (std::vector<std::uint32_t>{0, 0, 1, 2}));
}

TEST(Analyzer, LanguagesAreWhatTheySay) {
  std::set<std::string_view> names;
  for (const auto& language : languages()) {
    EXPECT_TRUE(names.insert(language.name).second);
    EXPECT_TRUE(std::ranges::is_sorted(language.stop_words));
    if (!language.stemmer.empty()) {
      sb_stemmer* stemmer = sb_stemmer_new(std::string(language.stemmer).c_str(), "UTF_8");
      EXPECT_NE(stemmer, nullptr) << language.name;
      sb_stemmer_delete(stemmer);
    }
    Analyzer analyzer = of(language.name);
    for (const auto word : language.stop_words) EXPECT_EQ(analyzer.query_terms(std::string(word) + " zzyzx").size(), 1u) << language.name << ": " << word;
  }
  for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) {
    EXPECT_TRUE(std::string_view(*name) == "porter" || find_language(*name) != nullptr) << *name;
  }
  EXPECT_EQ(find_language(""), nullptr);
}

// The words of English by the rules alone, the whole text folded at once.
Words plain_terms(std::string_view text, sb_stemmer* stemmer) {
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeString wide = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  wide = icu::Normalizer2::getNFKCCasefoldInstance(status)->normalize(wide, status);
  Words words(1);
  for (std::int32_t at = 0; at < wide.length(); at = wide.moveIndex32(at, 1)) {
    const UChar32 rune = wide.char32At(at);
    const UScriptCode script = uscript_getScript(rune, &status);
    const bool alone = script == USCRIPT_HAN || script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA;
    const bool is_word = u_isalnum(rune) || (U_GET_GC_MASK(rune) & U_GC_M_MASK) != 0;
    if ((!is_word || alone) && !words.back().empty()) words.emplace_back();
    if (is_word && words.back().size() < 64) icu::UnicodeString(rune).toUTF8String(words.back());
    if (alone && is_word) words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  for (auto& word : words) {
    if (!std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) continue;
    const auto* bytes = sb_stemmer_stem(stemmer, reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
    word.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(sb_stemmer_length(stemmer)));
  }
  return words;
}

TEST(Analyzer, EnglishIsBitEqualToThePlainRules) {
  const Words pieces{"running ", "The", " ", "-", "<", "=", "\u0338", "\u0301", "e", "caf\u00e9", "\u00c5ngstr\u00f6m", "\u2014", "\u201cquoted\u201d", "\ufb03", "\u200b", "\u00ad", "\u202e",
                     "\u6f22\u5b57", "\u30ab\u30bf\u30ab\u30ca\u30fc", "\ud559\uad50", "x86_64", "3.14", "\xff", "\xe2\x80", "\u00b2", "I\u0307", "\u0130", "\u03a3\u03b1\u03c2", "\U0001F600", "\n",
                     std::string(70, 'a'), std::string(63, 'b') + "\u00e9\u00e9", "generalizations", "'s", "\u2019s", "\u1e9e", "\u0e33\u0e49"};
  std::mt19937 random(5);
  sb_stemmer* stemmer = sb_stemmer_new("english", "UTF_8");
  Analyzer analyzer;
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    // Thai is cut by a dictionary, not by rules.
    for (int i = static_cast<int>(random() % 12); i >= 0; --i) text += pieces[random() % (pieces.size() - 1)];
    ASSERT_EQ(analyzer.terms(text), plain_terms(text, stemmer)) << text;
  }
  sb_stemmer_delete(stemmer);
}

TEST(Analyzer, AnyBytesInAnyLanguage) {
  std::mt19937 random(9);
  AnalysedText out;
  for (const auto& language : languages()) {
    Analyzer analyzer = of(language.name);
    for (int round = 0; round < 60; ++round) {
      std::string text;
      for (int i = static_cast<int>(random() % 200); i > 0; --i) {
        if (random() % 3 == 0) text += static_cast<char>(random());
        else icu::UnicodeString(static_cast<UChar32>(random() % (random() % 2 ? 0x3400 : 0x20000))).toUTF8String(text);
      }
      analyzer.analyse(text, random() % 2 ? Analyzer::Purpose::kPassage : Analyzer::Purpose::kQuery, out);
      for (const auto& token : out.tokens) {
        ASSERT_GT(token.size, 0u);
        ASSERT_LE(token.size, 255u);
        ASSERT_LT(token.begin, token.end);
        ASSERT_LE(token.end, text.size());
      }
    }
  }
}

}  // namespace
}  // namespace stoa::data
