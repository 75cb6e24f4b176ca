// For conformance tests: perplexity of token ids by the engine. perplexity_tool FILE.gguf [THREADS [ISA]] reads lines of JSON arrays of ids, each a
// text of its own, and writes a line with the array of the negative log-likelihoods of all ids but the first.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/engine/decoder.h"

namespace {

using namespace stoa;
using namespace stoa::models;

constexpr std::size_t kRows = 64;  // positions computed together

Result<JsonArray> negative_log_likelihoods(Decoder& decoder, KvPool& pool, std::span<const std::int32_t> tokens) {
  const auto vocabulary = static_cast<std::size_t>(decoder.config().vocabulary);
  std::vector<PageId> pages;
  if (!pool.allocate(pages_for(static_cast<int>(tokens.size())), pages)) return fail(ErrorCode::kTooLarge, "a text of {} tokens", tokens.size());
  JsonArray result;
  for (std::size_t first = 0; first + 1 < tokens.size(); first += kRows) {
    const auto chunk = tokens.subspan(first, std::min(kRows, tokens.size() - 1 - first));
    const Segment segment{.tokens = chunk, .position = static_cast<int>(first), .pages = pages, .logit_rows = static_cast<int>(chunk.size())};
    const auto logits = decoder.forward({&segment, 1}, pool);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      const auto row = logits.subspan(i * vocabulary, vocabulary);
      const double top = static_cast<double>(*std::ranges::max_element(row));
      double sum = 0;
      for (const float value : row) sum += std::exp(static_cast<double>(value) - top);
      result.push_back(top + std::log(sum) - static_cast<double>(row[static_cast<std::size_t>(tokens[first + i + 1])]));
    }
  }
  for (const PageId page : pages) pool.release(page);
  return result;
}

Status serve(const char* path, int thread_count, std::string_view isa_name) {
  STOA_TRY(file, GgufFile::open(path));
  STOA_TRY(isa, choose_isa(isa_name));
  ThreadPool threads(thread_count);
  STOA_TRY(decoder, Decoder::load(file, threads, isa));
  STOA_TRY(pool, KvPool::create(decoder.kv_layout(), std::size_t{256} << 20));
  for (std::string line; std::getline(std::cin, line);) {
    STOA_TRY(json, parse_json(line));
    if (!json.is_array()) return fail(ErrorCode::kInvalidArgument, "a line is an array of token ids");
    std::vector<std::int32_t> tokens;
    for (const auto& id : json.get_array()) {
      if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= decoder.config().vocabulary) return fail(ErrorCode::kInvalidArgument, "an id beyond the vocabulary");
      tokens.push_back(static_cast<std::int32_t>(id.get_int64()));
    }
    STOA_TRY(likelihoods, negative_log_likelihoods(decoder, pool, tokens));
    std::cout << dump_json(likelihoods) << std::endl;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: perplexity_tool FILE.gguf [THREADS [ISA]]\n";
    return 2;
  }
  const auto status = serve(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 1, argc > 3 ? argv[3] : "auto");
  if (status) return 0;
  std::cerr << "perplexity_tool: " << status.error().message << '\n';
  return 1;
}
