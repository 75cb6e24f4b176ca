// What is kept of one project: answers, by key and by likeness of the question, and embeddings. In memory only: it is gone with the process, and with the
// project's key.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/cache/answer.h"
#include "gateway/cache/lru.h"
#include "gateway/cache/settings.h"

namespace stoa::gateway {

// What is to be forgotten: what fits all that is named.
struct CachePurge {
  std::string key;       // as the header x-stoa-cache-key says
  std::string tag;       // "team=search": of the request that the answer was generated for
  std::string document;  // whose text was in the prompt
  std::string model;     // as callers name it
  bool all = false;      // everything, embeddings too; without it, embeddings stay

  bool empty() const { return key.empty() && tag.empty() && document.empty() && model.empty() && !all; }
};

struct CacheStats {
  std::size_t answers = 0, answer_bytes = 0, embeddings = 0, embedding_bytes = 0;
  std::int64_t hits = 0, semantic = 0, shared = 0, misses = 0;            // requests
  std::int64_t embedding_hits = 0, embedding_misses = 0;                  // texts
};

struct CachedEmbedding {
  std::vector<float> values;
  int tokens = 0;
};

// A question among those of its frame (request_key.h).
struct AskedQuestion {
  std::string frame;
  std::vector<float> vector;  // of unit length
  std::string numbers;        // in the question, in order: questions with other numbers are never alike
};
// Runs of digits, one after another.
std::string numbers_in(std::string_view text);

// Thread-safe.
class ProjectCache {
 public:
  // `total` counts the bytes of all projects; it outlives this.
  explicit ProjectCache(std::atomic<std::size_t>& total) : total_(total) {}
  ~ProjectCache() { total_ -= counted_; }

  struct Found {
    std::shared_ptr<const CachedAnswer> answer;  // null: nothing
    double similarity = 1;
    std::string key;  // of the entry
  };
  Found find(const std::string& key, Micros now);
  // The most similar question of the frame, if it is similar enough.
  Found find_like(const AskedQuestion& question, double threshold, Micros now);
  // Not kept when something was purged since `purges` was read: it might have been among that.
  void put(const std::string& key, CachedAnswer answer, std::optional<AskedQuestion> question, const CacheSettings& settings, Micros now, std::uint64_t purges);
  std::uint64_t purges() const;

  std::optional<CachedEmbedding> find_embedding(const std::string& key, Micros now);
  void put_embedding(std::string key, CachedEmbedding embedding, const CacheSettings& settings, Micros now);

  std::size_t purge(const CachePurge& what);
  enum class Counted : std::uint8_t { kHit, kSemantic, kShared, kMiss };
  void count(Counted what);
  CacheStats stats() const;

 private:
  static constexpr std::size_t kMaxOfFrame = 512;  // questions; the oldest goes first
  struct Question {
    std::vector<float> vector;
    std::string numbers, key;  // of the answer
    Micros expires = 0;
  };

  void count_bytes();

  std::atomic<std::size_t>& total_;
  mutable std::mutex mutex_;  // of what follows
  std::size_t counted_ = 0;   // in `total_`
  Lru<std::shared_ptr<const CachedAnswer>> answers_;
  Lru<std::vector<Question>> frames_;
  Lru<CachedEmbedding> embeddings_;
  std::uint64_t purges_ = 0;
  CacheStats counts_;
};

}  // namespace stoa::gateway
