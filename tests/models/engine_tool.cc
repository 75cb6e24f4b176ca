// For conformance tests and benchmarks: the engine behind a pipe. Reads one JSON object a line, writes one a line.
//   engine_tool [--generator FILE.gguf] [--embedder FOLDER] [--threads N] [--isa NAME] [--slots N] [--outbox N] [--kv-mib N] [--guess-rows N] [--context N]
//     --adapter FILE loads an adapter, called "adapter"
//   {"prompt": "..."} or {"messages": [{"role", "content"}...]}, with "model", "max_tokens", "logprobs", "ignore_eos"; greedy
//     -> {"text", "tokens", "logprobs", "top": [[[text, logprob]...]...], "usage": {...}}
//   {"batch": [such requests], "skip": N} runs all at once -> {"window_tokens", "window_seconds", "seconds", "usages"} (models/measure/streams.h)
//   {"bandwidth_ms": N} -> {"bytes_per_second"}
//   {"texts": ["..."...]} -> {"embeddings": [[...]...], "tokens": [...]}
//   a request that fails -> {"error": "..."}
// The first line written is {"ready": true, "load_seconds": ..., "bytes_per_token": <matrices that a decoded token reads>}.
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/utf8.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"
#include "models/engine/local_generator.h"
#include "models/engine/local_reranker.h"
#include "models/measure/bandwidth.h"
#include "models/measure/engine_speed.h"
#include "models/measure/streams.h"

namespace {

using namespace stoa;
using namespace stoa::models;

Result<ChatRequest> read_request(const JsonObject& object) {
  ChatRequest request;
  request.sampling.temperature = 0;
  STOA_TRY(model, read_string(object, "model"));
  request.model = model.value_or("");
  STOA_TRY(prompt, read_string(object, "prompt"));
  request.prompt = prompt.value_or("");
  if (const auto* messages = find(object, "messages"); messages != nullptr && messages->is_array()) {
    for (const auto& message : messages->get_array()) {
      if (!message.is_object()) return fail(ErrorCode::kInvalidArgument, "a message is not an object");
      STOA_TRY(role, read_string(message.get_object(), "role"));
      STOA_TRY(content, read_string(message.get_object(), "content"));
      request.messages.push_back({role.value_or("user"), content.value_or("")});
    }
  }
  STOA_TRY(max_tokens, read_int(object, "max_tokens", 1, 1 << 20));
  request.max_tokens = static_cast<int>(max_tokens.value_or(64));
  STOA_TRY(logprobs, read_int(object, "logprobs", 0, 20));
  request.sampling.logprobs = static_cast<int>(logprobs.value_or(-1));
  STOA_TRY(ignore_eos, read_bool(object, "ignore_eos"));
  request.ignore_eos = ignore_eos.value_or(false);
  return request;
}

// Bytes of one token need not be UTF-8: they are written as Latin-1 characters, one a byte.
std::string as_latin1(const std::string& bytes) {
  std::string out;
  for (const char byte : bytes) append_rune(out, static_cast<unsigned char>(byte));
  return out;
}

JsonObject to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"compute_micros", usage.compute_micros},
          {"first_token_micros", usage.first_token_micros},
          {"total_micros", usage.total_micros}};
}

Result<JsonObject> generate(LocalGenerator& generator, const JsonObject& object) {
  STOA_TRY(request, read_request(object));
  std::string text;
  JsonArray tokens, logprobs, top;
  STOA_TRY(outcome, generator.generate({}, request, [&](const ChatDelta& delta) {
    text += delta.text;
    for (const auto& logprob : delta.logprobs) {
      tokens.push_back(logprob.token);
      logprobs.push_back(logprob.logprob);
      JsonArray row;
      for (const auto& [bytes, value] : logprob.top) row.push_back(JsonArray{Json(as_latin1(bytes)), Json(value)});
      top.push_back(std::move(row));
    }
    return true;
  }));
  return JsonObject{{"text", text}, {"tokens", std::move(tokens)}, {"logprobs", std::move(logprobs)}, {"top", std::move(top)}, {"usage", to_json(outcome.usage)}};
}

Result<JsonObject> generate_batch(LocalGenerator& generator, const JsonArray& list, const JsonObject& object) {
  std::vector<ChatRequest> requests;
  for (const auto& item : list) {
    if (!item.is_object()) return fail(ErrorCode::kInvalidArgument, "a request of a batch is an object");
    STOA_TRY(request, read_request(item.get_object()));
    requests.push_back(std::move(request));
  }
  STOA_TRY(skip, read_int(object, "skip", 0, 1 << 16));
  STOA_TRY(measured, measure_streams(generator, requests, static_cast<int>(skip.value_or(0))));
  JsonArray usages;
  for (const auto& usage : measured.usages) usages.push_back(to_json(usage));
  return JsonObject{{"window_tokens", measured.window_deltas}, {"window_seconds", measured.window_seconds}, {"seconds", measured.seconds}, {"usages", std::move(usages)}};
}

Result<std::vector<std::string>> read_texts(const JsonArray& list) {
  std::vector<std::string> texts;
  for (const auto& text : list) {
    if (!text.is_string()) return fail(ErrorCode::kInvalidArgument, "a text is not a string");
    texts.emplace_back(text.get_string());
  }
  return texts;
}

