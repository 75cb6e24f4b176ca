// The keys of an installation's projects: the sealer over its key management, and the thread that works behind.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "governance/protection/key_admin.h"
#include "governance/protection/sealer.h"
#include "infra/config/config.h"
#include "wiring/installation.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct Protection {
  std::unique_ptr<governance::Sealer> sealer;
  std::unique_ptr<governance::KeyAdmin> admin;

  // `installation` outlives it.
  static Result<Protection> open(const infra::Config& config, const Installation& installation);
};

// Runs KeyAdmin::run_pending about once a second until it is destroyed. What is passed by reference outlives it.
class ProtectionWorker {
 public:
  ProtectionWorker(governance::KeyAdmin& admin, governance::SealedBlobs& blobs);
  ~ProtectionWorker();
  ProtectionWorker(const ProtectionWorker&) = delete;
  ProtectionWorker& operator=(const ProtectionWorker&) = delete;

 private:
  void run();

  governance::KeyAdmin& admin_;
  governance::SealedBlobs& blobs_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace stoa::wiring
