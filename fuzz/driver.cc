// Drives a fuzz target without libFuzzer: every seed of the corpus folders given as arguments, then seeded mutations of them, bounded in
// number and time. A crash or a sanitizer report ends the process, as under libFuzzer.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kRuns = 20000;
constexpr std::chrono::seconds kTime{5};
constexpr std::size_t kMaxSize = 1 << 16;

using Input = std::vector<std::uint8_t>;

void run(const Input& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

// One to eight small changes: flipped bits, boundary values, cut, doubled or moved pieces, a piece of another seed.
Input mutate(Input input, const std::vector<Input>& seeds, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(random()) % limit; };
  for (auto changes = 1 + below(8); changes > 0; --changes) {
    const std::size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 1: {
        constexpr std::uint8_t kEdges[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '{', '<', '\n', '%'};
        if (at < input.size()) input[at] = kEdges[below(std::size(kEdges))];
        break;
      }
      case 2: input.resize(at); break;
      case 3: input.erase(input.begin() + static_cast<std::ptrdiff_t>(at), input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + below(16)))); break;
      case 4: {
        const Input piece(input.begin() + static_cast<std::ptrdiff_t>(at), input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + below(64))));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size() + 1)), piece.begin(), piece.end());
        break;
      }
      default: {
        const Input& other = seeds[below(seeds.size())];
        const std::size_t from = below(other.size() + 1), length = std::min(other.size() - from, below(64));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), other.begin() + static_cast<std::ptrdiff_t>(from), other.begin() + static_cast<std::ptrdiff_t>(from + length));
      }
    }
    if (input.size() > kMaxSize) input.resize(kMaxSize);
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Input> seeds{{}};
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  if (seeds.size() < 2) {
    std::fprintf(stderr, "usage: %s CORPUS-FOLDER... (with at least one seed)\n", argv[0]);
    return 2;
  }
  for (const auto& seed : seeds) run(seed);
  std::mt19937 random(1);
  const auto end = std::chrono::steady_clock::now() + kTime;
  int runs = 0;
  while (runs < kRuns && std::chrono::steady_clock::now() < end) {
    run(mutate(seeds[random() % seeds.size()], seeds, random));
    ++runs;
  }
  std::printf("%zu seeds and %d mutations without a finding\n", seeds.size() - 1, runs);
  return 0;
}
