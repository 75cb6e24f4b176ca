// Files that come in parts: rows in SQL, parts in the blob store, names and parts sealed under the key of the project. What is not completed within kLifetime
// is freed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/api/openai/file_store.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::gateway::openai {

struct Upload {
  enum class Status : std::uint8_t { kPending, kCompleted, kCancelled, kExpired };

  std::string id;  // "upload_..."
  std::string project, owner;
  std::string filename, purpose, content_type;
  AccessList access;         // of the file that it becomes
  std::int64_t bytes = 0;    // that it will have
  Status status = Status::kPending;
  Micros created = 0, expires = 0;
  std::string file;          // "file-..." once it is completed
};
std::string_view upload_status_name(Upload::Status status);

struct UploadPart {
  std::string id;  // "part_..."
  std::string upload;
  std::int64_t bytes = 0;
  Micros created = 0;
};

// Thread-safe. An upload is seen by the principal who began it, and by no one else: kNotFound. What it refers to outlives it.
class UploadStore {
 public:
  static constexpr Micros kLifetime = Micros{3600} * 1'000'000;
  static constexpr std::int64_t kMaxPart = 64 << 20;  // bytes
  static constexpr int kMaxParts = 1024, kMostOpen = 16;  // of one upload; pending uploads of one project

  UploadStore(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, FileStore& files, infra::EventBus* events = nullptr, const Clock& clock = Clock::system())
      : sql_(sql), blobs_(blobs), files_(files), events_(events), clock_(clock) {}
  stoa::Status open();  // brings the tables up to date
  static Result<bool> uses(infra::SqlSession& session, const std::string& address);  // a data::BlobUse
  static std::vector<governance::SealedTable> sealed_tables();

  // The caller says filename, purpose, type, access and bytes. kResourceExhausted beyond kMostOpen.
  Result<Upload> begin(const Principal& principal, Upload upload);
  // kConflict when the upload is no longer pending; kTooLarge when its parts together have more than twice its bytes.
  Result<UploadPart> add_part(const Principal& principal, std::string_view upload, ByteSpan bytes);
  // The parts in this order are the file. kInvalidArgument when they do not have the bytes that were announced, or not this MD5 (hexadecimal; empty: any).
  Result<Upload> complete(const Principal& principal, std::string_view id, const std::vector<std::string>& parts, std::string_view md5);
  Result<Upload> cancel(const Principal& principal, std::string_view id);
  // Frees what has expired.
  stoa::Status sweep();

 private:
  Result<governance::ProjectKeys> keys(const Principal& principal) { return blobs_.sealer().project(principal.project); }
  Result<Upload> find(const Principal& principal, std::string_view id);
  Result<Upload> find_pending(const Principal& principal, std::string_view id);
  // False when it was no longer pending.
  Result<bool> end(const std::string& id, Upload::Status status, const std::string& file);

  infra::SqlDatabase& sql_;
  governance::SealedBlobs& blobs_;
  FileStore& files_;
  infra::EventBus* const events_;
  const Clock& clock_;
};

}  // namespace stoa::gateway::openai
