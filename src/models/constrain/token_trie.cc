#include "models/constrain/token_trie.h"

#include <algorithm>

namespace stoa::models {
namespace {

// The first eight bytes as a number: most comparisons of the sort end there.
std::uint64_t head(std::string_view bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i) out = out << 8 | (i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0);
  return out;
}

}  // namespace

std::shared_ptr<const TokenTrie> TokenTrie::build(const Tokenizer& tokenizer, std::span<const std::string> visible) {
  std::vector<std::string> tokens(static_cast<std::size_t>(tokenizer.size()));
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.is_end_of_generation(id)) {
      ends.push_back(id);
    } else if (!tokenizer.is_control(id) || std::ranges::find(visible, tokenizer.token_text(id)) != visible.end()) {
      tokens[static_cast<std::size_t>(id)] = tokenizer.token_bytes(id, true);
    }
  }
  return build(tokens, ends);
}

std::shared_ptr<const TokenTrie> TokenTrie::build(std::span<const std::string> tokens, std::span<const TokenId> ends) {
  std::shared_ptr<TokenTrie> trie(new TokenTrie);
  trie->size_ = static_cast<std::int32_t>(tokens.size());
  trie->ends_.assign(ends.begin(), ends.end());
  std::ranges::sort(trie->ends_);
  std::vector<TokenId> ids;
  ids.reserve(tokens.size());
  trie->offsets_.reserve(tokens.size() + 1);
  trie->offsets_.push_back(0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!tokens[i].empty() && tokens[i].size() <= kMaxTokenBytes && !trie->is_end(id)) {
      trie->arena_ += tokens[i];
      trie->longest_ = std::max(trie->longest_, tokens[i].size());
      ids.push_back(id);
    }
    trie->offsets_.push_back(static_cast<std::uint32_t>(trie->arena_.size()));
  }
  trie->index(std::move(ids));
  return trie;
}

void TokenTrie::index(std::vector<TokenId> ids) {
  std::vector<std::pair<std::uint64_t, TokenId>> keyed;
  keyed.reserve(ids.size());
  for (const TokenId id : ids) keyed.emplace_back(head(bytes(id)), id);
  std::ranges::sort(keyed, [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    const auto x = bytes(a.second), y = bytes(b.second);
    return x != y ? x < y : a.second < b.second;
  });
  nodes_.push_back({0, 0, 0, 0});
  std::vector<std::uint32_t> path{0};  // nodes from the root to the last token's end
  std::string_view last;
  for (const auto& [key, id] : keyed) {
    const std::string_view text = bytes(id);
    const std::size_t same = static_cast<std::size_t>(std::ranges::mismatch(last, text).in1 - last.begin());
    while (path.size() > same + 1) {
      nodes_[path.back()].skip = static_cast<std::uint32_t>(nodes_.size());
      path.pop_back();
    }
    for (std::size_t i = same; i < text.size(); ++i) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<std::uint32_t>(order_.size()), static_cast<std::uint8_t>(text[i]), static_cast<std::uint8_t>(i + 1)});
    }
    order_.push_back(id);
    last = text;
  }
  for (const std::uint32_t node : path) nodes_[node].skip = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({static_cast<std::uint32_t>(nodes_.size() + 1), static_cast<std::uint32_t>(order_.size()), 0, 0});
}

bool TokenTrie::is_end(TokenId token) const { return std::ranges::binary_search(ends_, token); }

std::string_view TokenTrie::bytes(TokenId token) const {
  if (token < 0 || token >= size_) return {};
  const auto i = static_cast<std::size_t>(token);
  return std::string_view(arena_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

}  // namespace stoa::models
