#include "gateway/grounding/packing.h"

#include <algorithm>

namespace stoa::gateway {
namespace {

struct Range {
  std::size_t begin = 0, end = 0;
};

// Takes sentences on each side of [first, last] in turn, as long as the range has at most `bytes` and stays within `allowed`.
Range grow(const std::vector<Sentence>& sentences, std::size_t first, std::size_t last, std::size_t bytes, Range allowed) {
  const auto fits = [&](std::size_t from, std::size_t to) {
    return sentences[from].begin >= allowed.begin && sentences[to].end <= allowed.end && sentences[to].end - sentences[from].begin <= bytes;
  };
  while (true) {
    const bool after = last + 1 < sentences.size() && fits(first, last + 1);
    if (after) ++last;
    const bool before = first > 0 && fits(first - 1, last);
    if (before) --first;
    if (!after && !before) return {sentences[first].begin, sentences[last].end};
  }
}

// The part of the passage's own text around its best sentence.
Range excerpt(const Evidence& evidence, std::span<const Passage> passages, std::size_t index, std::size_t bytes) {
  const std::string& text = passages[index].text;
  if (text.size() <= bytes) return {0, text.size()};
  const auto sentences = split_sentences(text);
  std::size_t best = 0;
  double relevance = -1;
  for (const EvidenceSentence& item : evidence.sentences()) {
    if (item.passage != index || item.in_context || item.relevance <= relevance) continue;
    relevance = item.relevance;
    best = static_cast<std::size_t>(std::ranges::find(sentences, item.place.begin, &Sentence::begin) - sentences.begin());
  }
  if (best >= sentences.size()) best = 0;
  return grow(sentences, best, best, bytes, {0, text.size()});
}

bool same_home(const PackedPassage& a, const PackedPassage& b) { return a.home == b.home; }

// What is left of `item` beside those that are there: all of it, a part behind or before one of them, or nothing.
bool cut_out(PackedPassage& item, const std::vector<PackedPassage>& packed) {
  for (const PackedPassage& other : packed) {
    if (!same_home(item, other) || other.end <= item.begin || item.end <= other.begin) continue;
    if (item.begin >= other.begin) item.begin = std::min(other.end, item.end);
    else item.end = other.begin;
  }
  while (item.begin < item.end && std::string_view(" \n\r\t").contains(item.home[item.begin])) ++item.begin;
  return item.begin < item.end;
}

Range room_of(const std::vector<PackedPassage>& packed, std::size_t i) {
  Range room{0, packed[i].home.size()};
  for (std::size_t j = 0; j < packed.size(); ++j) {
    if (j == i || !same_home(packed[i], packed[j])) continue;
    if (packed[j].end <= packed[i].begin) room.begin = std::max(room.begin, packed[j].end);
    if (packed[j].begin >= packed[i].end) room.end = std::min(room.end, packed[j].begin);
  }
  return room;
}

}  // namespace

std::vector<PackedPassage> pack_passages(const Evidence& evidence, std::span<const Passage> passages, std::size_t count, std::size_t bytes) {
  std::vector<PackedPassage> packed;
  for (std::size_t i = 0; i < std::min(count, passages.size()); ++i) {
    const Passage& passage = passages[i];
    const Range range = excerpt(evidence, passages, i, bytes);
    const std::size_t at = passage.context.find(passage.text);
    PackedPassage item{.passage = i, .home = passage.text, .begin = range.begin, .end = range.end};
    if (at != std::string::npos) item = {.passage = i, .home = passage.context, .begin = at + range.begin, .end = at + range.end};
    if (cut_out(item, packed)) packed.push_back(item);
  }
  return packed;
}

Status grow_passages(std::vector<PackedPassage>& packed, std::size_t bytes, const std::function<Result<bool>(const std::vector<PackedPassage>&)>& fits) {
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const PackedPassage before = packed[i];
    const auto sentences = split_sentences(before.home);
    const auto first = std::ranges::find_if(sentences, [&](const Sentence& s) { return s.end > before.begin; });
    const auto behind = std::ranges::find_if(sentences, [&](const Sentence& s) { return s.begin >= before.end; });
    if (first == sentences.end() || behind == first) continue;
    for (std::size_t limit = bytes; limit > before.end - before.begin; limit /= 2) {
      const Range range = grow(sentences, static_cast<std::size_t>(first - sentences.begin()), static_cast<std::size_t>(behind - sentences.begin()) - 1, limit, room_of(packed, i));
      packed[i].begin = std::min(range.begin, before.begin);
      packed[i].end = std::max(range.end, before.end);
      STOA_TRY(enough_room, fits(packed));
      if (enough_room) break;
      packed[i] = before;
    }
  }
  return {};
}

}  // namespace stoa::gateway
