// Collections (the vector stores of the OpenAI API) and the documents in them: rows in SQL, original bytes in the blob store, and the in-memory index kept equal to the rows. Names,
// texts, vectors and originals are sealed under the key of their project (governance/protection): while it is revoked every call that needs them is kPermissionDenied.
//
// Every call is made for a principal and sees its project only. Documents are seen by those their access list names; whoever brought a document in may also see it in lists and
// remove it (not search it). Policies may take documents away by what they say of themselves. What may not be seen is kNotFound, and no count or size includes it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/keyed_mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/access_list.h"
#include "contracts/call.h"
#include "contracts/retrieval.h"
#include "data/index/attributes.h"
#include "data/index/index.h"
#include "governance/access/access.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::data {

// How the documents of a collection become passages, words and vectors, which Ingest::reindex changes, and how it is searched.
struct CollectionSettings {
  std::string language = "english";  // data/index/analysis/languages.h
  int chunk_tokens = 0;              // at most, of a passage, and no more than the model reads; 0: what the server says
  std::string embedding_model;       // empty: what the server says
  std::string search;                // how it is searched where a search does not say: kept here, read by gateway/api
  bool operator==(const CollectionSettings&) const = default;
};

struct CollectionSpec {
  std::string name;                              // up to 256 bytes; may be empty; need not be unique
  std::map<std::string, std::string> metadata;   // at most 16, keys up to 64 bytes, values up to 512
  std::optional<int> expires_after_days;         // 1..365, counted from the last use
};

struct DocumentCounts {
  std::int64_t in_progress = 0, completed = 0, failed = 0, cancelled = 0, total = 0;
  std::int64_t bytes = 0;   // of the originals of completed documents
  std::int64_t chunks = 0;
};

struct Collection {
  std::string id;  // "vs_..."
  std::string project, name;
  std::map<std::string, std::string> metadata;
  CollectionSettings settings;
  std::optional<int> expires_after_days;
  Micros created = 0, last_active = 0;
  std::optional<Micros> expires;
  bool expired = false;
  DocumentCounts counts;  // of the documents the caller sees in lists
};

struct CollectionChange {
  std::optional<std::string> name;
  std::optional<std::map<std::string, std::string>> metadata;
  std::optional<std::optional<int>> expires_after_days;  // outer: change it; inner: to this, or to never
  std::optional<std::string> search;                     // of its settings
};

enum class DocumentStatus { kInProgress, kCompleted, kFailed, kCancelled };
std::string_view to_string(DocumentStatus status);  // in_progress completed failed cancelled

struct Document {
  std::string id;          // "doc_..."
  std::string collection;
  std::string source;      // name of the folder or feed it came from; "files" for attached files
  std::string path;        // name inside its source
  std::string file_id;     // "file-..." for attached files, else empty
  std::string title;
  std::string content_type;
  std::string digest;      // of the original bytes
  std::int64_t bytes = 0;
  std::int64_t chunks = 0;
  AccessList access;
  Attributes attributes;
  DocumentStatus status = DocumentStatus::kInProgress;
  ErrorCode error_code = ErrorCode::kInternal;  // of a failed one
  std::string error;
  Micros created = 0;
};

// One page of a listing. `after` is the id of the last item of the page before.
struct PageRequest {
  std::size_t limit = 20;  // 1..100
  std::string after;
  bool ascending = false;  // by time of creation
};
template <class T>
struct Page {
  std::vector<T> items;
  bool more = false;
};

struct DocumentContent {
  Document document;
  Bytes bytes;
};

// A passage, which of the hits it is, and what is said of its document.
struct FoundPassage {
  std::size_t hit = 0;
  Passage passage;
  Attributes attributes;
};

// How long ago the time of a passage's document is, in microseconds; 0 for what lies ahead.
struct PassageAge {
  Micros age = 0;
  bool by_attribute = false;  // the one that was named; otherwise since the document came in
};

// What is shown around a passage, out of its own section of the document, in reading order and at most 8 KB: the two chunks on either side, or as much of the whole.
enum class Surroundings { kNone, kNeighbours, kSection };

