#include "wiring/caches.h"

#include "contracts/events.h"
#include "wiring/routing.h"

namespace stoa::wiring {

Result<std::unique_ptr<gateway::Cache>> open_cache(Installation& installation, Metrics& metrics, const std::unique_ptr<Routing>& routing, data::Embedder* embedder) {
  return gateway::Cache::open({.database = *installation.database, .audit = *installation.audit, .access = *installation.access, .metrics = metrics,
                               .permits = [&routing](const Call& call, const std::string& target) { return routing->permits(call, target); }, .embedder = embedder});
}

Status forget_changed(infra::EventBus& events, gateway::Cache& cache) {
  infra::Subscription subscription;
  subscription.name = "gateway.cache";  // stored with its place in the stream: must not change
  subscription.topics = {std::string(DocumentsChanged::kTopic)};
  return events.subscribe(std::move(subscription), [&cache](const infra::Event& event) -> Status {
    STOA_TRY(changed, DocumentsChanged::parse(event.payload));
    for (const std::string& document : changed.documents) cache.forget_document(document);
    return {};
  });
}

}  // namespace stoa::wiring
