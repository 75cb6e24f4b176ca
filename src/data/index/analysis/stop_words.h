// Function words, and the words questions are made with, of the languages whose readers search in sentences. Our own lists, short on purpose: a word
// that may carry meaning is not on them. Sorted by bytes, folded in case.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace stoa::data {

inline constexpr auto kEnglishStopWords = std::to_array<std::string_view>({
    "a", "about", "also", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had", "has", "have", "he",
    "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "many", "much", "no", "not", "of", "on", "or", "she", "should", "such", "than", "that",
    "the", "their", "then", "there", "these", "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will",
    "with", "would", "you"});
static_assert(std::ranges::is_sorted(kEnglishStopWords));

inline constexpr auto kCatalanStopWords = std::to_array<std::string_view>({
    "a", "al", "als", "amb", "aquest", "aquesta", "aquests", "com", "d", "de", "del", "dels", "el", "els", "en", "entre", "era", "es", "ha", "han", "hi", "i", "l",
    "la", "les", "li", "lo", "m", "mes", "molt", "més", "n", "ni", "no", "o", "on", "per", "perquè", "però", "quan", "que", "qui", "quin", "quina", "què", "s", "se",
    "sense", "ser", "seu", "seva", "si", "sobre", "són", "t", "també", "un", "una", "unes", "uns", "va", "van", "és"});
static_assert(std::ranges::is_sorted(kCatalanStopWords));

inline constexpr auto kDanishStopWords = std::to_array<std::string_view>({
    "af", "alle", "alt", "at", "blev", "da", "de", "dem", "den", "denne", "der", "deres", "det", "dette", "dig", "din", "disse", "du", "efter", "eller", "en", "end",
    "er", "et", "for", "fra", "ham", "han", "hans", "har", "havde", "have", "hende", "hendes", "her", "hun", "hvad", "hvem", "hvilke", "hvilken", "hvis", "hvor",
    "hvordan", "hvorfor", "i", "ikke", "ind", "jeg", "jer", "kan", "man", "med", "meget", "men", "mig", "min", "mod", "nu", "når", "og", "også", "om", "op", "os",
    "over", "på", "selv", "sig", "sin", "skal", "som", "til", "ud", "under", "var", "vi", "vil", "ville", "være", "været"});
static_assert(std::ranges::is_sorted(kDanishStopWords));

inline constexpr auto kDutchStopWords = std::to_array<std::string_view>({
    "aan", "al", "als", "bij", "dan", "dat", "de", "der", "deze", "die", "dit", "door", "een", "en", "er", "had", "heb", "hebben", "heeft", "het", "hij", "hoe",
    "hun", "ik", "in", "is", "je", "kan", "maar", "me", "meer", "met", "mijn", "naar", "niet", "nog", "nu", "of", "om", "onder", "ons", "ook", "op", "over", "te",
    "tot", "u", "uit", "van", "veel", "voor", "waar", "waarom", "wanneer", "waren", "was", "wat", "we", "wel", "welke", "werd", "wie", "wij", "worden", "wordt",
    "zal", "ze", "zich", "zij", "zijn", "zo", "zonder", "zou"});
static_assert(std::ranges::is_sorted(kDutchStopWords));

inline constexpr auto kFinnishStopWords = std::to_array<std::string_view>({
    "ei", "eivät", "en", "et", "ettei", "että", "he", "hän", "ja", "joka", "jos", "jossa", "jotka", "kanssa", "koska", "kuin", "kuka", "kun", "me", "miksi", "mikä",
    "milloin", "minä", "missä", "miten", "mukaan", "mutta", "myös", "ne", "niin", "no", "nyt", "nämä", "ole", "olen", "oli", "olla", "on", "ovat", "se", "sekä",
    "sen", "siinä", "sinä", "sitä", "tai", "te", "tämä", "tässä", "tätä", "vaan", "vai"});
static_assert(std::ranges::is_sorted(kFinnishStopWords));

inline constexpr auto kFrenchStopWords = std::to_array<std::string_view>({
    "ai", "au", "aux", "avec", "c", "ce", "ces", "cette", "combien", "comment", "d", "dans", "de", "des", "dont", "du", "elle", "elles", "en", "est", "et", "eu",
    "il", "ils", "j", "je", "l", "la", "le", "les", "leur", "leurs", "lui", "m", "ma", "mais", "me", "mes", "moi", "mon", "n", "ne", "nos", "notre", "nous", "on",
    "ont", "ou", "où", "par", "pas", "plus", "pour", "pourquoi", "qu", "quand", "que", "quel", "quelle", "quelles", "quels", "qui", "quoi", "s", "sa", "sans", "se",
    "sera", "ses", "si", "son", "sont", "sur", "t", "ta", "te", "tes", "toi", "ton", "tu", "un", "une", "vos", "votre", "vous", "y", "à", "été", "être"});
static_assert(std::ranges::is_sorted(kFrenchStopWords));

