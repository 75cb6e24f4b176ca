#include "wiring/workbench.h"

#include <mutex>
#include <unordered_map>

#include "governance/protection/sealed_blobs.h"
#include "infra/blob/disk/disk.h"
#include "infra/keys/keys.h"
#include "wiring/ingest_limits.h"
#include "wiring/installation.h"
#include "wiring/models.h"

namespace stoa::wiring {
namespace {

// Keeps the vectors of all texts it was given, up to a number of texts. Thread-safe; one caller at a time.
class RememberingEmbedder final : public data::Embedder {
 public:
  explicit RememberingEmbedder(data::Embedder& inner) : inner_(inner) {}

  Result<data::Embeddings> embed(const Call& call, std::span<const std::string> texts) override {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> unknown;
    for (const std::string& text : texts)
      if (!known_.contains(text)) unknown.push_back(text);
    if (known_.size() + unknown.size() > kMaxTexts) {
      known_.clear();
      unknown.assign(texts.begin(), texts.end());
    }
    data::Embeddings all{.dimensions = inner_.dimensions(), .values = {}, .tokens = {}};
    if (!unknown.empty()) {
      STOA_TRY(made, inner_.embed(call, unknown));
      all.compute_micros = made.compute_micros;
      const auto width = static_cast<std::ptrdiff_t>(made.dimensions);
      for (std::size_t i = 0; i < unknown.size(); ++i) {
        const auto begin = made.values.begin() + static_cast<std::ptrdiff_t>(i) * width;
        known_[unknown[i]] = {{begin, begin + width}, made.tokens[i]};
      }
    }
    for (const std::string& text : texts) {
      const Known& known = known_.at(text);
      all.values.insert(all.values.end(), known.vector.begin(), known.vector.end());
      all.tokens.push_back(known.tokens);
    }
    return all;
  }
  Result<int> count_tokens(const std::string& text) const override { return inner_.count_tokens(text); }
  int dimensions() const override { return inner_.dimensions(); }
  int max_tokens() const override { return inner_.max_tokens(); }
  std::string model() const override { return inner_.model(); }

 private:
  static constexpr std::size_t kMaxTexts = 200'000;

  struct Known {
    std::vector<float> vector;
    int tokens = 0;
  };

  data::Embedder& inner_;
  std::mutex mutex_;
  std::unordered_map<std::string, Known> known_;
};

class LocalWorkbench final : public Workbench {
 public:
  ~LocalWorkbench() override {
    if (ingest_) ingest_->stop_worker();
  }

  Status open(const infra::Config& config, const std::filesystem::path& folder, Embedding embedding) {
    STOA_TRY(models, load_models(config, metrics_));
    models_ = std::move(models);
    if (models_.embedder && embedding == Embedding::kRemembered) remembering_ = std::make_unique<RememberingEmbedder>(*models_.embedder);
    infra::Config own = config;
    own.home = folder;
    own.audit.witness.clear();
    own.policies.folder.clear();
    STOA_TRY(installation, Installation::open(own, false, infra::open_memory_keys()));  // as short-lived as the folder
    installation_ = std::move(installation);
    STOA_TRY(blobs, infra::open_disk_blobs(folder / "blobs"));
    store_ = std::move(blobs);
    STOA_TRY(sealer, governance::Sealer::open(*installation_.database, *installation_.master.keys));
    sealer_ = std::move(sealer);
    blobs_ = std::make_unique<governance::SealedBlobs>(*store_, *sealer_);
    STOA_TRY(actor, installation_.identity->local_operator());
    call_.principal = actor;
    catalog_ = std::make_unique<data::Catalog>(*installation_.database, *blobs_, index_);
    STOA_CHECK(catalog_->open(models_.embedder ? models_.embedder->model() : ""));
    ingest_ = std::make_unique<data::Ingest>(*catalog_, embedder(), nullptr, ingest_limits(config));
    STOA_CHECK(ingest_->start_worker());
    retriever_ = std::make_unique<data::Retriever>(*catalog_, index_, embedder(), models_.passage_reranker());
    return {};
  }

  const Call& call() const override { return call_; }
  data::Catalog& catalog() override { return *catalog_; }
  data::Ingest& ingest() override { return *ingest_; }
  data::Retriever& retriever() override { return *retriever_; }
  const Models& models() const override { return models_; }
  data::Embedder* embedder() override { return remembering_ ? static_cast<data::Embedder*>(remembering_.get()) : models_.embedder.get(); }

 private:
  Metrics metrics_;
  Models models_;
  std::unique_ptr<RememberingEmbedder> remembering_;
  Installation installation_;
  std::unique_ptr<governance::Sealer> sealer_;
  std::unique_ptr<infra::BlobStore> store_;
  std::unique_ptr<governance::SealedBlobs> blobs_;
  Call call_;
  data::Index index_;
  std::unique_ptr<data::Catalog> catalog_;
  std::unique_ptr<data::Ingest> ingest_;
  std::unique_ptr<data::Retriever> retriever_;
};

}  // namespace

Result<std::unique_ptr<Workbench>> Workbench::open(const infra::Config& config, const std::filesystem::path& folder, Embedding embedding) {
  auto bench = std::make_unique<LocalWorkbench>();
  STOA_CHECK(bench->open(config, folder, embedding));
  return bench;
}

}  // namespace stoa::wiring
