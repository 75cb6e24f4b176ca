#include "wiring/later_work.h"

#include <algorithm>

#include "gateway/api/anthropic/batches.h"
#include "gateway/api/openai/batches.h"
#include "governance/identity/lent_rights.h"

namespace stoa::wiring {

Result<LaterWork> LaterWork::open(const infra::Config& config, Installation& installation, Recognition& recognition, governance::SealedBlobs& blobs, infra::EventBus& events,
                              governance::Ledger& ledger, const gateway::Pipeline& pipeline, gateway::openai::FileStore& files, gateway::openai::ResponseStore& responses) {
  LaterWork out;
  out.routes = std::make_unique<infra::Router>();
  out.lenders = std::make_unique<governance::Lenders>(*installation.identity, *recognition.external);
  out.store = std::make_unique<gateway::BatchStore>(*installation.database, blobs, *installation.audit, *installation.access, &events);
  STOA_CHECK(out.store->open());
  out.uploads = std::make_unique<gateway::openai::UploadStore>(*installation.database, blobs, files, &events);
  STOA_CHECK(out.uploads->open());
  gateway::BatchOptions options;
  options.parallel = static_cast<int>(config.batches.parallel);
  options.max_lines = static_cast<std::size_t>(config.batches.max_lines);
  options.max_line = static_cast<std::size_t>(config.limits.body_bytes);
  options.line_timeout = std::chrono::seconds(config.limits.request_seconds);
  const auto holder = [lenders = out.lenders.get()](const std::string& owner, const std::string& key) { return lenders->now(owner, key); };
  out.runner = std::make_unique<gateway::BatchRunner>(
      gateway::BatchParts{pipeline, *out.routes, *out.store, ledger,
                          holder,
                          [uploads = out.uploads.get()] { return uploads->sweep(); }},
      options);
  out.runner->add_dialect(std::string(gateway::openai::kBatchDialect), gateway::openai::batch_dialect(files, *out.store));
  out.runner->add_dialect(std::string(gateway::anthropic::kBatchDialect), gateway::anthropic::batch_dialect());
  const auto may = [lenders = out.lenders.get()](const Principal& who) -> Status {
    if (lenders->can_lend(who)) return {};
    return fail(error(ErrorCode::kPermissionDenied, "only a user or an API key can have requests run later: not a job, nobody under break-glass access, and not the local operator")
                    .with_hint("make a key with `stoa keys create`, and use it"));
  };
  out.desk = std::make_unique<gateway::BatchDesk>(gateway::BatchDesk{*out.store, *out.runner, config.batches.max_bytes, may});
  out.background = std::make_unique<gateway::openai::BackgroundResponses>(gateway::openai::BackgroundParts{
      pipeline, *out.routes, responses, *installation.database, blobs.sealer(), ledger, holder, may});
  STOA_CHECK(out.background->open());
  return out;
}

Status LaterWork::start(const infra::Router& router) {
  *routes = router;
  STOA_CHECK(runner->start());
  return background->start();
}

void LaterWork::stop(std::chrono::milliseconds drain) {
  // Callers have had theirs: a batch's lines run again, and whoever asked for a response is told.
  const auto rest = std::min<std::chrono::milliseconds>(drain, std::chrono::seconds(5));
  if (runner) runner->stop(rest);
  if (background) background->stop(rest);
}

std::vector<governance::SealedTable> LaterWork::sealed_tables() {
  auto all = gateway::BatchStore::sealed_tables();
  for (auto& table : gateway::openai::UploadStore::sealed_tables()) all.push_back(std::move(table));
  all.push_back(gateway::openai::BackgroundResponses::sealed_table());
  return all;
}

}  // namespace stoa::wiring
