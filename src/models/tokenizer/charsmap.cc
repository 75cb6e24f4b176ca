#include "models/tokenizer/charsmap.h"

#include <cstring>

namespace stoa::models {
namespace {

// A unit: label in the low byte (bit 31 set marks a value), a flag that a value hangs below in bit 8, and the offset to the children
// from bit 10 on, shifted by another 8 when bit 9 is set.
constexpr std::uint32_t kValueFlag = 1u << 31;
std::uint32_t label(std::uint32_t unit) { return unit & (kValueFlag | 0xFF); }
bool has_value(std::uint32_t unit) { return (unit >> 8) & 1; }
std::uint32_t offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view blob) {
  std::uint32_t trie_bytes = 0;
  if (blob.size() < sizeof trie_bytes) return fail(ErrorCode::kDataLoss, "precompiled_charsmap: {} bytes are too few", blob.size());
  std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  blob.remove_prefix(sizeof trie_bytes);
  if (trie_bytes % sizeof(std::uint32_t) != 0 || trie_bytes > blob.size())
    return fail(ErrorCode::kDataLoss, "precompiled_charsmap: trie of {} bytes in {} bytes", trie_bytes, blob.size());
  CharsMap map;
  map.units_.resize(trie_bytes / sizeof(std::uint32_t));
  if (trie_bytes > 0) std::memcpy(map.units_.data(), blob.data(), trie_bytes);
  map.texts_ = blob.substr(trie_bytes);
  map.texts_ += '\0';  // the last text ends even in a file cut short
  return map;
}

CharsMap::Match CharsMap::match(std::string_view text) const {
  Match best;
  if (units_.empty()) return best;
  std::uint32_t node = offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_value(unit)) continue;
    if (node >= units_.size()) break;
    const std::uint32_t at = units_[node] & ~kValueFlag;
    if (at >= texts_.size()) break;
    best = {i + 1, std::string_view(texts_.data() + at)};
  }
  return best;
}

}  // namespace stoa::models
