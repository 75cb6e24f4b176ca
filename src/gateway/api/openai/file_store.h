// Uploaded files: rows in SQL, bytes in the blob store, names and bytes sealed under the key of the project. A file belongs to a project; its access list says who in the project sees
// it besides the one who uploaded it, and passes on to the documents made from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/access_list.h"
#include "contracts/principal.h"
#include "data/sources/catalog.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::gateway::openai {

struct StoredFile {
  std::string id;  // "file-..."
  std::string project, owner;
  AccessList access;
  std::string filename, purpose, content_type, digest;
  std::int64_t bytes = 0;
  Micros created = 0;
};

// What a vector store keeps of one call to attach several files.
struct FileBatch {
  std::string id;  // "vsfb_..."
  std::string collection;
  std::vector<std::string> files;
  Micros created = 0;
};

// Thread-safe. What the principal may not see is kNotFound.
class FileStore {
 public:
  // The bytes of deleted files are released through `events` (data/sources/blob_collector.h); null: they stay.
  FileStore(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, infra::EventBus* events = nullptr, const Clock& clock = Clock::system())
      : sql_(sql), blobs_(blobs), events_(events), clock_(clock) {}
  Status open();  // brings the tables up to date
  static Result<bool> uses(infra::SqlSession& session, const std::string& address);  // a data::BlobUse
  governance::SealedTable sealed_table();

  struct NewFile {
    std::string filename, purpose, content_type;
    AccessList access;
  };
  Result<StoredFile> add(const Principal& principal, NewFile file, ByteSpan bytes);
  Result<StoredFile> find(const Principal& principal, std::string_view id);
  Result<Bytes> content(const Principal& principal, std::string_view id, std::uint64_t max_bytes);
  // Newest first unless the page says otherwise; empty `purpose`: all.
  Result<data::Page<StoredFile>> list(const Principal& principal, const data::PageRequest& page, std::string_view purpose);
  // The caller has been allowed to: the uploader may, others need document.manage.
  Status remove(const Principal& principal, std::string_view id);

  Result<FileBatch> add_batch(const Principal& principal, std::string_view collection, std::vector<std::string> files);
  Result<FileBatch> batch(const Principal& principal, std::string_view collection, std::string_view id);

 private:
  Result<governance::ProjectKeys> keys(const Principal& principal) { return blobs_.sealer().project(principal.project); }

  infra::SqlDatabase& sql_;
  governance::SealedBlobs& blobs_;
  infra::EventBus* const events_;
  const Clock& clock_;
};

bool is_file_id(std::string_view text);

}  // namespace stoa::gateway::openai
