#include "gateway/grounding/aside.h"

#include <algorithm>

#include "base/error_table.h"
#include "base/utf8.h"
#include "gateway/grounding/answerer.h"
#include "gateway/grounding/sentences.h"

namespace stoa::gateway {
namespace {

constexpr std::string_view kYesOrNo = "yes|no";
constexpr int kYesTokens = 4;
constexpr std::size_t kMostRewritten = 600;  // bytes
constexpr double kKept = 0.5;                // share of the question's words that a rewriting has
constexpr std::size_t kTurns = 4, kTurnBytes = 400;  // of the conversation that a rewriting reads, the newest ones

// "user: ...\nassistant: ...": the last turns.
std::string told(const std::vector<ChatMessage>& history) {
  std::string out;
  for (std::size_t i = history.size() - std::min(history.size(), kTurns); i < history.size(); ++i) {
    std::string text = history[i].content.substr(0, kTurnBytes);
    text.resize(complete_utf8_prefix(text));
    std::ranges::replace(text, '\n', ' ');
    out += history[i].role + ": " + text + "\n";
  }
  return out;
}

// Small models answer the question, or ask another one: then they bring words that nobody said, or leave out those that were asked.
bool is_faithful(const std::string& rewritten, const std::string& conversation, const std::string& question) {
  const auto words = content_words(rewritten);
  if (words.empty() || rewritten.size() > kMostRewritten || rewritten.contains('\n')) return false;
  return coverage(words, content_words(conversation + " " + question)) == 1 && coverage(content_words(question), words) >= kKept;
}

std::string trimmed(std::string text) {
  constexpr std::string_view kAround = " \t\r\n\"";
  const std::size_t first = text.find_first_not_of(kAround);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kAround) + 1 - first);
}

}  // namespace

Result<std::string> ask_aside(const Call& call, const AsideModel& asked, const std::string& prompt, int max_tokens, const std::string& pattern, const std::string& what,
                              std::vector<ChatCharge>& charges) {
  ChatRequest request;
  request.model = asked.model;
  request.messages = {{"user", prompt}};
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.whole = true;
  if (!pattern.empty()) request.constraint = AnswerConstraint{AnswerConstraint::Kind::kRegex, pattern, {}};
  std::string text;
  STOA_TRY(outcome, asked.generator->generate(call, request, [&](const ChatDelta& delta) {
    text += delta.text;
    return true;
  }));
  charges.push_back({outcome.target.empty() ? asked.model : outcome.target, what, outcome.usage});
  std::ranges::move(outcome.also, std::back_inserter(charges));
  if (outcome.finish == FinishReason::kStop) return text;
  if (outcome.failure) return fail(std::move(*outcome.failure));
  return fail(ErrorCode::kUnavailable, "'{}' gave no whole answer", asked.model);
}

bool judge_support(const Call& call, const GroundingSettings& settings, const AsideModel& judge, std::string_view statement, std::string_view quote,
                   std::vector<ChatCharge>& charges) {
  if (!judge) return false;
  const std::string prompt = fill_template(settings.judge_prompt, {{"statement", statement}, {"quote", quote}});
  auto said = ask_aside(call, judge, prompt, kYesTokens, std::string(kYesOrNo), "judge", charges);
  return said && *said == "yes";
}

SearchText resolve_question(const Call& call, const GroundingSettings& settings, const AsideModel& model, const std::vector<ChatMessage>& history,
                            const std::string& question) {
  using Rewrite = GroundingSettings::Rewrite;
  Span span = call.span("grounding question");
  SearchText out{.query = search_query(history, question), .how = {}, .charges = {}};
  const bool joined = out.query != question;
  out.how = joined ? "joined" : "question";
  const bool wanted = settings.rewrite == Rewrite::kAlways || (settings.rewrite == Rewrite::kAuto && joined);
  if (wanted && model && !history.empty()) {
    const std::string conversation = told(history);
    const std::string prompt = fill_template(settings.rewrite_prompt, {{"conversation", conversation}, {"question", question}});
    auto said = ask_aside(call, model, prompt, settings.rewrite_tokens, {}, "rewrite", out.charges);
    if (!said) span.set("stoa.grounding.rewrite_error", std::string(error_info(said.error().code).name));
    if (std::string rewritten = said ? trimmed(std::move(*said)) : std::string(); is_faithful(rewritten, conversation, question)) {
      out.query = std::move(rewritten);
      out.how = "rewritten";
    }
  }
  span.set("stoa.grounding.query", out.how);
  return out;
}

}  // namespace stoa::gateway