inline constexpr auto kGermanStopWords = std::to_array<std::string_view>({
    "aber", "alle", "als", "also", "am", "an", "auch", "auf", "aus", "bei", "bin", "bis", "das", "dass", "dem", "den", "denn", "der", "des", "dessen", "die", "dies",
    "diese", "diesem", "diesen", "dieser", "dieses", "doch", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es", "für", "haben", "hat",
    "hatte", "ich", "ihm", "ihn", "ihr", "ihre", "im", "in", "ist", "ja", "kann", "können", "man", "mein", "mit", "nach", "nicht", "noch", "nur", "ob", "oder",
    "ohne", "sehr", "sein", "seine", "sich", "sie", "sind", "so", "soll", "um", "und", "uns", "unter", "vom", "von", "vor", "war", "waren", "warum", "was", "weil",
    "welche", "welchem", "welchen", "welcher", "welches", "wem", "wen", "wenn", "wer", "werden", "wie", "wieso", "wir", "wird", "wo", "wurde", "wurden", "zu", "zum",
    "zur", "zwischen", "über"});
static_assert(std::ranges::is_sorted(kGermanStopWords));

inline constexpr auto kGreekStopWords = std::to_array<std::string_view>({
    "ή", "αν", "από", "αυτή", "αυτό", "αυτόσ", "για", "γιατί", "δεν", "είναι", "ενώ", "η", "θα", "και", "κατά", "με", "μετά", "μη", "μια", "να", "ο", "οι", "ποια",
    "ποιο", "ποιοσ", "που", "πού", "προσ", "πωσ", "πότε", "πώσ", "σε", "στα", "στη", "στην", "στισ", "στο", "στον", "στουσ", "τα", "τη", "την", "τησ", "τι", "τισ",
    "το", "τον", "του", "τουσ", "των", "ωσ", "όπου", "όπωσ", "ότι"});
static_assert(std::ranges::is_sorted(kGreekStopWords));

inline constexpr auto kHungarianStopWords = std::to_array<std::string_view>({
    "a", "ahol", "aki", "amely", "ami", "annak", "arra", "az", "azt", "be", "csak", "de", "e", "egy", "egyik", "el", "ellen", "ez", "ezt", "fel", "ha", "hanem",
    "hogy", "hogyan", "hol", "kell", "ki", "le", "lehet", "lesz", "lett", "meg", "mely", "mert", "mi", "mikor", "milyen", "mint", "mit", "miért", "már", "nagyon",
    "nem", "olyan", "pedig", "s", "sem", "szerint", "után", "vagy", "van", "volt", "voltak", "én", "és", "össze", "úgy", "ő", "ők"});
static_assert(std::ranges::is_sorted(kHungarianStopWords));

inline constexpr auto kItalianStopWords = std::to_array<std::string_view>({
    "a", "ad", "agli", "ai", "al", "alla", "alle", "allo", "anche", "c", "che", "chi", "ci", "come", "con", "cosa", "così", "cui", "d", "da", "dagli", "dai", "dal",
    "dalla", "dalle", "degli", "dei", "del", "della", "delle", "dello", "di", "dove", "e", "ed", "era", "gli", "ha", "hanno", "i", "il", "in", "io", "l", "la", "le",
    "lei", "lo", "loro", "lui", "ma", "mi", "mia", "mio", "ne", "negli", "nei", "nel", "nella", "nelle", "no", "noi", "non", "nostro", "o", "per", "perché", "più",
    "qual", "quale", "quali", "quando", "quanto", "questa", "queste", "questi", "questo", "se", "si", "sia", "sono", "su", "sua", "sue", "sugli", "sui", "sul",
    "sulla", "suo", "suoi", "te", "ti", "tra", "tu", "un", "una", "uno", "vi", "voi", "è"});
static_assert(std::ranges::is_sorted(kItalianStopWords));

inline constexpr auto kNorwegianStopWords = std::to_array<std::string_view>({
    "alle", "at", "av", "bare", "ble", "da", "de", "deg", "dem", "den", "denne", "der", "dere", "deres", "det", "dette", "disse", "du", "eller", "en", "er", "et",
    "etter", "for", "fordi", "fra", "ha", "hadde", "han", "hans", "har", "hennes", "her", "hun", "hva", "hvem", "hvilke", "hvilken", "hvis", "hvor", "hvordan",
    "hvorfor", "i", "ikke", "inn", "jeg", "kan", "man", "med", "meg", "men", "mer", "min", "mot", "må", "ned", "nå", "når", "og", "også", "om", "opp", "oss", "over",
    "på", "seg", "selv", "sin", "sitt", "skal", "som", "så", "til", "ut", "var", "ved", "vi", "vil", "ville", "være", "vært"});
static_assert(std::ranges::is_sorted(kNorwegianStopWords));

inline constexpr auto kPortugueseStopWords = std::to_array<std::string_view>({
    "a", "ao", "aos", "as", "até", "com", "como", "da", "das", "de", "dela", "dele", "do", "dos", "e", "ela", "elas", "ele", "eles", "em", "entre", "era", "essa",
    "esse", "esta", "este", "está", "eu", "foi", "há", "isso", "isto", "já", "lhe", "mais", "mas", "me", "mesmo", "meu", "minha", "muito", "na", "nas", "nem", "no",
    "nos", "não", "nós", "o", "onde", "os", "ou", "para", "pela", "pelas", "pelo", "pelos", "por", "porque", "quais", "qual", "quando", "quanto", "que", "quem",
    "quê", "se", "sem", "ser", "seu", "seus", "sobre", "sua", "suas", "são", "só", "também", "te", "tem", "tu", "um", "uma", "você", "à", "às", "é"});
