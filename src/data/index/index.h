// The search index of all collections, in memory: BM25 over words (data/index/sparse) and nearest vectors (data/index/dense).
//
// A collection holds its documents in groups of the same access list and the same marks that policies ask for, and a search opens only groups the principal may read. The first groups have
// segments of their own, the others share one (very large collections several), of which a search takes the slots of its groups. All statistics (number of passages, document frequencies, mean length) are taken over what is
// opened, so a search by words gives exactly what it would give if the other documents did not exist; nothing is filtered away after ranking. A search by vectors does too, but in shared segments
// of 4,096 vectors and more: there the others may touch which passages come up last, and the order of some that are nearly as near. What else is left: docs/adr/0002.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "contracts/access_list.h"
#include "contracts/principal.h"
#include "data/index/attributes.h"

namespace stoa::data {

class AnalyzerPool;

using ChunkKey = std::int64_t;  // number of a chunk in the store; unique over all collections

struct IndexedChunk {
  ChunkKey key = 0;
  std::string text;           // analysed for BM25; not kept
  std::vector<float> vector;  // of any length but zero; empty when the chunk has none
};

struct IndexedDocument {
  std::string id;
  AccessList access;
  Attributes attributes;
  std::vector<IndexedChunk> chunks;
  std::string owner{};  // id of the principal that brought it in
};

struct Hit {
  ChunkKey key = 0;
  double score = 0;  // BM25 as a share of the most that its query can give (SparseSearch::bound), or the cosine
};

// Where a snapshot is read from.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // The next bytes, which stay where they are until more are taken. Errors: those of the place, and kDataLoss where it ends before.
  virtual Result<ByteSpan> take(std::size_t count) = 0;
  virtual std::uint64_t left() const = 0;  // bytes
};
using SnapshotSink = std::function<Status(ByteSpan)>;

// Whether there is an angle to others: finite, and not zero.
bool has_direction(std::span<const float> vector);
// Inner product of two vectors of n floats; the same bits wherever they are stored.
float dot(const float* a, const float* b, std::size_t n);

// Searches run side by side. Writes to a collection wait for one another; they exclude its searches only while words are entered, vectors are entered beside them. Thread-safe.
class Index {
 public:
  class Segment;  // internal

  static constexpr std::uint64_t kSharedWords = 1ull << 29;  // half of what a segment can hold
  Index() : Index(kSharedWords) {}
  explicit Index(std::uint64_t shared_words);  // what a shared segment holds when groups that are new begin another one
  ~Index();

  // `language` as analysis/languages.h names it: how the texts of the collection become words. `embedding_model`: whose vectors it is given. kInvalidArgument: there is no
  // language of that name. Nothing when it is there.
  Status add_collection(const std::string& collection, const std::string& project, std::string_view language = "english", std::string_view embedding_model = {});
  // Empty: none, or no such collection.
  std::string embedding_model(const std::string& collection) const;
  void remove_collection(const std::string& collection);
  // From now on `collection` is what was made beside it under another name, which is gone. Nothing where either is not there.
  void turn_over(const std::string& collection, const std::string& made_beside);
  // How often they were turned over, all together: a search is of one state of each where this is the same before and after it.
  std::uint64_t turn_overs(std::span<const std::string> collections) const;

  // Adds the document or replaces the one with the same id, at once for all searches; on an error nothing changes. kNotFound: no such collection; kInvalidArgument: a vector
  // that is zero or not finite, or of another dimension than those of other passages.
  Status put(const std::string& collection, IndexedDocument document);
  // New readers, attributes or owner for the same chunks. Where readers or marks change, these are asked for again, and the document is gone if that fails. kNotFound when the
  // document is not there.
  using ChunkReader = std::function<Result<std::vector<IndexedChunk>>()>;
  Status relabel(const std::string& collection, const std::string& document, const AccessList& access, const Attributes& attributes, const std::string& owner, const ChunkReader& chunks);
  void remove(const std::string& collection, const std::string& document);

  struct Scope {
    const Principal& principal;
    std::span<const std::string> collections;  // those of other projects, and unknown ones, count as empty
    const Filter* filter = nullptr;            // narrows the candidates, not the statistics
    std::size_t k = 10;
    std::function<bool(const Marks&)> permits{};  // what policies say, asked for each group that lists let the principal read; empty: they let all through
  };
  enum class Syntax { kPlain, kOperators };    // sparse/query_syntax.h
  // The k best passages, best first; equal scores in order of their keys. Passages without any word of the query are not found. Collections of different languages are
  // searched apart, each with its own statistics. Errors: those of parse_query.
  Result<std::vector<Hit>> search_text(const Scope& scope, std::string_view query, Syntax syntax = Syntax::kPlain) const;
  // In collections of that model; of all where it is empty. Passages whose vectors have another dimension are not found. kInvalidArgument: zero or not finite.
  Result<std::vector<Hit>> search_vector(const Scope& scope, std::span<const float> vector, std::string_view embedding_model = {}) const;
  // What of the filter no document of the scope can be compared with, as sentences: attributes that none has, or none as a value of such a type.
  std::vector<std::string> filter_problems(const Scope& scope) const;

  // --- what outlives the process ---

  // Writes a snapshot (docs/formats/index.md); writes to the collection wait until it is written, searches do not. Nothing is given last, when they go on: only if the sink takes
  // that too, the collection counts as saved. kNotFound, also where it went meanwhile; or the sink's errors.
  Status save(const std::string& collection, const SnapshotSink& sink) const;
  // Brings back what was saved of a collection of the same language, in place of what is there. On an error nothing changes: kNotFound; kDataLoss for what save() does not
  // write; kUnsupported for another version of the format or of what makes words.
  Status load(const std::string& collection, SnapshotSource& source, int threads = 1);

  struct CollectionState {
    std::string id, project;
    std::size_t passages = 0;
    std::uint64_t changes = 0;  // passages that came or went since it was saved or loaded
  };
  std::vector<CollectionState> collections() const;
  struct DocumentState {
    ChunkKey first = 0;  // key of its first chunk
    std::size_t chunks = 0;
    AccessList access;
    Attributes attributes;
    std::string owner;
  };
  std::map<std::string, DocumentState> documents(const std::string& collection) const;

 private:
  struct Collection;
  struct View;
  View open(const Scope& scope, std::string_view embedding_model = {}) const;

  const std::uint64_t shared_words_;
  mutable std::shared_mutex mutex_;  // of the map
  std::map<std::string, std::shared_ptr<Collection>> collections_;
  std::shared_ptr<Collection> find(const std::string& collection) const;
  const std::unique_ptr<AnalyzerPool> analyzers_;
};

}  // namespace stoa::data
