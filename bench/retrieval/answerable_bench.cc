// What speaks for passages answering a question: reads {"question", "passages": [text]} lines, writes {signal: value} lines.
#include <iostream>
#include <unordered_map>


#include "base/json.h"
#include "gateway/grounding/evidence.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"

namespace {

using namespace stoa;

// Passages come up again and again.
class Remembering : public data::Embedder {
 public:
  explicit Remembering(data::Embedder& inner) : inner_(inner) {}
  Result<data::Embeddings> embed(const Call& call, std::span<const std::string> texts) override {
    data::Embeddings out{.dimensions = inner_.dimensions(), .values = {}, .tokens = {}};
    for (const std::string& text : texts) {
      auto known = rows_.find(text);
      if (known == rows_.end()) {
        STOA_TRY(embedded, inner_.embed(call, std::span(&text, 1)));
        known = rows_.emplace(text, std::move(embedded.values)).first;
      }
      out.values.insert(out.values.end(), known->second.begin(), known->second.end());
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return inner_.count_tokens(text); }
  int dimensions() const override { return inner_.dimensions(); }
  int max_tokens() const override { return inner_.max_tokens(); }
  std::string model() const override { return inner_.model(); }

 private:
  data::Embedder& inner_;
  std::unordered_map<std::string, std::vector<float>> rows_;
};

Status run(const std::filesystem::path& folder) {
  Metrics metrics;
  models::ThreadPool threads(2);
  models::CpuBackend backend(threads);
  STOA_TRY(model, models::LocalEmbedder::load(folder, "embedder", {}, backend, metrics));
  Remembering embedder(*model);
  gateway::GroundingSettings settings;
  for (std::string line; std::getline(std::cin, line);) {
    STOA_TRY(row, parse_json(line));
    std::vector<Passage> passages;
    for (const Json& text : row.at("passages").as_array()) passages.emplace_back().text = std::string(text.as_string());
    STOA_TRY(evidence, gateway::Evidence::collect({}, &embedder, settings, std::string(row.at("question").as_string()), passages));
    const gateway::AnswerSignals& of = evidence.signals();
    std::cout << dump_json(JsonObject{{"relevance", evidence.relevance()}, {"cosine", of.cosine}, {"coverage", of.coverage}, {"missing_names", of.missing_names},
                                      {"answer_type", of.answer_type}, {"negation", of.negation}})
              << "\n";
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: answerable_bench FOLDER-OF-THE-EMBEDDER < questions.jsonl\n", 2;
  const Status done = run(argv[1]);
  if (!done) std::cerr << done.error().message << "\n";
  return done ? 0 : 1;
}
