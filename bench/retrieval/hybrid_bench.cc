// Hybrid search through the parts of the product: hybrid_bench MODEL PASSAGES QUERIES --vectors FILE [--count N] [--words 12] [--threads 1] [--rounds 3] [--sample 2].
// Forty passages (lines) are a document; sixteen groups read a sixteenth of them each, and who asks is in eight groups and asks for the later years. Rows, originals and snapshots
// are files of a folder that is removed at the end. Prints "name value" lines.
//
// The vectors of passages are the model's, of their first words, kept in the file of --vectors; those of sentences are taken from them at random, since no time depends on
// which they are. --sample documents are brought in with the model itself, for how fast that is. Queries are always embedded by the model.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/id.h"
#include "data/parse/chunk.h"
#include "data/retrieve/retriever.h"
#include "data/sources/index_snapshots.h"
#include "data/sources/ingest.h"
#include "governance/protection/sealed_blobs.h"
#include "infra/blob/disk/disk.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"

namespace {

using namespace stoa;
using namespace stoa::data;

constexpr std::size_t kLines = 40;  // of a document
constexpr int kGroups = 16, kGroupsOfOne = 8, kFirstYear = 2010, kYears = 14, kAskedYear = 2017;

struct Options {
  std::filesystem::path model, vectors, work = std::filesystem::temp_directory_path();
  std::string passages, queries;
  std::size_t count = 100'000, words = 12, sample = 2, asked = 1000;
  int threads = 1, rounds = 3;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
void print(std::string_view name, double value) {
  fmt::print("{} {:.6g}\n", name, value);
  std::fflush(stdout);
}

double resident() {
  malloc_trim(0);
  std::ifstream in("/proc/self/statm");
  double pages = 0;
  in >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

std::vector<std::string> lines_of(const std::string& path, std::size_t most) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; lines.size() < most && std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

// Looks up what is known by its text; `model` says what it is like otherwise.
class KnownTexts : public Embedder {
 public:
  explicit KnownTexts(Embedder& model) : model_(model) {}

  // Embeds the first words of the texts, as far as the file does not have their vectors.
  Status learn(const std::vector<std::string>& texts, std::size_t words, const std::filesystem::path& file) {
    const auto width = static_cast<std::size_t>(dimensions());
    if (std::ifstream in(file, std::ios::binary); in) {
      values_.resize(std::min<std::size_t>(texts.size(), std::filesystem::file_size(file) / (width * sizeof(float))) * width);
      in.read(reinterpret_cast<char*>(values_.data()), static_cast<std::streamsize>(values_.size() * sizeof(float)));
    }
    std::ofstream out(file, std::ios::binary | std::ios::app);
    constexpr std::size_t kAtOnce = 256;
    for (std::size_t at = values_.size() / width; at < texts.size(); at += kAtOnce) {
      std::vector<std::string> some;
      for (std::size_t i = at; i < std::min(at + kAtOnce, texts.size()); ++i) some.push_back(first_words(texts[i], words));
      STOA_TRY(embedded, model_.embed({}, some));
      values_.insert(values_.end(), embedded.values.begin(), embedded.values.end());
      out.write(reinterpret_cast<const char*>(embedded.values.data()), static_cast<std::streamsize>(embedded.values.size() * sizeof(float)));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) rows_.emplace(texts[i], i);
    return {};
  }

  Result<Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    const auto width = static_cast<std::size_t>(dimensions());
    Embeddings out{.dimensions = dimensions(), .values = {}, .tokens = {}};
    for (const auto& text : texts) {
      const auto known = rows_.find(text);
      const std::size_t row = known != rows_.end() ? known->second : std::hash<std::string>()(text) % rows_.size();
      out.values.insert(out.values.end(), values_.begin() + static_cast<std::ptrdiff_t>(row * width), values_.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return model_.count_tokens(text); }
  int dimensions() const override { return model_.dimensions(); }
  int max_tokens() const override { return model_.max_tokens(); }
  std::string model() const override { return model_.model(); }

 private:
  static std::string first_words(const std::string& text, std::size_t words) {
    std::size_t end = 0;
    for (std::size_t i = 0; i < words && end != std::string::npos; ++i) end = text.find(' ', end + 1);
    return text.substr(0, end);
  }

  Embedder& model_;
  std::vector<float> values_;
  std::unordered_map<std::string, std::size_t> rows_;
};

Call as(const std::string& user, std::vector<std::string> groups = {}) {
  std::ranges::sort(groups);
  Call call;
  call.principal = {"user_" + user, "tenant_1", "proj_a", user, std::move(groups), "developer"};
  return call;
}

// One installation. The rows stay over restarts, everything in memory is new.
struct Home {
  static Result<std::unique_ptr<Home>> open(const std::filesystem::path& under) {
    auto home = std::make_unique<Home>();
    home->folder = under / new_id("hybrid_bench");
    std::filesystem::create_directories(home->folder);
    STOA_TRY(database, infra::open_sqlite(home->folder / "stoa.db"));
    home->sql = std::move(database);
    STOA_TRY(disk, infra::open_disk_blobs(home->folder / "blobs"));
    home->store = std::move(disk);
    STOA_TRY(opened, governance::Sealer::open(*home->sql, *home->keys));
    home->sealer = std::move(opened);
    home->blobs = std::make_unique<governance::SealedBlobs>(*home->store, *home->sealer);
    return home;
  }
  ~Home() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  Status start(const std::string& model, bool with_snapshots) {
    index = std::make_unique<Index>();
    if (with_snapshots) {
      STOA_TRY(opened, IndexSnapshots::open(folder / "index", *index, *sealer));
      snapshots = std::move(opened);
    }
    catalog = std::make_unique<Catalog>(*sql, *blobs, *index);
    return catalog->open(model, snapshots.get());
  }
  void stop() {
    catalog.reset();
    snapshots.reset();
    index.reset();
  }

  std::filesystem::path folder;
  std::unique_ptr<infra::SqlDatabase> sql;
  std::unique_ptr<infra::KeyManagement> keys = infra::open_memory_keys();
  std::unique_ptr<infra::BlobStore> store;
  std::unique_ptr<governance::Sealer> sealer;
  std::unique_ptr<governance::SealedBlobs> blobs;
  std::unique_ptr<Index> index;
  std::unique_ptr<IndexSnapshots> snapshots;
  std::unique_ptr<Catalog> catalog;
};

std::vector<std::string> documents_of(const std::vector<std::string>& lines) {
  std::vector<std::string> documents;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i % kLines == 0) documents.emplace_back();
    documents.back() += lines[i] + "\n\n";
  }
  return documents;
}

// The texts that the passages of the documents have, as ingest will cut them.
Result<std::vector<std::string>> passages_of(const std::vector<std::string>& documents, const Embedder& embedder) {
  std::vector<std::string> texts;
  for (const auto& document : documents) {
    STOA_TRY(parsed, parse_document(as_bytes(document), "a.txt", "text/plain", {}));
    STOA_TRY(chunks, chunk_document(parsed, [&](const std::string& text) { return embedder.count_tokens(text); }));
    for (const Chunk& chunk : chunks) texts.push_back(chunk.indexed_text());
  }
  return texts;
}

// Brings the documents in, those of one group and year as one job. Gives the number of passages.
Result<std::int64_t> bring_in(Home& home, const std::string& collection, const std::vector<std::string>& documents, Embedder& embedder) {
  Ingest ingest(*home.catalog, &embedder);
  STOA_CHECK(ingest.start_worker());
  const Call call = as("owner");
  std::int64_t passages = 0;
  for (std::size_t kind = 0; kind < kGroups * kYears; ++kind) {
    STOA_TRY(access, AccessList::parse(fmt::format("group:g{}", kind % kGroups)));
    IngestSpec spec{collection, "bench", {}, access, {{"year", static_cast<double>(kFirstYear + kind / kGroups)}}, false};
    std::map<std::string, std::size_t> by_digest;
    for (std::size_t i = kind; i < documents.size(); i += kGroups * kYears) {
      spec.files.push_back({fmt::format("{}.txt", i), "sha256:" + infra::sha256_hex(documents[i]), static_cast<std::int64_t>(documents[i].size()), "text/plain"});
      by_digest[spec.files.back().digest] = i;
    }
    if (spec.files.empty()) continue;
    STOA_TRY(job, ingest.create_job(call, spec));
    for (const auto& digest : job.missing) STOA_CHECK(ingest.put_blob(call, job.id, digest, as_bytes(documents[by_digest[digest]])));
    STOA_CHECK(ingest.start(call, job.id));
    STOA_TRY(progress, ingest.wait(call, job.id, Deadline::after(std::chrono::hours(2))));
    if (progress.failed > 0) return fail(ErrorCode::kInternal, "{}", progress.errors.front().message);
    passages += progress.chunks;
  }
  ingest.stop_worker();
  return passages;
}

Status ask(Home& home, const std::string& collection, Embedder& model, const Options& options) {
  Retriever retriever(*home.catalog, *home.index, &model);
  const auto queries = lines_of(options.queries, options.asked);
  const SearchOptions search{.filter = {FilterOp::kGte, "year", {static_cast<double>(kAskedYear)}, {}}};
  std::vector<Call> calls;
  std::mt19937 random(1);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    std::vector<std::string> groups;
    for (int g = 0; g < kGroups; ++g) groups.push_back(fmt::format("g{}", g));
    std::ranges::shuffle(groups, random);
    groups.resize(kGroupsOfOne);
    calls.push_back(as("reader", std::move(groups)));
  }
  std::vector<double> best(queries.size(), 1e9), embedding(queries.size(), 1e9), first;
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const double begin = now();
      STOA_TRY(found, retriever.search(calls[i], std::span(&collection, 1), queries[i], search));
      const double time = 1e3 * (now() - begin);
      best[i] = std::min(best[i], time);
      if (round == 0) first.push_back(time);
      if (found.empty()) return fail(ErrorCode::kInternal, "nothing was found for \"{}\"", queries[i]);
    }
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const double begin = now();
      STOA_CHECK(model.embed({}, std::span(&queries[i], 1)));
      embedding[i] = std::min(embedding[i], 1e3 * (now() - begin));
    }
  }
  for (auto& [name, times] : std::map<std::string, std::vector<double>*>{{"query", &best}, {"first_round", &first}, {"query_embedding", &embedding}}) {
    std::ranges::sort(*times);
    print(name + "_p50_ms", (*times)[times->size() / 2]);
    print(name + "_p99_ms", (*times)[times->size() * 99 / 100]);
  }
  return {};
}