// Cosines to a query.
struct Nearness {
  double passage = 0;
  double sentence = 0;  // of the nearest one; that of the passage where its sentences have no vectors
};

// A query as an embedding model understands it.
struct QueryVector {
  std::string_view model;
  std::span<const float> values;
};

struct StoredDocument;
class IndexSnapshots;

class Catalog {
 public:
  // `access`: its policies may forbid documents by their attributes "class", "residency" and "labels" (separated by commas); null: access lists alone
  // decide. What is removed is told through `events`, so that a BlobCollector can free the originals; null: they stay.
  Catalog(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, Index& index, infra::EventBus* events = nullptr, const Clock& clock = Clock::system(),
          const governance::Access* access = nullptr);

  // Brings the tables up to date and fills the index from the rows. Collections that name no embedding model have `embedding_model` (empty: none); vectors of another than their
  // collection's are left out, and their passages found by text until they are made again. Projects whose key is revoked are left out of the
  // index. Collections of which `snapshots` (null: none) has one are read from there, and brought up to the rows. Call once, before anything else.
  Status open(const std::string& embedding_model, IndexSnapshots* snapshots = nullptr);
  // The project's content became unreadable, or readable again: it leaves the index, or comes back to it.
  Status reload_project(const std::string& project, bool readable);
  std::vector<governance::SealedTable> sealed_tables();

  Result<Collection> create_collection(const Call& call, const CollectionSpec& spec);
  Result<Collection> collection(const Call& call, const std::string& id);
  // The oldest collection of that name in the caller's project.
  Result<Collection> find_collection(const Call& call, const std::string& name);
  Result<Page<Collection>> collections(const Call& call, const PageRequest& page = {});
  Result<Collection> change_collection(const Call& call, const std::string& id, const CollectionChange& change);
  // With all its documents, also those the caller does not see. Their rows and originals are deleted later, by the worker of Ingest.
  Status remove_collection(const Call& call, const std::string& id);

  Result<Page<Document>> documents(const Call& call, const std::string& collection, const PageRequest& page = {},
                                   std::optional<DocumentStatus> status = {});
  Result<Document> document(const Call& call, const std::string& id);
  Result<Document> document_of_file(const Call& call, const std::string& collection, const std::string& file_id);
  Result<Document> set_attributes(const Call& call, const std::string& document, const Attributes& attributes);
  Status remove_document(const Call& call, const std::string& id);
  // From all collections of the caller's project, also where the caller does not see them: who may delete the file is the
  // caller's to check.
  Status remove_documents_of_file(const Call& call, const std::string& file_id);
  // Text of the document as it was indexed, chunk by chunk in reading order.
  Result<std::vector<std::string>> document_text(const Call& call, const std::string& id);
  // The original bytes, for opening a citation. Readers only.
  Result<DocumentContent> open_document(const Call& call, const std::string& id);

  // For search: what policies let the caller read, by marks; it must not outlive `call`. Empty where they say the same of all documents, and where they name single ones: what
  // these forbid is left out by passages() alone.
  std::function<bool(const Marks&)> permits(const Call& call) const;
  // Whether they name single documents: then what is in reach of permits() is more than the caller may know of.
  bool single_ones_are_forbidden(const Call& call) const;
  // For search: passages of hits, in their order; what the caller may not read (any more), or is not there any more, is left out.
  Result<std::vector<FoundPassage>> passages(const Call& call, std::span<const Hit> hits);
  // For search: how near passages of the caller's project are to a query, as their rows say, in the order of `keys`; nothing for those that have gone, or whose vectors are of
  // none of the models.
  Result<std::vector<std::optional<Nearness>>> nearness(const Call& call, std::span<const ChunkKey> keys, std::span<const QueryVector> query);
  // For search: the vectors of passages of the caller's project that are of this model; empty ones where there are none.
  Result<std::vector<std::vector<float>>> vectors(const Call& call, std::span<const ChunkKey> keys, std::string_view embedding_model);
  // For search: the ages of the documents of passages of the caller's project, by `attribute` (seconds since 1970 as a number, or RFC 3339) or, where a document says no such
  // time, since it came in. Nothing for passages that have gone.
  Result<std::vector<std::optional<PassageAge>>> ages(const Call& call, std::span<const ChunkKey> keys, const std::string& attribute);
  // For search: what stands around passages that passages() has given, each with its own text; empty where nothing does. A chunk that is a hit itself is not repeated
  // around another.
  Result<std::vector<std::string>> surroundings(const Call& call, std::span<const ChunkKey> hits, Surroundings wanted);
  // Of each of these collections the settings, with the name of the embedding model that it has (empty: none): those that the index has it with, or had until a moment ago.
  // kNotFound for one that is not the caller's or has expired.
  Result<std::vector<CollectionSettings>> searchable(const Call& call, std::span<const std::string> ids);