static_assert(std::ranges::is_sorted(kPortugueseStopWords));

inline constexpr auto kRomanianStopWords = std::to_array<std::string_view>({
    "a", "acea", "aceasta", "această", "acest", "aceste", "acestea", "al", "ale", "am", "ar", "are", "as", "au", "ca", "care", "ce", "cel", "cele", "cine", "cu",
    "cum", "când", "că", "către", "da", "dar", "de", "din", "după", "e", "ea", "ei", "el", "ele", "era", "este", "eu", "fi", "fie", "fost", "i", "iar", "la", "le",
    "lor", "lui", "mai", "ne", "nici", "noi", "nu", "o", "or", "pe", "pentru", "prin", "s", "sa", "sau", "se", "sunt", "să", "te", "un", "una", "unde", "unei",
    "unor", "unui", "va", "voi", "vor", "îi", "îl", "în", "între", "își", "și", "ți"});
static_assert(std::ranges::is_sorted(kRomanianStopWords));

inline constexpr auto kRussianStopWords = std::to_array<std::string_view>({
    "а", "без", "бы", "был", "была", "были", "было", "быть", "в", "вам", "вас", "весь", "во", "вот", "все", "всё", "вы", "где", "для", "до", "его", "ее", "если",
    "есть", "еще", "ещё", "её", "же", "за", "здесь", "и", "из", "или", "им", "их", "к", "как", "какая", "какие", "какой", "когда", "кто", "ли", "между", "меня",
    "мне", "мы", "на", "над", "нам", "нас", "не", "него", "нет", "ни", "но", "ну", "о", "об", "он", "она", "они", "оно", "от", "по", "под", "почему", "при", "про",
    "с", "со", "так", "также", "там", "те", "тем", "то", "того", "тоже", "той", "только", "том", "ты", "у", "уже", "чего", "чем", "что", "чтобы", "эта", "эти",
    "это", "этого", "этой", "этом", "этот", "я"});
static_assert(std::ranges::is_sorted(kRussianStopWords));

inline constexpr auto kSpanishStopWords = std::to_array<std::string_view>({
    "a", "al", "algo", "ante", "como", "con", "cual", "cuando", "cuál", "cuáles", "cuándo", "cuánto", "cómo", "de", "del", "desde", "donde", "dónde", "e", "el",
    "ella", "ellas", "ellos", "en", "entre", "era", "es", "esa", "ese", "eso", "esta", "este", "esto", "está", "fue", "ha", "han", "hasta", "hay", "la", "las", "le",
    "les", "lo", "los", "me", "mi", "muy", "más", "mí", "ni", "no", "nos", "o", "para", "pero", "por", "porque", "que", "quien", "quién", "quiénes", "qué", "se",
    "sea", "ser", "si", "sin", "sobre", "son", "su", "sus", "sí", "también", "te", "tiene", "tu", "tú", "un", "una", "unas", "uno", "unos", "y", "ya", "yo", "él"});
static_assert(std::ranges::is_sorted(kSpanishStopWords));

inline constexpr auto kSwedishStopWords = std::to_array<std::string_view>({
    "alla", "att", "av", "bara", "blev", "bli", "de", "dem", "den", "denna", "deras", "dessa", "det", "detta", "dig", "din", "du", "där", "då", "efter", "eller",
    "en", "er", "ett", "finns", "från", "för", "ha", "hade", "han", "hans", "har", "henne", "hennes", "hon", "honom", "hur", "här", "i", "inte", "jag", "kan", "man",
    "med", "men", "mig", "min", "mot", "mycket", "ni", "nu", "när", "och", "också", "om", "oss", "på", "samma", "sedan", "sig", "sin", "ska", "skulle", "som", "så",
    "till", "under", "upp", "ur", "ut", "utan", "vad", "var", "vara", "varför", "varit", "vem", "vi", "vid", "vilka", "vilken", "vilket", "vill", "än", "är",
    "över"});
static_assert(std::ranges::is_sorted(kSwedishStopWords));

inline constexpr auto kTurkishStopWords = std::to_array<std::string_view>({
    "acaba", "ama", "ancak", "bazı", "ben", "beni", "bir", "biz", "bu", "bunu", "bunun", "da", "daha", "de", "değil", "diye", "en", "gibi", "hangi", "hem", "hep",
    "her", "ile", "ise", "için", "kadar", "kendi", "ki", "kim", "mi", "mu", "mü", "mı", "nasıl", "ne", "neden", "nerede", "niçin", "o", "olan", "olarak", "on",
    "onlar", "onu", "onun", "sen", "siz", "var", "ve", "veya", "ya", "yani", "yok", "çok", "çünkü", "şey", "şu"});
static_assert(std::ranges::is_sorted(kTurkishStopWords));

}  // namespace stoa::data
