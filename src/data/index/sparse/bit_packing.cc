#include "data/index/sparse/bit_packing.h"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace stoa::data {
namespace {

using Lanes = std::uint32_t __attribute__((vector_size(16)));
constexpr std::size_t kSteps = kBlockSize / 4;

Lanes load(const std::uint8_t* in, std::size_t index) {
  Lanes lanes;
  std::memcpy(&lanes, in + index * sizeof lanes, sizeof lanes);
  return lanes;
}

template <unsigned kBits, std::size_t kStep>
[[gnu::always_inline]] inline Lanes step(const std::uint8_t* in) {
  if constexpr (kBits == 0) {
    return Lanes{};
  } else if constexpr (kBits == 32) {
    return load(in, kStep);
  } else {
    constexpr std::size_t kAt = kStep * kBits, kWord = kAt / 32, kShift = kAt % 32;
    Lanes value = load(in, kWord) >> kShift;
    if constexpr (kShift + kBits > 32) value |= load(in, kWord + 1) << (32 - kShift);
    return value & ((1u << kBits) - 1);
  }
}

[[gnu::always_inline]] inline void store(std::uint32_t* out, std::size_t index, Lanes lanes) { std::memcpy(out + 4 * index, &lanes, sizeof lanes); }

template <unsigned kBits>
void unpack_bits(const std::uint8_t* in, std::uint32_t* out) {
  [&]<std::size_t... kStep>(std::index_sequence<kStep...>) { (store(out, kStep, step<kBits, kStep>(in)), ...); }(std::make_index_sequence<kSteps>());
}

template <unsigned kBits>
void unpack_sums(const std::uint8_t* in, std::uint32_t before, std::uint32_t* out) {
  Lanes carry = {before, before, before, before};
  const Lanes zero{};
  const auto add = [&](std::size_t index, Lanes value) {
    value += 1;
    value += __builtin_shuffle(zero, value, Lanes{0, 4, 5, 6});
    value += __builtin_shuffle(zero, value, Lanes{0, 0, 4, 5});
    value += carry;
    carry = __builtin_shuffle(value, Lanes{3, 3, 3, 3});
    store(out, index, value);
  };
  [&]<std::size_t... kStep>(std::index_sequence<kStep...>) { (add(kStep, step<kBits, kStep>(in)), ...); }(std::make_index_sequence<kSteps>());
}

template <std::size_t... kBits>
constexpr auto unpackers(std::index_sequence<kBits...>) {
  return std::array{&unpack_bits<kBits>...};
}
template <std::size_t... kBits>
constexpr auto summers(std::index_sequence<kBits...>) {
  return std::array{&unpack_sums<kBits>...};
}
constexpr auto kUnpackers = unpackers(std::make_index_sequence<33>());
constexpr auto kSummers = summers(std::make_index_sequence<33>());

}  // namespace

unsigned bits_needed(const std::uint32_t* values) {
  std::uint32_t all = 0;
  for (std::size_t i = 0; i < kBlockSize; ++i) all |= values[i];
  return static_cast<unsigned>(std::bit_width(all));
}

void pack(const std::uint32_t* values, unsigned bits, std::uint8_t* out) {
  if (bits == 0) return;
  std::array<std::uint32_t, kBlockSize> words{};
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    const std::size_t at = i / 4 * bits, word = at / 32 * 4 + i % 4, shift = at % 32;
    words[word] |= values[i] << shift;
    if (shift + bits > 32) words[word + 4] |= values[i] >> (32 - shift);
  }
  std::memcpy(out, words.data(), packed_size(bits));
}

void unpack(const std::uint8_t* in, unsigned bits, std::uint32_t* out) { kUnpackers[bits](in, out); }
void unpack_ascending(const std::uint8_t* in, unsigned bits, std::uint32_t before, std::uint32_t* out) { kSummers[bits](in, before, out); }

}  // namespace stoa::data
