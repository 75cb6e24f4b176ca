#include "models/tokenizer/sentencepiece.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "models/tokenizer/unicode_table.h"

namespace stoa::models {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";

// The byte of "<0x41>", or -1.
int byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace

SentencePiece::SentencePiece(const Vocabulary& vocabulary, SentencePieceOptions options) : vocabulary_(vocabulary), options_(options) {
  std::fill(std::begin(byte_ids_), std::end(byte_ids_), kNoToken);
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const int byte = vocabulary.type(id) == TokenType::kByte ? byte_of(vocabulary.text(id)) : -1;
    if (byte >= 0) {
      byte_ids_[byte] = id;
      has_bytes_ = true;
    }
  }
}

void SentencePiece::fall_back(std::string_view piece, std::vector<TokenId>& out) const {
  if (has_bytes_) {
    for (const char c : piece) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
      if (id != kNoToken) out.push_back(id);
      else if (vocabulary_.special.unk != kNoToken) out.push_back(vocabulary_.special.unk);
    }
  } else if (vocabulary_.special.unk != kNoToken) {
    out.push_back(vocabulary_.special.unk);
  }
}

void SentencePiece::append_bytes(TokenId id, std::string& out) const {
  const std::string_view text = vocabulary_.text(id);
  if (const int byte = vocabulary_.type(id) == TokenType::kByte ? byte_of(text) : -1; byte >= 0) {
    out += static_cast<char>(byte);
    return;
  }
  for (std::size_t at = 0; at < text.size();) {
    if (options_.escape_whitespaces && text.substr(at).starts_with(kSpaceMark)) {
      out += ' ';
      at += kSpaceMark.size();
    } else {
      out += text[at++];
    }
  }
}

void SentencePieceBpe::encode(std::string_view text, std::vector<TokenId>& out) const {
  if (text.empty()) return;
  std::string marked;
  marked.reserve(text.size() + text.size() / 2 + kSpaceMark.size());
  const std::string_view space = options_.escape_whitespaces ? kSpaceMark : " ";
  if (options_.add_space_prefix) marked += space;
  for (const char c : text) {
    if (c == ' ') marked += space;
    else marked += c;
  }

  // A node is a stretch of `marked`; merged ones grow to the right and leave an empty node behind.
  constexpr std::uint32_t kEnd = UINT32_MAX;
  struct Node {
    std::size_t begin, size;
    std::uint32_t previous, next;
  };
  struct Candidate {
    float score;
    std::uint32_t left, right;
    std::size_t size;  // of the joined text: tells whether either side has changed since
  };
  const auto worse = [](const Candidate& a, const Candidate& b) { return a.score != b.score ? a.score < b.score : a.left > b.left; };
  std::vector<Node> nodes;
  for (std::size_t at = 0; at < marked.size();) {
    const std::size_t size = next_rune(marked, at).size;
    const auto index = static_cast<std::uint32_t>(nodes.size());
    nodes.push_back({at, size, index == 0 ? kEnd : index - 1, index + 1});
    at += size;
  }
  nodes.back().next = kEnd;
  const std::string_view view = marked;
  std::vector<Candidate> heap;
  const auto consider = [&](std::uint32_t left, std::uint32_t right) {
    if (left == kEnd || right == kEnd) return false;
    const std::size_t size = nodes[left].size + nodes[right].size;
    const TokenId id = vocabulary_.find(view.substr(nodes[left].begin, size));
    if (id == kNoToken) return false;
    heap.push_back({vocabulary_.score(id), left, right, size});
    return true;
  };
  for (std::uint32_t i = 0; i + 1 < nodes.size(); ++i) consider(i, i + 1);
  std::ranges::make_heap(heap, worse);
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, worse);
    const Candidate best = heap.back();
    heap.pop_back();
    auto& left = nodes[best.left];
    auto& right = nodes[best.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.size += right.size;
    right.size = 0;
    left.next = right.next;
    if (left.next != kEnd) nodes[left.next].previous = best.left;
    if (consider(left.previous, best.left)) std::ranges::push_heap(heap, worse);
    if (consider(best.left, left.next)) std::ranges::push_heap(heap, worse);
  }
  bool was_unknown = false;
  for (std::uint32_t i = 0; i != kEnd; i = nodes[i].next) {
    const auto piece = view.substr(nodes[i].begin, nodes[i].size);
    const TokenId id = vocabulary_.find(piece);
    if (id != kNoToken) out.push_back(id);
    else if (has_bytes_ || !was_unknown) fall_back(piece, out);
    was_unknown = id == kNoToken;
  }
}

