// What the server does later: batches of all dialects, with their store, the runner behind it, and where the dialects hand them in; responses in the background;
// and uploads, which end by themselves.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/result.h"
#include "gateway/api/openai/background.h"
#include "gateway/api/openai/file_store.h"
#include "gateway/api/openai/upload_store.h"
#include "gateway/api/pipeline.h"
#include "gateway/batch/batch_desk.h"
#include "governance/cost/ledger.h"
#include "governance/protection/sealed_blobs.h"
#include "infra/bus/bus.h"
#include "infra/config/config.h"
#include "infra/http/router.h"
#include "wiring/installation.h"
#include "wiring/recognition.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct LaterWork {
  std::unique_ptr<infra::Router> routes;  // that lines are run through; filled once all of them are there
  std::unique_ptr<governance::Lenders> lenders;
  std::unique_ptr<gateway::openai::UploadStore> uploads;
  std::unique_ptr<gateway::BatchStore> store;
  std::unique_ptr<gateway::BatchRunner> runner;
  std::unique_ptr<gateway::BatchDesk> desk;
  std::unique_ptr<gateway::openai::BackgroundResponses> background;

  // What is passed outlives the object.
  static Result<LaterWork> open(const infra::Config& config, Installation& installation, Recognition& recognition, governance::SealedBlobs& blobs, infra::EventBus& events,
                              governance::Ledger& ledger, const gateway::Pipeline& pipeline, gateway::openai::FileStore& files, gateway::openai::ResponseStore& responses);
  // With all routes there.
  Status start(const infra::Router& router);
  // What runs has `drain` to end.
  void stop(std::chrono::milliseconds drain);
  static std::vector<governance::SealedTable> sealed_tables();
};

}  // namespace stoa::wiring
