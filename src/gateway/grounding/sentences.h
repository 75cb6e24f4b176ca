// Cutting text into sentences and sentences into the words that carry their meaning.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::gateway {

// A byte range of a text, without surrounding white space.
struct Sentence {
  std::size_t begin = 0, end = 0;
  std::string_view in(std::string_view text) const { return text.substr(begin, end - begin); }
};

// Sentences end at . ! ? before white space, at their CJK forms, at blank lines and before list items. Abbreviations and
// numbers do not end one. At most `max` sentences; what follows belongs to the last.
std::vector<Sentence> split_sentences(std::string_view text, std::size_t max = 4096);
// Whether the last of them is whole: it ends with a stop, or with what may follow one.
bool is_ended(std::string_view sentence);

// Lower-case words without their English inflection, without function words (of English, Chinese, Japanese and Thai). Numbers and names with inner
// punctuation ("2.0-1", "debian/rules") stay whole; scripts without spaces are cut by a dictionary.
std::set<std::string> content_words(std::string_view text);

// Parts of content_words that contain a digit: what an answer must not change.
std::set<std::string> numbers_of(std::string_view text);
// Those of content_words that begin with a capital, the first word aside, or have a digit.
std::set<std::string> names_of(std::string_view text);

// What a question asks for, as far as its words tell (English).
enum class AnswerKind { kAny, kName, kTime, kCount };
AnswerKind answer_kind(std::string_view question);
// Whether `sentence` has a word of that kind that is none of `asked`: a capital for a name, a digit for a time, a digit or a word such as "three" for a count.
bool has_answer_of(AnswerKind kind, std::string_view sentence, const std::set<std::string>& asked);

// Whether some of it is in a script without spaces.
bool is_unspaced(std::string_view text);
// The language whose function words are the most frequent in `text`, by its name in data::languages(). English where it is none's.
std::string_view language_of(std::string_view text);

// Words that say no, by language. Those of kAnyLanguage are ordinary words in none.
using Negations = std::map<std::string, std::set<std::string>, std::less<>>;
inline constexpr std::string_view kAnyLanguage = "any";
// True when the text, in that language, says "not", "never", "no" or the like.
bool is_negated(std::string_view text, const Negations& negations, std::string_view language);

// Share of `words` that `in` has too; 1 when `words` is empty.
double coverage(const std::set<std::string>& words, const std::set<std::string>& in);

}  // namespace stoa::gateway