 private:
  friend class Ingest;        // writes documents; shares the rows and the index with this class
  friend class IngestWorker;

  // One transaction on a collection, with the index brought up to date before its next one begins: both see changes in one order. Other collections are not waited for: the index
  // of a large document takes seconds, and so does a snapshot.
  Status write(const std::string& collection, const std::function<Status(infra::SqlTransaction&)>& work);
  // Removes the documents that `where` (on documents d) names, all of one collection, with the transaction, and tells of their originals.
  Status remove_documents(infra::SqlTransaction& transaction, std::string_view where, const infra::SqlParams& params);
  // Waits for the collection's write at hand: rows that were read before are in the index after. So what is told as completed is found.
  void await_index(const std::string& collection) { const auto lock = writes_.lock(collection); }
  Status load_project(const governance::ProjectKeys& keys);
  Status load_collection(const governance::ProjectKeys& keys, const infra::SqlRow& row);
  std::string model_of(const CollectionSettings& settings) const { return settings.embedding_model.empty() ? embedding_model_ : settings.embedding_model; }
  // `indexed_as`: into the collection of the index that is called so; empty: into their own.
  Status load_documents(const governance::ProjectKeys& keys, const std::vector<StoredDocument>& documents, const std::string& indexed_as = {});
  // What the index gets of a document, with its vectors or without.
  Result<std::vector<IndexedChunk>> read_chunks(infra::SqlSession& session, const governance::ProjectKeys& keys, const std::string& document, bool with_vectors, const std::string& generation);
  // Brings owner, readers and attributes of an indexed document up to those it has now.
  void relabel_indexed(const governance::ProjectKeys& keys, const StoredDocument& stored);
  Result<governance::ProjectKeys> keys(const Call& call) { return blobs_.sealer().project(call.principal.project); }
  Result<DocumentCounts> count(const Call& call, const governance::ProjectKeys& keys, const std::string& collection);
  Result<Collection> with_counts(const Call& call, const governance::ProjectKeys& keys, const infra::SqlRow& row);
  // While the rows of this collection become others and the index does not have them yet, searches of it wait; empty: of none.
  void set_turning(const std::string& collection);
  // The row of a collection whose rows and index agree.
  Result<std::optional<infra::SqlRow>> settled(const Call& call, const std::string& collection);
  // False when the chunk has gone.
  Result<bool> fill_passage(const governance::ProjectKeys& keys, const Hit& hit, Passage& passage);
  // The document, when the caller may see it.
  bool permitted(const Call& call, const std::string& id, const Marks& marks) const;
  bool permitted(const Call& call, const StoredDocument& stored) const;
  Result<Document> visible(const Call& call, const governance::ProjectKeys& keys, const std::optional<infra::SqlRow>& row, const std::string& id);

  infra::SqlDatabase& sql_;
  governance::SealedBlobs& blobs_;
  Index& index_;
  infra::EventBus* const events_;
  const Clock& clock_;
  const governance::Access* const access_;
  std::string embedding_model_;
  IndexSnapshots* snapshots_ = nullptr;
  KeyedMutex writes_;  // by collection
  std::mutex turning_mutex_;
  std::string turning_;
};

}  // namespace stoa::data
