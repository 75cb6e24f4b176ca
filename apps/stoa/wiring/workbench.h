// Documents and retrieval in a folder of their own, with the models of this machine and without a server: for measurements.
#pragma once

#include <filesystem>
#include <memory>

#include "data/index/embedder.h"
#include "data/retrieve/retriever.h"
#include "data/sources/catalog.h"
#include "data/sources/ingest.h"
#include "infra/config/config.h"
#include "wiring/models.h"

namespace stoa::wiring {

// Whether texts that come again get the vectors they had, instead of being embedded anew. For measurements that time nothing.
enum class Embedding { kAnew, kRemembered };

class Workbench {
 public:
  // Models come from config.home; everything else is in `folder`, which exists.
  static Result<std::unique_ptr<Workbench>> open(const infra::Config& config, const std::filesystem::path& folder, Embedding embedding = Embedding::kAnew);
  virtual ~Workbench() = default;

  virtual const Call& call() const = 0;  // of a local principal who may do everything in the folder
  virtual data::Catalog& catalog() = 0;
  virtual data::Ingest& ingest() = 0;
  virtual data::Retriever& retriever() = 0;
  virtual const Models& models() const = 0;
  virtual data::Embedder* embedder() = 0;  // null where there is none
};

}  // namespace stoa::wiring
