#include "models/tokenizer/unicode_table.h"

#include <map>

#include <unicode/uchar.h>

namespace stoa::models {
namespace {

std::uint8_t of_category(int category) {
  const std::uint32_t mask = U_MASK(category);
  std::uint8_t flags = 0;
  if (mask & U_GC_L_MASK) flags |= unicode::kLetter;
  if (mask & U_GC_N_MASK) flags |= unicode::kNumber;
  if (mask & U_GC_P_MASK) flags |= unicode::kPunctuation;
  if (mask & U_GC_S_MASK) flags |= unicode::kSymbol;
  if (mask & U_GC_M_MASK) flags |= unicode::kMark;
  if (mask & (U_GC_LU_MASK | U_GC_LT_MASK)) flags |= unicode::kUpper;
  if (mask & U_GC_LL_MASK) flags |= unicode::kLower;
  return flags;
}

}  // namespace

UnicodeTable::UnicodeTable() {
  std::vector<std::uint8_t> flat(0x110000, 0);
  // ICU enumerates ranges of equal category, far fewer than characters.
  u_enumCharTypes(
      [](const void* context, UChar32 start, UChar32 limit, UCharCategory category) -> UBool {
        auto& out = *static_cast<std::vector<std::uint8_t>*>(const_cast<void*>(context));
        const auto flags = of_category(category);
        for (UChar32 rune = start; rune < limit; ++rune) out[static_cast<std::size_t>(rune)] = flags;
        return true;
      },
      &flat);
  constexpr UChar32 kLastSpace = 0x3000;
  for (UChar32 rune = 0; rune <= kLastSpace; ++rune)
    if (u_isUWhiteSpace(rune)) flat[static_cast<std::size_t>(rune)] |= unicode::kSpace;

  std::map<std::array<std::uint8_t, 256>, std::uint16_t> known;
  for (std::size_t page = 0; page < page_of_.size(); ++page) {
    std::array<std::uint8_t, 256> content;
    for (std::size_t i = 0; i < 256; ++i) content[i] = flat[page * 256 + i];
    const auto [place, is_new] = known.try_emplace(content, static_cast<std::uint16_t>(pages_.size()));
    if (is_new) pages_.push_back(content);
    page_of_[page] = place->second;
  }
  for (std::size_t i = 0; i < ascii_.size(); ++i) ascii_[i] = flat[i];
}

}  // namespace stoa::models
