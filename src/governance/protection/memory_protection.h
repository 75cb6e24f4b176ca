// Sealing over a database of the caller's, with keys and blobs in memory: for tests of what stores content.
#pragma once

#include <memory>

#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealer.h"
#include "infra/blob/blob.h"
#include "infra/keys/keys.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct MemoryProtection {
  std::unique_ptr<infra::KeyManagement> keys = infra::open_memory_keys();
  std::unique_ptr<infra::BlobStore> store = infra::open_memory_blobs();
  std::unique_ptr<Sealer> sealer;
  SealedBlobs blobs;

  explicit MemoryProtection(infra::SqlDatabase& sql, SealerOptions options = {}) : sealer(*Sealer::open(sql, *keys, options)), blobs(*store, *sealer) {}
};

}  // namespace stoa::governance