Unigram::Unigram(const Vocabulary& vocabulary, SentencePieceOptions options, std::optional<CharsMap> charsmap)
    : SentencePiece(vocabulary, options), charsmap_(std::move(charsmap)), first_(257, 0) {
  float lowest = 0;
  bool any = false;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const auto type = vocabulary.type(id);
    if (type == TokenType::kNormal) {
      lowest = any ? std::min(lowest, vocabulary.score(id)) : vocabulary.score(id);
      any = true;
    }
    if ((type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused) && !vocabulary.text(id).empty()) sorted_.push_back(id);
  }
  constexpr float kUnknownPenalty = 10.0f;  // SentencePiece's
  unknown_score_ = lowest - kUnknownPenalty;
  std::ranges::stable_sort(sorted_, {}, [&](TokenId id) { return vocabulary.text(id); });
  for (const TokenId id : sorted_) ++first_[static_cast<unsigned char>(vocabulary.text(id)[0]) + 1];
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

std::string Unigram::normalize(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  const std::string_view space = options_.escape_whitespaces ? kSpaceMark : " ";
  bool in_word = false, started = false;
  if (options_.add_space_prefix && !options_.remove_extra_whitespaces && !text.empty()) out += space;
  const auto put = [&](std::string_view piece) {
    for (const char c : piece) {
      if (c == ' ') {
        in_word = false;
        if (!options_.remove_extra_whitespaces) out += space;
        continue;
      }
      if (!in_word) {
        in_word = true;
        if (options_.remove_extra_whitespaces && (started || options_.add_space_prefix)) out += space;
        started = true;
      }
      out += c;
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    if (charsmap_) {
      if (const auto match = charsmap_->match(text.substr(at)); match.length > 0) {
        put(match.replacement);
        at += match.length;
        continue;
      }
    }
    const std::size_t size = decode_rune(text.substr(at)).size;  // a rule may have ended inside of a character
    put(text.substr(at, size));
    at += size;
  }
  return is_valid_utf8(out) ? out : to_valid_utf8(out);
}

void Unigram::encode(std::string_view text, std::vector<TokenId>& out) const {
  const std::string normal = normalize(text);
  if (normal.empty()) return;
  struct Step {
    float score = -std::numeric_limits<float>::infinity();  // in SentencePiece's own precision, which decides ties
    std::size_t from = 0;
    TokenId id = kNoToken;  // kNoToken: unknown
  };
  std::vector<Step> best(normal.size() + 1);
  best[0].score = 0;
  const auto offer = [&](std::size_t from, std::size_t to, float score, TokenId id) {
    if (best[from].score + score > best[to].score) best[to] = {best[from].score + score, from, id};
  };
  for (std::size_t at = 0; at < normal.size();) {
    const std::size_t character = std::min<std::size_t>(next_rune(normal, at).size, normal.size() - at);
    bool single = false;
    auto low = sorted_.begin() + first_[static_cast<unsigned char>(normal[at])];
    auto high = sorted_.begin() + first_[static_cast<unsigned char>(normal[at]) + 1u];
    for (std::size_t length = 1; low != high; ++length) {
      // Texts that begin with normal[at .. at + length): the shortest comes first.
      if (const auto piece = vocabulary_.text(*low); piece.size() == length) {
        single = single || length == character;
        offer(at, at + length, vocabulary_.type(*low) == TokenType::kUserDefined ? 0.0f : vocabulary_.score(*low), *low);
        while (low != high && vocabulary_.text(*low).size() == length) ++low;
      }
      if (at + length >= normal.size()) break;
      const auto next = static_cast<unsigned char>(normal[at + length]);
      const auto byte = [&](TokenId id) { return static_cast<unsigned char>(vocabulary_.text(id)[length]); };
      low = std::lower_bound(low, high, next, [&](TokenId id, unsigned char value) { return byte(id) < value; });
      high = std::upper_bound(low, high, next, [&](unsigned char value, TokenId id) { return value < byte(id); });
    }
    if (!single) offer(at, at + character, unknown_score_, kNoToken);
    at += character;
  }
  std::vector<std::pair<std::size_t, std::size_t>> path;  // begin, end, last first
  for (std::size_t end = normal.size(); end > 0; end = best[end].from) path.emplace_back(best[end].from, end);
  bool was_unknown = false;
  for (auto step = path.rbegin(); step != path.rend(); ++step) {
    const TokenId id = best[step->second].id;
    const bool unknown = id == kNoToken;
    if (!unknown) out.push_back(id);
    else if (has_bytes_ || !was_unknown) fall_back(std::string_view(normal).substr(step->first, step->second - step->first), out);
    was_unknown = unknown;
  }
}

}  // namespace stoa::models
