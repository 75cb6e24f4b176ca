#include "base/id.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <random>

namespace stoa {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kLength = 26;

struct Stamp {
  std::uint64_t milliseconds = 0;
  std::uint64_t order = 0;  // 40 bits: random in each millisecond's first id, then rising by random steps
};

constexpr std::uint64_t kOrderLimit = std::uint64_t{1} << 40;

std::uint64_t random_bits() {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return random();
}

// Rises from call to call over all threads, also when the clock stands still or goes back.
Stamp next_stamp() {
  static std::mutex mutex;
  static Stamp last;
  const auto now = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  const std::uint64_t first = random_bits() % (kOrderLimit / 2), step = 1 + random_bits() % (1u << 16);
  std::lock_guard lock(mutex);
  if (now > last.milliseconds)
    last = {now, first};
  else if (last.order + step < kOrderLimit)
    last.order += step;
  else
    last = {last.milliseconds + 1, first};
  return last;
}

void append(std::string& id, std::uint64_t value, int characters) {
  for (int shift = 5 * (characters - 1); shift >= 0; shift -= 5) id += kAlphabet[(value >> shift) & 31];
}

}  // namespace

std::string new_id(std::string_view prefix) {
  const Stamp stamp = next_stamp();
  std::string id(prefix);
  id += '_';
  append(id, stamp.milliseconds, 10);
  append(id, stamp.order, 8);
  append(id, random_bits(), 8);
  return id;
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + 1 + kLength || !text.starts_with(prefix) || text[prefix.size()] != '_') return false;
  text.remove_prefix(prefix.size() + 1);
  return std::ranges::all_of(text, [](char c) { return kAlphabet.contains(c); });
}

}  // namespace stoa