Result<JsonObject> rerank(LocalReranker& reranker, const JsonObject& object, const JsonArray& list) {
  STOA_TRY(query, read_string(object, "query"));
  STOA_TRY(documents, read_texts(list));
  STOA_TRY(result, reranker.rerank({}, query.value_or(""), documents, 0));
  return JsonObject{{"scores", JsonArray(result.scores.begin(), result.scores.end())}, {"tokens", JsonArray(result.tokens.begin(), result.tokens.end())},
                    {"truncated", result.truncated}, {"compute_micros", result.compute_micros}};
}

Result<JsonObject> embed(LocalEmbedder& embedder, const JsonArray& list) {
  STOA_TRY(texts, read_texts(list));
  STOA_TRY(result, embedder.embed({}, texts));
  JsonArray rows;
  const auto width = static_cast<std::size_t>(result.dimensions);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    rows.push_back(JsonArray(result.values.begin() + static_cast<std::ptrdiff_t>(i * width), result.values.begin() + static_cast<std::ptrdiff_t>((i + 1) * width)));
  }
  return JsonObject{{"embeddings", std::move(rows)}, {"tokens", JsonArray(result.tokens.begin(), result.tokens.end())},
                    {"compute_micros", result.compute_micros}};
}

Status serve(const std::map<std::string, std::string>& options) {
  const auto option = [&](const char* name, const char* fallback) {
    const auto found = options.find(name);
    return found == options.end() ? std::string(fallback) : found->second;
  };
  std::size_t token_bytes = 0;
  if (const auto path = option("--generator", ""); !path.empty()) {
    STOA_TRY(file, GgufFile::open(path));
    token_bytes = bytes_per_token(file);
  }
  const auto begin = std::chrono::steady_clock::now();
  Metrics metrics;
  ThreadPool threads(std::atoi(option("--threads", "2").c_str()));
  STOA_TRY(isa, choose_isa(option("--isa", "auto")));
  CpuBackend backend(threads, isa);
  std::unique_ptr<LocalGenerator> generator;
  std::unique_ptr<LocalEmbedder> embedder;
  std::unique_ptr<LocalReranker> reranker;
  if (const auto path = option("--generator", ""); !path.empty()) {
    EngineOptions engine;
    engine.scheduler.slots = std::atoi(option("--slots", "8").c_str());
    engine.scheduler.stall_limit = std::chrono::minutes(30);  // readers wait for all of a batch to have begun
    engine.scheduler.outbox = std::atoi(option("--outbox", "64").c_str());
    engine.scheduler.guess_rows = std::atoi(option("--guess-rows", "4").c_str());
    engine.kv_bytes = static_cast<std::size_t>(std::atoi(option("--kv-mib", "1024").c_str())) << 20;
    if (option("--kv-type", "f16") == "q8") engine.kv_type = KvType::kQ8;
    engine.context_length = std::atoi(option("--context", "0").c_str());
    STOA_TRY(loaded, LocalGenerator::load(path, "generator", engine, backend, metrics));
    generator = std::move(loaded);
    if (const auto adapter = option("--adapter", ""); !adapter.empty()) STOA_CHECK(generator->load_adapter({.name = "adapter", .owner = {}, .path = adapter, .artifact = {}}));
  }
  if (const auto path = option("--embedder", ""); !path.empty()) {
    EncoderOptions engine;
    STOA_TRY(loaded, LocalEmbedder::load(path, "embedder", engine, backend, metrics));
    embedder = std::move(loaded);
  }
  if (const auto path = option("--reranker", ""); !path.empty()) {
    EncoderOptions engine;
    engine.max_tokens = std::atoi(option("--rerank-tokens", "512").c_str());
    STOA_TRY(loaded, LocalReranker::load(path, "reranker", engine, backend, metrics));
    reranker = std::move(loaded);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << dump_json(JsonObject{{"ready", true}, {"load_seconds", seconds}, {"bytes_per_token", token_bytes}, {"isa", isa_name(isa)}, {"threads", threads.threads()}}) << std::endl;

  const auto answer = [&](const std::string& line) -> Result<JsonObject> {
    STOA_TRY(json, parse_json(line));
    if (!json.is_object()) return fail(ErrorCode::kInvalidArgument, "a request is a JSON object");
    STOA_TRY(probe, read_int(json.get_object(), "bandwidth_ms", 1, 60'000));
    if (probe) return JsonObject{{"bytes_per_second", read_bandwidth(threads, std::chrono::milliseconds(*probe))}};
    const auto* batch = find(json.get_object(), "batch");
    if (batch != nullptr && batch->is_array() && generator != nullptr) return generate_batch(*generator, batch->get_array(), json.get_object());
    const auto* texts = find(json.get_object(), "texts");
    if (texts != nullptr && texts->is_array() && embedder != nullptr) return embed(*embedder, texts->get_array());
    const auto* documents = find(json.get_object(), "documents");
    if (documents != nullptr && documents->is_array() && reranker != nullptr) return rerank(*reranker, json.get_object(), documents->get_array());
    if (generator != nullptr) return generate(*generator, json.get_object());
    return fail(ErrorCode::kInvalidArgument, "no model for this request was given on the command line");
  };
  for (std::string line; std::getline(std::cin, line);) {
    const auto result = answer(line);
    std::cout << dump_json(result ? Json(*result) : Json(JsonObject{{"error", result.error().message}})) << std::endl;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> options;
  for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  const auto status = serve(options);
  if (status) return 0;
  std::cerr << "engine_tool: " << status.error().message << '\n';
  return 1;
}
