#include "gateway/grounding/answerer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
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

std::string compared_with(const GroundingRequest& request) { return request.query.empty() ? search_query(request.history, request.question) : request.query; }

Result<std::vector<std::size_t>> rank_texts(const Call& call, data::Embedder* embedder, const std::string& question, const std::vector<std::string>& texts, std::size_t most) {
  constexpr double kWordShare = 0.3;  // of the score; the rest is semantic, as in data/retrieve
  const auto asked = content_words(question);
  std::vector<std::set<std::string>> words;
  std::map<std::string, double> found_in;
  for (const std::string& text : texts) {
    words.push_back(content_words(text));
    for (const std::string& word : asked) found_in[word] += words.back().contains(word) ? 1 : 0;
  }
  // Robertson's weight of a word among `texts`: log(1 + (n - f + 1/2) / (f + 1/2)).
  const auto weight = [&](const std::string& word) {
    const double f = found_in[word], n = static_cast<double>(texts.size());
    return std::log1p((n - f + 0.5) / (f + 0.5));
  };
  double whole = 0;
  for (const std::string& word : asked) whole += weight(word);
  std::vector<double> scores(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    for (const std::string& word : asked) scores[i] += words[i].contains(word) ? weight(word) / whole : 0;
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto by_score = [&] { std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return scores[i]; }); };
  by_score();
  if (embedder != nullptr && !order.empty()) {
    order.resize(std::min(order.size(), kMostEmbedded));
    std::vector<std::string> chosen{question};
    for (const std::size_t i : order) chosen.push_back(texts[i]);
    STOA_TRY(embedded, embedder->embed(call, chosen));
    const auto width = static_cast<std::ptrdiff_t>(embedded.dimensions);
    const auto row = [&](std::size_t i) { return embedded.values.begin() + static_cast<std::ptrdiff_t>(i) * width; };
    for (std::size_t i = 0; i < order.size(); ++i)
      scores[order[i]] = kWordShare * scores[order[i]] + (1 - kWordShare) * std::inner_product(row(0), row(0) + width, row(i + 1), 0.0);
    by_score();
  }
  order.resize(std::min(order.size(), most));
  return order;
}

}  // namespace stoa::gateway
