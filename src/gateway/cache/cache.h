// Answers and embeddings that need not be made again: per project, as its settings say, and never shared across projects.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "contracts/cache_note.h"
#include "data/index/embedder.h"
#include "gateway/cache/flights.h"
#include "gateway/cache/project_cache.h"
#include "governance/versions/live_texts.h"
#include "governance/versions/versioned_texts.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

struct CacheParts {
  infra::SqlDatabase& database;
  governance::AuditLog& audit;
  const governance::Access& access;
  Metrics& metrics;
  const Clock& clock = Clock::system();
  // Whether this caller's request may go to that target: an answer is kept for those who may use the same ones. Empty: all may.
  std::function<bool(const Call& call, const std::string& target)> permits{};
  data::Embedder* embedder = nullptr;  // for the likeness of questions; null: there is none, and `semantic` does nothing
};

// Thread-safe. What the parts refer to outlives it, and it outlives what it wraps.
class Cache {
 public:
  static constexpr std::string_view kName = "cache";  // of the settings, of which a project has one text
  static constexpr std::size_t kMaxBytes = 512u << 20;  // of all projects; beyond, nothing more is kept until some goes

  static Result<std::unique_ptr<Cache>> open(CacheParts parts);

  // Settings: reading needs model.list, changing model.manage.
  governance::VersionedTexts& texts() { return *texts_; }

  // What answers for `model` to a caller of the project; itself where the project keeps no answers. Of one request: equal ones among those that it is asked are
  // alternatives, which have to differ. `served`: what stands behind the name besides the targets of a route.
  std::shared_ptr<models::Generator> wrap(std::shared_ptr<models::Generator> generator, std::string_view project, std::string served, const CacheUse& use = {});
  // The same for an embedder, for callers of all projects. `inner` outlives it.
  std::unique_ptr<data::Embedder> wrap(data::Embedder& inner);

  // Needs model.manage; written to the audit log. Gives how many entries went. kInvalidArgument when nothing is named.
  Result<std::size_t> purge(const Call& call, const CachePurge& what);
  CacheStats stats(std::string_view project) const;

  // A document has changed or gone: answers that its text was in are forgotten.
  void forget_document(const std::string& document);
  void forget_project(const std::string& project);

 private:
  friend class CachedGenerator;
  friend class CachedEmbedder;
  using Settings = std::map<std::string, std::shared_ptr<const CacheSettings>, std::less<>>;  // by project

  explicit Cache(CacheParts parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const CacheSettings> settings(std::string_view project) const;  // null: it has none
  std::shared_ptr<ProjectCache> project(std::string_view name) const;             // null: nothing was kept yet
  std::shared_ptr<ProjectCache> make_project(std::string_view name);
  bool has_room() const;
  void count(ProjectCache& kept, ProjectCache::Counted what);
  void count_texts(std::size_t found, std::size_t missed);
  void forget_projects_without(const Settings& settings);

  CacheParts parts_;
  std::atomic<std::size_t> bytes_{0};  // of all projects
  mutable std::mutex mutex_;           // of `projects_`
  std::map<std::string, std::shared_ptr<ProjectCache>, std::less<>> projects_;  // as many as have settings
  Flights flights_;
  std::unique_ptr<governance::VersionedTexts> texts_;
  std::unique_ptr<governance::LiveTexts<Settings>> live_;
};

}  // namespace stoa::gateway
