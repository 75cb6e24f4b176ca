// Bringing documents in: durable jobs that parse, cut, embed and index files in the background, one document a transaction.
//
// A job names its files by digest; the client is told which bytes are missing, sends those, and starts the job. After a crash the
// job goes on at the first file that was not committed. The same file with the same bytes and readers is left alone; other
// readers only relabel it; other bytes replace it. One file that fails does not stop the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/access_list.h"
#include "contracts/call.h"
#include "data/index/embedders.h"
#include "data/parse/chunk.h"
#include "data/parse/document.h"
#include "data/sources/catalog.h"
#include "governance/cost/ledger.h"

namespace stoa::data {

struct IngestFile {
  std::string path;          // name inside the source, up to 1024 bytes: relative, '/' between folders, no "." or ".."
  std::string digest;        // "sha256:..."
  std::int64_t bytes = 0;
  std::string content_type;  // may be empty: found out from the bytes and the name
};

struct IngestSpec {
  std::string collection;
  std::string source;        // documents belong to it: the same path in another source is another document
  std::vector<IngestFile> files;
  AccessList access;
  Attributes attributes;     // of every file
  bool prune = false;        // remove the source's documents that the caller brought in or may read and `files` does not name
};

struct CreatedJob {
  std::string id;                    // "job_..."
  std::vector<std::string> missing;  // digests to put_blob before start; each once
};

enum class JobStatus { kWaiting, kRunning, kCompleted, kCancelled };
std::string_view to_string(JobStatus status);  // waiting running completed cancelled

struct FileError {
  std::string path;
  std::string message;
};

struct IngestProgress {
  std::string id;
  std::string collection;
  JobStatus status = JobStatus::kWaiting;
  std::int64_t total = 0, done = 0;             // files; done includes failed and unchanged
  std::int64_t failed = 0, unchanged = 0, removed = 0;
  std::int64_t bytes = 0, chunks = 0;           // of the files indexed by this job
  std::int64_t tokens = 0, compute_micros = 0;  // of embedding them
  std::int64_t file_chunks = 0, file_embedded = 0;  // of the file whose embedding has begun; 0: none has
  std::vector<FileError> errors;                // the first 100
};

struct AttachSpec {
  std::string collection;
  std::string file_id;     // "file-..."; attaching it again replaces the document
  std::string filename;
  std::string digest;      // of a blob that is in the store; the caller's right to it has been checked by the files API
  std::int64_t bytes = 0;
  std::string content_type;
  AccessList access;
  Attributes attributes;
  std::optional<int> max_chunk_tokens;  // smaller passages than the default
};

// What a collection is made anew with.
struct ReindexSpec {
  std::string collection;
  std::optional<std::string> language;  // absent: as it is
  std::optional<int> chunk_tokens;      // 16 or more, or 0 for the server's
  std::optional<std::string> embedding_model;  // by its name; empty for the server's
};

struct IngestLimits {
  std::size_t max_files = 100'000;   // of one job
  std::size_t max_jobs = 1'000;      // unfinished, of one project
  ParseLimits parse{.reader_memory = 512u << 20};
  milliseconds max_parse_time{300'000};  // of one file: a parser that hangs
  ChunkOptions chunk;
  std::size_t batch = 32;            // texts embedded at a time
  milliseconds max_batch_time{300'000};  // of one batch: an embedder that hangs. A file may take as long as its batches do
  milliseconds max_turn{2'000};         // of embedding one file, before others have their turns
};

class IngestWorker;

// Thread-safe. One worker thread between start_worker() and stop_worker().
class Ingest {
 public:
  // Documents of a collection without an embedding model are found by text only. Embedding is charged to `ledger`, a file at a time, as work of the kind
  // "ingest" of the request "<job>.<number of the file>", once however often a crash makes it be done again; null: not charged.
  Ingest(Catalog& catalog, Embedders embedders, governance::Ledger* ledger = nullptr, IngestLimits limits = {});
  ~Ingest();

  // Takes up unfinished jobs. Call after Catalog::open().
  Status start_worker();
  // Returns once the batch at hand is embedded or the document at hand committed; a file that was not is done again after the next start.
  void stop_worker();
  // Looks for jobs that can go on: those of a project whose key was revoked wait until it is given back. And deletes what removed collections had.
  void resume();

  Result<CreatedJob> create_job(const Call& call, const IngestSpec& spec);
  // Bytes of one file of a waiting job. kInvalidArgument when the bytes do not have that digest or no file of the job has.
  Status put_blob(const Call& call, const std::string& job, const std::string& digest, ByteSpan bytes);
  // kConflict while digests are missing, or when the job is not waiting.
  Status start(const Call& call, const std::string& job);
  Result<IngestProgress> progress(const Call& call, const std::string& job);
  // What is done stays; the rest is left. Ok when the job has ended already.
  Status cancel(const Call& call, const std::string& job);
  // Waits until the job has ended or the deadline passes; gives its progress then.
  Result<IngestProgress> wait(const Call& call, const std::string& job, Deadline deadline);

  // Makes passages, words and vectors of all documents of a collection anew, from their originals, with these settings, beside what is searched; when all are made, searches turn over to them at once. Documents that come meanwhile are taken along; one that cannot be read any more keeps the passages it
  // has. Also of documents that the caller does not see, of which nothing but their number is told. Gives the job. kNotFound: no such embedding model; kConflict: one is at work on this collection.
  Result<std::string> reindex(const Call& call, const ReindexSpec& spec);

  // One file, as the vector store API attaches it: the document is there at once, in progress.
  Result<Document> attach(const Call& call, const AttachSpec& spec);

 private:
  Result<bool> has_bytes(const Call& call, const governance::ProjectKeys& keys, const std::string& digest);

  Catalog& catalog_;
  const IngestLimits limits_;
  std::unique_ptr<IngestWorker> worker_;
};

}  // namespace stoa::data
