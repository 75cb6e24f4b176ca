// Answers that stand on passages: every sentence of the text is supported by a place that can be opened.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "contracts/retrieval.h"
#include "data/index/embedder.h"

namespace stoa::gateway {

enum class AnswerMode { kGenerative, kExtractive };
std::string_view answer_mode_name(AnswerMode mode);  // "generative", "extractive"

struct GroundingRequest {
  std::string question;
  std::string query;                  // what was searched for; empty: search_query() of the question
  std::string instructions;           // the caller's own, may be empty
  std::vector<ChatMessage> history;   // what was said before the question, oldest first
  std::vector<Passage> passages;      // what retrieval found for this principal, best first
  ChatRequest options;                // model, max_tokens, sampling and stop strings; its messages are not read
};

// Bytes [begin, end) of the answer's text are supported by `quote`: bytes [from, to) of passages[passage].text.
struct Citation {
  std::size_t begin = 0, end = 0;
  std::size_t passage = 0;
  std::size_t from = 0, to = 0;
  bool in_context = false;  // ... of passages[passage].context: it stands around the passage, in its section
  std::string quote;
  double support = 0;       // 0..1
  bool judged = false;      // words and vectors left it open, and a model decided
};

// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0, end = 0;
};

struct GroundedAnswer {
  std::string text;
  std::vector<Citation> citations;  // in the order of the text, of one sentence best first; none when the passages do not answer
  std::vector<Passage> passages;    // those of the request
  bool answered = false;            // false: the text says that the documents do not answer
  int dropped_sentences = 0;        // generated, but not supported by any passage
  std::vector<TextRange> unsupported{};  // sentences of the text that no passage supports, where the settings keep them
  AnswerMode mode = AnswerMode::kExtractive;
  FinishReason finish = FinishReason::kStop;
  Usage usage;
  // As the generator told (ChatOutcome); a failure comes with what has to be paid, and there is no answer then.
  std::string target{};
  std::vector<ChatCharge> also{};   // with what judging took
  std::optional<CacheHit> cache{};
  std::optional<Error> failure{};
};

// A piece of an answer: at most one sentence, with what supports it.
struct AnswerPiece {
  std::string_view text;
  std::span<const Citation> citations;  // all of them; their ranges are of the whole text
};

// Receives the answer as it becomes certain: pieces in order, together equal to GroundedAnswer::text. False stops.
using TextSink = std::function<bool(const AnswerPiece&)>;

// Thread-safe. Errors: those of the generator and the embedder; kCancelled when the sink stops.
class Answerer {
 public:
  virtual ~Answerer() = default;
  virtual Result<GroundedAnswer> answer(const Call& call, const GroundingRequest& request, const TextSink& sink) = 0;
};

// What to search for, and what passages and sentences are compared with: the last question, with the one before it when the last does
// not stand alone. It does not when it has fewer than three content words ("and for libraries?") or points back with a pronoun ("how
// often is it rotated?"; English).
std::string search_query(const std::vector<ChatMessage>& history, const std::string& question);
// What the passages of a request are compared with: what was searched for.
std::string compared_with(const GroundingRequest& request);

// Texts that are in no index, ranked for a question by the words and the meaning they share with it: places in `texts`, best first, at most `most`.
// `embedder` may be null; it reads the kMostEmbedded best by words.
inline constexpr std::size_t kMostEmbedded = 64;
Result<std::vector<std::size_t>> rank_texts(const Call& call, data::Embedder* embedder, const std::string& question, const std::vector<std::string>& texts, std::size_t most);

}  // namespace stoa::gateway
