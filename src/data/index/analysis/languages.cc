#include "data/index/analysis/languages.h"

#include <algorithm>
#include <array>

#include "data/index/analysis/stop_words.h"

namespace stoa::data {
namespace {

constexpr auto kLanguages = std::to_array<Language>({
    {"english", "en", "english", CjkWords::kSingle, Diacritics::kKept, "", kEnglishStopWords},
    {"generic", "", "", CjkWords::kSingle, Diacritics::kFolded},
    {"arabic", "ar", "arabic", CjkWords::kSingle, Diacritics::kKept},
    {"armenian", "hy", "armenian", CjkWords::kSingle, Diacritics::kKept},
    {"basque", "eu", "basque", CjkWords::kSingle, Diacritics::kFolded, "\u00f1"},
    {"catalan", "ca", "catalan", CjkWords::kSingle, Diacritics::kFolded, "", kCatalanStopWords},
    {"chinese", "zh", "", CjkWords::kBigrams, Diacritics::kKept},
    {"danish", "da", "danish", CjkWords::kSingle, Diacritics::kKept, "", kDanishStopWords},
    {"dutch", "nl", "dutch", CjkWords::kSingle, Diacritics::kFolded, "", kDutchStopWords},
    {"finnish", "fi", "finnish", CjkWords::kSingle, Diacritics::kKept, "", kFinnishStopWords},
    {"french", "fr", "french", CjkWords::kSingle, Diacritics::kFolded, "", kFrenchStopWords},
    {"german", "de", "german", CjkWords::kSingle, Diacritics::kKept, "", kGermanStopWords},
    {"greek", "el", "greek", CjkWords::kSingle, Diacritics::kFolded, "", kGreekStopWords},
    {"hindi", "hi", "hindi", CjkWords::kSingle, Diacritics::kKept},
    {"hungarian", "hu", "hungarian", CjkWords::kSingle, Diacritics::kKept, "", kHungarianStopWords},
    {"indonesian", "id", "indonesian", CjkWords::kSingle, Diacritics::kKept},
    {"irish", "ga", "irish", CjkWords::kSingle, Diacritics::kKept},
    {"italian", "it", "italian", CjkWords::kSingle, Diacritics::kFolded, "", kItalianStopWords},
    {"japanese", "ja", "", CjkWords::kBigrams, Diacritics::kKept},
    {"korean", "ko", "", CjkWords::kBigrams, Diacritics::kKept},
    {"lithuanian", "lt", "lithuanian", CjkWords::kSingle, Diacritics::kKept},
    {"nepali", "ne", "nepali", CjkWords::kSingle, Diacritics::kKept},
    {"norwegian", "no", "norwegian", CjkWords::kSingle, Diacritics::kKept, "", kNorwegianStopWords},
    {"portuguese", "pt", "portuguese", CjkWords::kSingle, Diacritics::kFolded, "", kPortugueseStopWords},
    {"romanian", "ro", "romanian", CjkWords::kSingle, Diacritics::kFolded, "", kRomanianStopWords},
    {"russian", "ru", "russian", CjkWords::kSingle, Diacritics::kKept, "", kRussianStopWords},
    {"serbian", "sr", "serbian", CjkWords::kSingle, Diacritics::kKept},
    {"spanish", "es", "spanish", CjkWords::kSingle, Diacritics::kFolded, "\u00f1", kSpanishStopWords},
    {"swedish", "sv", "swedish", CjkWords::kSingle, Diacritics::kKept, "", kSwedishStopWords},
    {"tamil", "ta", "tamil", CjkWords::kSingle, Diacritics::kKept},
    {"turkish", "tr", "turkish", CjkWords::kSingle, Diacritics::kKept, "", kTurkishStopWords, true},
    {"yiddish", "yi", "yiddish", CjkWords::kSingle, Diacritics::kKept},
});

}  // namespace

std::span<const Language> languages() { return kLanguages; }

const Language* find_language(std::string_view name) {
  const auto found = std::ranges::find_if(kLanguages, [&](const Language& l) { return l.name == name || (!name.empty() && l.code == name); });
  return found == kLanguages.end() ? nullptr : &*found;
}

}  // namespace stoa::data
