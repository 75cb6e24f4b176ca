// Batches and the results of their lines. What they say is sealed under the key of the project: the digest of the input, metadata, problems, and each line's result.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/principal.h"
#include "data/sources/catalog.h"
#include "gateway/batch/batch.h"
#include "gateway/batch/windows.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::gateway {

struct BatchWindowVersion {
  std::int64_t version = 0;  // 0: never set
  BatchWindows windows;
  std::string author;
  Micros time = 0;
};

// Thread-safe. A batch is seen by the principal who made it, and by no one else: kNotFound. What it refers to outlives it.
class BatchStore {
 public:
  static constexpr int kMostOpen = 100;  // unfinished batches of one project
  static constexpr Micros kRetention = Micros{30} * 86'400 * 1'000'000;  // after the end; then it is forgotten with its results

  BatchStore(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, governance::AuditLog& audit, const governance::Access& access, infra::EventBus* events = nullptr,
             const Clock& clock = Clock::system())
      : sql_(sql), blobs_(blobs), audit_(audit), access_(access), events_(events), clock_(clock) {}
  Status open();  // brings the tables up to date
  static std::vector<governance::SealedTable> sealed_tables();
  static Result<bool> uses(infra::SqlSession& session, const std::string& address);  // a data::BlobUse
  const Clock& clock() const { return clock_; }

  // ---- For those who own them

  // Lines that are not in the blob store yet; gives their digest.
  Result<std::string> put_input(const Principal& principal, std::string_view lines);
  // `batch` has what the maker says; id, owner and times are set here. kResourceExhausted beyond kMostOpen; kNotFound when its input is gone.
  Result<Batch> create(const Call& call, std::string_view id_prefix, Batch batch, Micros lifetime);
  Result<Batch> find(const Principal& principal, std::string_view dialect, std::string_view id);
  // Newest first unless the page says otherwise.
  Result<data::Page<Batch>> list(const Principal& principal, std::string_view dialect, const data::PageRequest& page);
  // kConflict when it has ended; again is harmless. Lines that run are ended, no other begins.
  Result<Batch> cancel(const Principal& principal, std::string_view dialect, std::string_view id);
  // kConflict until it has ended.
  Status remove(const Principal& principal, std::string_view dialect, std::string_view id);

  // ---- Windows of a project

  Result<BatchWindowVersion> windows(std::string_view project);
  // For those who may project.manage; in the audit log as "batch.window.set".
  Result<BatchWindowVersion> set_windows(const Call& call, const BatchWindows& windows);

  // ---- For the runner

  struct Unfinished {
    std::string id, project;
    BatchStatus status = BatchStatus::kValidating;
  };
  Result<std::vector<Unfinished>> unfinished();  // oldest first
  Result<Batch> load(const std::string& id);
  Result<Bytes> read_input(const Batch& batch, std::uint64_t offset, std::size_t length);
  // Status, times, counts, files and problems.
  Status save(const Batch& batch);
  // Ends it: its input is given back, and unless `keep_results` so are they.
  Status finish(const Batch& batch, bool keep_results);
  // Keeps what a line came to; whether it was settled is not sure before mark_sure.
  Status keep(const Batch& batch, const BatchResult& result);
  Status keep_all(const Batch& batch, const std::vector<BatchResult>& results);  // of lines that were not run
  Status mark_sure(const std::string& batch, const std::vector<std::int64_t>& lines);
  Status drop(const std::string& batch, std::int64_t line);
  // Lines that have a result, by number; those that are not sure apart, with the ids of their requests.
  struct Done {
    std::vector<std::int64_t> lines;
    std::vector<BatchResult> unsure;
  };
  Result<Done> done(const Batch& batch);
  // In the order of the lines, from `after` on.
  using Visitor = std::function<Result<bool>(const BatchResult& result)>;
  Status results(const Batch& batch, std::int64_t after, const Visitor& visit);
  Status forget_old();

 private:
  Result<governance::ProjectKeys> keys(std::string_view project) { return blobs_.sealer().project(project); }
  Result<Batch> read(const infra::SqlRow& row, bool counted);
  Status count(Batch& batch);

  infra::SqlDatabase& sql_;
  governance::SealedBlobs& blobs_;
  governance::AuditLog& audit_;
  const governance::Access& access_;
  infra::EventBus* const events_;
  const Clock& clock_;
};

}  // namespace stoa::gateway
