#include "gateway/grounding/answerer.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

#include "gateway/grounding/sentences.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kStandsAlone = 3;  // content words
constexpr std::array<std::string_view, 12> kPointBack{"he", "her", "him", "his", "it", "its", "she", "their", "them", "these", "they", "those"};

// Letters only, in lower case: "It's" is "it" and "s".
bool points_back(std::string_view question) {
  std::string word;
  const auto ends_pointing = [&] { return std::ranges::find(kPointBack, std::exchange(word, {})) != kPointBack.end(); };
  for (const char c : question) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool letter = (lower >= 'a' && lower <= 'z') || (static_cast<unsigned char>(c) & 0x80) != 0;
    if (letter)
      word += lower;
    else if (ends_pointing())
      return true;
  }
  return ends_pointing();
}

}  // namespace

std::string_view answer_mode_name(AnswerMode mode) { return mode == AnswerMode::kGenerative ? "generative" : "extractive"; }

std::string search_query(const std::vector<ChatMessage>& history, const std::string& question) {
  if (content_words(question).size() >= kStandsAlone && !points_back(question)) return question;
  for (const ChatMessage& message : std::views::reverse(history))
    if (message.role == "user" && !message.content.empty()) return message.content + " " + question;
  return question;
}

}  // namespace stoa::gateway
