// Vectors of the sentences of a passage, as they lie beside its text in a sealed row: a question is often nearer to the one sentence that answers it than to the whole
// passage. For each sentence, little-endian: where it begins and ends in the passage's text (32 bits each), a scale (float), and a number of 8 bits for each dimension;
// the vector is the scale times these. Internal to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::data {

struct SentencePlace {
  std::uint32_t begin = 0, end = 0;  // bytes of the passage's text, without white space around
};

// Those worth a vector of their own: none where a passage is one sentence; neighbours of a few letters are taken together; at most 32, the last ones together.
std::vector<SentencePlace> sentence_places(const std::string& text);

// `vectors`: places.size() rows of one width, of unit length.
std::string pack_sentences(std::span<const SentencePlace> places, std::span<const float> vectors);

struct NearestSentence {
  SentencePlace place;
  double cosine = 0;
};
// The sentence nearest to `query`, of unit length. Nothing where there are none, or not of its width.
std::optional<NearestSentence> nearest_sentence(std::string_view packed, std::span<const float> query);

}  // namespace stoa::data
