// Giving disk space back: who removes rows that name blobs tells so in the same transaction (release_blobs); the collector, a
// subscriber of the event bus, removes those blobs that no row names any more. References go first and bytes after, so a crash
// leaves at most a blob too many, and the event comes again.
//
// A blob may be stored again while it is being collected. Therefore whoever adds a row that names a blob looks, inside the
// transaction that adds it, whether the blob is there; the collector looks and removes inside a transaction too, and the store
// runs one writing transaction at a time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "infra/blob/blob.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::data {

// `events` may be null: then nothing is collected.
Status release_blobs(infra::EventBus* events, infra::SqlTransaction& transaction, std::span<const std::string> digests);
// Tells, likewise, that documents (by their ids) are not what they were.
Status tell_changed(infra::EventBus* events, infra::SqlTransaction& transaction, std::span<const std::string> documents);

// The first column of a query, each value once.
Result<std::vector<std::string>> distinct_digests(infra::SqlSession& session, std::string_view sql, const infra::SqlParams& params);

// True when a row names the blob. Documents and unfinished ingest jobs are known to the collector; other keepers of blobs bring theirs.
using BlobUse = std::function<Result<bool>(infra::SqlSession& session, const std::string& digest)>;

infra::Subscription blob_collector_subscription();
// What is passed by reference outlives the handler.
infra::EventHandler collect_blobs(infra::SqlDatabase& sql, infra::BlobStore& blobs, std::vector<BlobUse> others);

}  // namespace stoa::data
