#include "data/sources/sentence_vectors.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/parse/chunk.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMinBytes = 24;  // shorter ones say little by themselves: "See below."
constexpr std::size_t kMaxSentences = 32;
constexpr std::size_t kHead = sizeof(SentencePlace) + sizeof(float);
constexpr float kLargest = 127;

SentencePlace trimmed(std::string_view text, std::size_t begin, std::size_t end) {
  const auto space = [&](std::size_t at) { return std::string_view(" \t\r\n\f\v").contains(text[at]); };
  while (begin < end && space(begin)) ++begin;
  while (end > begin && space(end - 1)) --end;
  return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
}

}  // namespace

std::vector<SentencePlace> sentence_places(const std::string& text) {
  std::vector<SentencePlace> places;
  std::size_t begin = 0;
  for (const std::size_t end : sentence_ends(text)) {
    const SentencePlace place = trimmed(text, begin, end);
    if (end < text.size() && (place.end - place.begin < kMinBytes || places.size() + 1 >= kMaxSentences)) continue;
    begin = end;
    if (place.begin == place.end) continue;
    if (place.end - place.begin < kMinBytes && !places.empty()) {
      places.back().end = place.end;
    } else {
      places.push_back(place);
    }
  }
  if (places.size() < 2) places.clear();
  return places;
}

std::string pack_sentences(std::span<const SentencePlace> places, std::span<const float> vectors) {
  std::string packed;
  if (places.empty()) return packed;
  const std::size_t width = vectors.size() / places.size();
  packed.resize(places.size() * (kHead + width));
  char* at = packed.data();
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto row = vectors.subspan(i * width, width);
    float largest = 0;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float scale = largest / kLargest;
    std::memcpy(at, &places[i], sizeof(SentencePlace));
    std::memcpy(at + sizeof(SentencePlace), &scale, sizeof scale);
    for (std::size_t d = 0; d < width; ++d) at[kHead + d] = static_cast<char>(scale > 0 ? std::lround(row[d] / scale) : 0);
    at += kHead + width;
  }
  return packed;
}

std::optional<NearestSentence> nearest_sentence(std::string_view packed, std::span<const float> query) {
  const std::size_t size = kHead + query.size();
  if (packed.empty() || query.empty() || packed.size() % size != 0) return std::nullopt;
  std::optional<NearestSentence> best;
  for (; !packed.empty(); packed.remove_prefix(size)) {
    NearestSentence found;
    float scale = 0, sum = 0;
    std::memcpy(&found.place, packed.data(), sizeof(SentencePlace));
    std::memcpy(&scale, packed.data() + sizeof(SentencePlace), sizeof scale);
    const auto* values = reinterpret_cast<const signed char*>(packed.data()) + kHead;
    for (std::size_t d = 0; d < query.size(); ++d) sum += query[d] * static_cast<float>(values[d]);
    found.cosine = static_cast<double>(sum * scale);
    if (!best || found.cosine > best->cosine) best = found;
  }
  return best;
}

}  // namespace stoa::data
