#include "wiring/workbench.h"

#include "governance/protection/sealed_blobs.h"
#include "infra/blob/disk/disk.h"
#include "infra/keys/keys.h"
#include "wiring/installation.h"
#include "wiring/models.h"

namespace stoa::wiring {
namespace {

class LocalWorkbench final : public Workbench {
 public:
  ~LocalWorkbench() override {
    if (ingest_) ingest_->stop_worker();
  }

  Status open(const infra::Config& config, const std::filesystem::path& folder) {
    STOA_TRY(models, load_models(config, metrics_));
    models_ = std::move(models);
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
    ingest_ = std::make_unique<data::Ingest>(*catalog_, models_.embedder.get());
    STOA_CHECK(ingest_->start_worker());
    retriever_ = std::make_unique<data::Retriever>(*catalog_, index_, models_.embedder.get(), models_.reranker.get());
    return {};
  }

  const Call& call() const override { return call_; }
  data::Catalog& catalog() override { return *catalog_; }
  data::Ingest& ingest() override { return *ingest_; }
  data::Retriever& retriever() override { return *retriever_; }

 private:
  Metrics metrics_;
  Models models_;
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

Result<std::unique_ptr<Workbench>> Workbench::open(const infra::Config& config, const std::filesystem::path& folder) {
  auto bench = std::make_unique<LocalWorkbench>();
  STOA_CHECK(bench->open(config, folder));
  return bench;
}

}  // namespace stoa::wiring
