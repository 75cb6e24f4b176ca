#include "gateway/grounding/answerer.h"

#include <ranges>

#include "gateway/grounding/sentences.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kStandsAlone = 3;  // content words

}  // namespace

std::string_view answer_mode_name(AnswerMode mode) { return mode == AnswerMode::kGenerative ? "generative" : "extractive"; }

std::string search_query(const std::vector<ChatMessage>& history, const std::string& question) {
  if (content_words(question).size() >= kStandsAlone) return question;
  for (const ChatMessage& message : std::views::reverse(history))
    if (message.role == "user" && !message.content.empty()) return message.content + " " + question;
  return question;
}

}  // namespace stoa::gateway
