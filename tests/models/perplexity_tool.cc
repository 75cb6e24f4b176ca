// For conformance tests: perplexity of token ids by the engine. perplexity_tool FILE.gguf [THREADS [ISA [f16|q8]]] reads lines of JSON arrays of ids, each a
// text of its own, and writes a line with the array of the negative log-likelihoods of all ids but the first. A line can also be {"tokens": ids,
// "likely": [ids for each position but the last]}; the answer is then {"nll": that array, "log_probabilities": of the likely ids}.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/decoder.h"

namespace {

using namespace stoa;
using namespace stoa::models;

constexpr std::size_t kRows = 64;  // positions computed together

// A line: ids of a text, and for each position but the last the tokens whose log-probabilities as the next one are asked for (or none).
struct Request {
  std::vector<std::int32_t> tokens;
  std::vector<std::vector<std::int32_t>> likely;
};

Result<std::vector<std::int32_t>> read_ids(const Json& json, int vocabulary) {
  if (!json.is_array()) return fail(ErrorCode::kInvalidArgument, "token ids stand in an array");
  std::vector<std::int32_t> ids;
  for (const auto& id : json.get_array()) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= vocabulary) return fail(ErrorCode::kInvalidArgument, "an id beyond the vocabulary");
    ids.push_back(static_cast<std::int32_t>(id.get_int64()));
  }
  return ids;
}

Result<Request> read_request(const Json& json, int vocabulary) {
  if (!json.is_object()) {
    STOA_TRY(tokens, read_ids(json, vocabulary));
    return Request{.tokens = std::move(tokens), .likely = {}};
  }
  const auto* tokens = find(json.get_object(), "tokens");
  const auto* likely = find(json.get_object(), "likely");
  if (tokens == nullptr || likely == nullptr || !likely->is_array()) return fail(ErrorCode::kInvalidArgument, "an object has \"tokens\" and \"likely\"");
  Request request;
  STOA_TRY(ids, read_ids(*tokens, vocabulary));
  request.tokens = std::move(ids);
  for (const auto& each : likely->get_array()) {
    STOA_TRY(some, read_ids(each, vocabulary));
    request.likely.push_back(std::move(some));
  }
  if (request.likely.size() + 1 != request.tokens.size()) return fail(ErrorCode::kInvalidArgument, "\"likely\" has an entry for each id but the last");
  return request;
}

Result<Json> answer(Decoder& decoder, KvPool& pool, const Request& request) {
  const std::span<const std::int32_t> tokens = request.tokens;
  const auto vocabulary = static_cast<std::size_t>(decoder.config().vocabulary);
  std::vector<PageId> pages;
  if (!pool.allocate(pages_for(static_cast<int>(tokens.size())), pages)) return fail(ErrorCode::kTooLarge, "a text of {} tokens", tokens.size());
  JsonArray likelihoods, chances;
  for (std::size_t first = 0; first + 1 < tokens.size(); first += kRows) {
    const auto chunk = tokens.subspan(first, std::min(kRows, tokens.size() - 1 - first));
    const Segment segment{.tokens = chunk, .position = static_cast<int>(first), .pages = pages, .logit_rows = static_cast<int>(chunk.size())};
    const auto logits = decoder.forward({&segment, 1}, pool);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      const auto row = logits.subspan(i * vocabulary, vocabulary);
      const double top = static_cast<double>(*std::ranges::max_element(row));
      double sum = 0;
      for (const float value : row) sum += std::exp(static_cast<double>(value) - top);
      const double all = top + std::log(sum);
      const auto chance = [&](std::int32_t id) { return static_cast<double>(row[static_cast<std::size_t>(id)]) - all; };
      likelihoods.push_back(-chance(tokens[first + i + 1]));
      if (request.likely.empty()) continue;
      JsonArray some;
      for (const auto id : request.likely[first + i]) some.push_back(chance(id));
      chances.push_back(std::move(some));
    }
  }
  for (const PageId page : pages) pool.release(page);
  if (request.likely.empty()) return Json(std::move(likelihoods));
  return Json(JsonObject{{"nll", std::move(likelihoods)}, {"log_probabilities", std::move(chances)}});
}

Status serve(const char* path, int thread_count, std::string_view isa_name, KvType kv_type) {
  STOA_TRY(file, GgufFile::open(path));
  STOA_TRY(isa, choose_isa(isa_name));
  ThreadPool threads(thread_count);
  CpuBackend backend(threads, isa);
  STOA_TRY(decoder, Decoder::load(file, backend, 0, kv_type));
  STOA_TRY(pool, KvPool::create(decoder.kv_layout(), std::size_t{256} << 20));
  for (std::string line; std::getline(std::cin, line);) {
    STOA_TRY(json, parse_json(line));
    STOA_TRY(request, read_request(json, decoder.config().vocabulary));
    STOA_TRY(out, answer(decoder, pool, request));
    std::cout << dump_json(out) << std::endl;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: perplexity_tool FILE.gguf [THREADS [ISA [f16|q8]]]\n";
    return 2;
  }
  const auto status = serve(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 1, argc > 3 ? argv[3] : "auto",
                            argc > 4 && std::string_view(argv[4]) == "q8" ? KvType::kQ8 : KvType::kF16);
  if (status) return 0;
  std::cerr << "perplexity_tool: " << status.error().message << '\n';
  return 1;
}
