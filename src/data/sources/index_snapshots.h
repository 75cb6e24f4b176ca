// Snapshots of the index beside the rows it is made of, so that a start reads them instead of making words and graphs of all passages again. Each is a file of a folder, sealed
// piece by piece under the key of its project (docs/formats/index.md). What is missing, damaged, of another embedding model or of a revoked key costs time, never passages: the
// rows say what is there.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/result.h"
#include "data/index/index.h"
#include "governance/protection/sealer.h"

namespace stoa::data {

// In the names of collections of the index that are made beside others, to take their places: these are not saved.
constexpr char kMadeBeside = '~';

struct IndexSnapshotOptions {
  std::size_t min_passages = 1000;                 // a collection of fewer is indexed from its rows as fast
  double changed = 0.1;                            // share of the passages that came or went since the last one, after which a new one is written
  std::chrono::milliseconds every{60'000};         // how often that is looked at
};

// Thread-safe. `index` and `sealer` outlive it.
class IndexSnapshots {
 public:
  // Makes the folder where there is none, and removes what an interrupted write left in it.
  static Result<std::unique_ptr<IndexSnapshots>> open(std::filesystem::path folder, Index& index, governance::Sealer& sealer, IndexSnapshotOptions options = {});
  ~IndexSnapshots();  // stops

  // Brings back the collection, that the index knows and that is empty, as it was with vectors of the model that the index knows of it. False where there is no snapshot that
  // fits.
  bool load(const governance::ProjectKeys& keys, const std::string& collection);
  Status save(const governance::ProjectKeys& keys, const std::string& collection);
  void remove(const std::string& collection);
  // Removes those of all other collections.
  void keep_only(const std::set<std::string>& collections);

  // Writes those that changed enough, now and then, and at stop() those that changed at all.
  void start();
  void stop();

 private:
  IndexSnapshots(std::filesystem::path folder, Index& index, governance::Sealer& sealer, IndexSnapshotOptions options);
  std::filesystem::path file_of(const std::string& collection) const;
  void write_changed(double share);

  const std::filesystem::path folder_;
  Index& index_;
  governance::Sealer& sealer_;
  const IndexSnapshotOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread keeper_;
};

}  // namespace stoa::data