Status run(const Options& options) {
  Metrics metrics;
  models::ThreadPool threads(options.threads);
  models::CpuBackend backend(threads);
  STOA_TRY(model, models::LocalEmbedder::load(options.model, "all-minilm-l6-v2", {}, backend, metrics));
  STOA_TRY(home, Home::open(options.work));
  STOA_CHECK(home->start(model->model(), true));
  const auto documents = documents_of(lines_of(options.passages, options.count));
  if (options.sample > 0) {
    STOA_TRY(sample, home->catalog->create_collection(as("owner"), {"sample", {}, {}}));
    const double begin = now();
    STOA_TRY(brought, bring_in(*home, sample.id, {documents.begin(), documents.begin() + static_cast<std::ptrdiff_t>(std::min(options.sample, documents.size()))}, *model));
    print("ingest_with_model_per_second", static_cast<double>(brought) / (now() - begin));
    STOA_CHECK(home->catalog->remove_collection(as("owner"), sample.id));
  }
  KnownTexts known(*model);
  STOA_TRY(texts, passages_of(documents, *model));
  const double learning = now();
  STOA_CHECK(known.learn(texts, options.words, options.vectors));
  print("learned_seconds", now() - learning);

  STOA_TRY(collection, home->catalog->create_collection(as("owner"), {"docs", {}, {}}));
  double begin = now();
  STOA_TRY(passages, bring_in(*home, collection.id, documents, known));
  print("passages", static_cast<double>(passages));
  print("ingest_without_model_per_second", static_cast<double>(passages) / (now() - begin));
  home->stop();  // writes the snapshot

  for (const bool with_snapshots : {false, true}) {
    const double before = resident();
    begin = now();
    STOA_CHECK(home->start(model->model(), with_snapshots));
    print(with_snapshots ? "start_from_snapshot_seconds" : "start_from_rows_seconds", now() - begin);
    if (!with_snapshots) print("bytes_per_passage", (resident() - before) / static_cast<double>(passages));
    if (!with_snapshots) home->stop();
  }
  return ask(*home, collection.id, *model, options);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Hybrid search through the parts of the product");
  Options options;
  app.add_option("model", options.model)->required();
  app.add_option("passages", options.passages)->required();
  app.add_option("queries", options.queries)->required();
  app.add_option("--vectors", options.vectors, "kept here")->required();
  app.add_option("--work", options.work, "where the installation's folder is made");
  app.add_option("--count", options.count, "lines of PASSAGES");
  app.add_option("--words", options.words, "of a passage that its vector is made of");
  app.add_option("--sample", options.sample, "documents brought in with the model itself");
  app.add_option("--asked", options.asked, "queries");
  app.add_option("--threads", options.threads);
  app.add_option("--rounds", options.rounds, "how often each query is asked; the best time counts");
  CLI11_PARSE(app, argc, argv);
  const Status done = run(options);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
