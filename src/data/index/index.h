// The search index of all collections, in memory: BM25 over words and exact search over vectors.
//
// A collection holds one segment for each distinct access list, and a search opens only segments the principal may read. All
// statistics (number of passages, document frequencies, mean length) are taken over the opened segments, so a search gives exactly
// what it would give if the other documents did not exist; nothing is filtered away after ranking.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/access_list.h"
#include "contracts/principal.h"
#include "data/index/attributes.h"

namespace stoa::data {

using ChunkKey = std::int64_t;  // number of a chunk in the store; unique over all collections

struct IndexedChunk {
  ChunkKey key = 0;
  std::string text;           // analysed for BM25; not kept
  std::vector<float> vector;  // unit length; empty when the chunk has none
};

struct IndexedDocument {
  std::string id;
  AccessList access;
  Attributes attributes;
  std::vector<IndexedChunk> chunks;
};

struct Hit {
  ChunkKey key = 0;
  double score = 0;  // BM25, or the cosine
};

struct Bm25Options {
  double k1 = 1.2;
  double b = 0.75;
};

// Inner product of two vectors of n floats; the same bits wherever they are stored.
float dot(const float* a, const float* b, std::size_t n);

// Searches run side by side; writes to a collection are short and exclude only searches of that collection. Thread-safe.
class Index {
 public:
  class Segment;  // internal

  explicit Index(Bm25Options options = {});
  ~Index();

  void add_collection(const std::string& collection, const std::string& project);
  void remove_collection(const std::string& collection);

  // Adds the document or replaces the one with the same id, at once for all searches. kNotFound: no such collection;
  // kInvalidArgument: a vector of another dimension than those of passages with the same readers.
  Status put(const std::string& collection, IndexedDocument document);
  // New readers or attributes for the same chunks. kNotFound when the document is not there.
  Status relabel(const std::string& collection, const std::string& document, const AccessList& access, const Attributes& attributes);
  void remove(const std::string& collection, const std::string& document);

  struct Scope {
    const Principal& principal;
    std::span<const std::string> collections;  // those of other projects, and unknown ones, count as empty
    const Filter* filter = nullptr;            // narrows the candidates, not the statistics
    std::size_t k = 10;
  };
  // The k best passages, best first; equal scores in order of their keys. Passages without any word of the query are not found.
  std::vector<Hit> search_text(const Scope& scope, std::string_view query) const;
  // `vector` of unit length. Passages whose vectors have another dimension are not found.
  std::vector<Hit> search_vector(const Scope& scope, std::span<const float> vector) const;

 private:
  struct Collection;
  struct View;
  View open(const Scope& scope) const;

  const Bm25Options options_;
  mutable std::shared_mutex mutex_;  // of the map
  std::map<std::string, std::shared_ptr<Collection>> collections_;
  std::shared_ptr<Collection> find(const std::string& collection) const;
};

}  // namespace stoa::data
