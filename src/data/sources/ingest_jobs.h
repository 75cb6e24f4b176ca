// Rows of new jobs and of their files. Internal to this folder.
#pragma once

#include <string>

#include "data/sources/ingest.h"
#include "data/sources/rows.h"
#include "infra/bus/bus.h"

namespace stoa::data {

struct NewJob {
  std::string id, collection, source;
  AccessList access;
  Attributes attributes;
  bool prune = false, attach = false, reindex = false;
  int chunk_tokens = 0;
  CollectionSettings settings{};  // to reindex with
  JobStatus status = JobStatus::kWaiting;
  std::size_t total = 0;
};

// kResourceExhausted: `max_jobs` of the project are not finished. Jobs that ended or waited for days are removed.
Status insert_job(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, infra::EventBus* events, const Principal& principal, const NewJob& job, Micros now,
                  std::size_t max_jobs);
Status insert_file(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, const std::string& source, std::int64_t ordinal,
                   const IngestFile& file, const std::string& document, bool present);

}  // namespace stoa::data
