#include "base/id.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>

namespace stoa {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kLength = 26;

}  // namespace

std::string new_id(std::string_view prefix) {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string id(prefix);
  id += '_';
  for (int shift = 45; shift >= 0; shift -= 5) id += kAlphabet[(static_cast<std::uint64_t>(milliseconds) >> shift) & 31];
  const std::uint64_t high = random(), low = random();
  for (int i = 0; i < 8; ++i) id += kAlphabet[(high >> (5 * i)) & 31];
  for (int i = 0; i < 8; ++i) id += kAlphabet[(low >> (5 * i)) & 31];
  return id;
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + 1 + kLength || !text.starts_with(prefix) || text[prefix.size()] != '_') return false;
  text.remove_prefix(prefix.size() + 1);
  return std::ranges::all_of(text, [](char c) { return kAlphabet.contains(c); });
}

}  // namespace stoa
