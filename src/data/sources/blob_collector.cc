#include "data/sources/blob_collector.h"

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "contracts/events.h"
#include "data/sources/ingest_worker.h"

namespace stoa::data {
namespace {

constexpr std::size_t kNamesPerEvent = 1000;  // far below EventBus::kMaxPayload

Result<bool> used_here(infra::SqlSession& session, const std::string& digest) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM documents WHERE digest = ?) OR EXISTS (SELECT 1 FROM ingest_files f JOIN ingest_jobs j "
                                  "ON j.id = f.job WHERE f.digest = ? AND f.status = ? AND j.status IN (?, ?))",
                                  {digest, digest, std::int64_t{static_cast<int>(FileStatus::kPending)}, std::int64_t{static_cast<int>(JobStatus::kWaiting)},
                                   std::int64_t{static_cast<int>(JobStatus::kRunning)}}));
  return row->get<bool>(0);
}

Status collect(infra::SqlTransaction& transaction, infra::BlobStore& blobs, const std::vector<BlobUse>& others, const std::string& digest) {
  STOA_TRY(used, used_here(transaction, digest));
  if (used) return {};
  for (const BlobUse& other : others) {
    STOA_TRY(kept, other(transaction, digest));
    if (kept) return {};
  }
  return blobs.remove(digest);
}

// In events of a bounded size.
template <class Told>
Status tell(infra::EventBus* events, infra::SqlTransaction& transaction, std::span<const std::string> names, std::vector<std::string> Told::*list) {
  if (events == nullptr) return {};
  std::vector<std::string> once(names.begin(), names.end());
  std::ranges::sort(once);
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (std::size_t i = 0; i < once.size(); i += kNamesPerEvent) {
    Told event;
    (event.*list).assign(once.begin() + static_cast<std::ptrdiff_t>(i), once.begin() + static_cast<std::ptrdiff_t>(std::min(i + kNamesPerEvent, once.size())));
    STOA_CHECK(events->publish(transaction, Told::kTopic, "", event.to_json()));
  }
  return {};
}

}  // namespace

Status release_blobs(infra::EventBus* events, infra::SqlTransaction& transaction, std::span<const std::string> digests) {
  return tell<BlobsReleased>(events, transaction, digests, &BlobsReleased::digests);
}

Status tell_changed(infra::EventBus* events, infra::SqlTransaction& transaction, std::span<const std::string> documents) {
  return tell<DocumentsChanged>(events, transaction, documents, &DocumentsChanged::documents);
}

Result<std::vector<std::string>> distinct_digests(infra::SqlSession& session, std::string_view sql, const infra::SqlParams& params) {
  std::vector<std::string> digests;
  STOA_CHECK(session.for_each(sql, params, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(digest, row.get<std::string>(0));
    digests.push_back(std::move(digest));
    return true;
  }));
  std::ranges::sort(digests);
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  return digests;
}

infra::Subscription blob_collector_subscription() {
  infra::Subscription subscription;
  subscription.name = "data.blobs";
  subscription.topics = {std::string(BlobsReleased::kTopic)};
  subscription.max_attempts = std::numeric_limits<int>::max();  // the space is given back some day
  return subscription;
}

infra::EventHandler collect_blobs(infra::SqlDatabase& sql, infra::BlobStore& blobs, std::vector<BlobUse> others) {
  return [&sql, &blobs, others = std::move(others)](const infra::Event& event) -> Status {
    const auto released = BlobsReleased::parse(event.payload);
    if (!released) {  // would never become readable, and must not hold up those behind it
      log_error("an event names no blobs", released.error(), {{"sequence", event.sequence}});
      return {};
    }
    for (const auto& digest : released->digests)  // a short transaction each: searches and answers write too
      if (infra::is_digest(digest))
        STOA_CHECK(sql.transaction([&](infra::SqlTransaction& transaction) { return collect(transaction, blobs, others, digest); }));
    return {};
  };
}

}  // namespace stoa::data
