#include "gateway/cache/cache.h"

#include <array>

#include "base/log.h"
#include "gateway/cache/cached_embedder.h"
#include "gateway/cache/cached_generator.h"

namespace stoa::gateway {
namespace {

Status check_name(std::string_view name) {
  if (name == Cache::kName) return {};
  return fail(error(ErrorCode::kInvalidArgument, "a project has one text about its caches, and it is called '{}'", Cache::kName).with_param("name"));
}

Status check_settings(const governance::TextVersion& text) {
  if (text.project.empty()) return fail(ErrorCode::kInvalidArgument, "caches belong to projects");
  STOA_CHECK(parse_cache_settings(text.text, text.name));
  return {};
}

}  // namespace

Result<std::unique_ptr<Cache>> Cache::open(CacheParts parts) {
  std::unique_ptr<Cache> cache(new Cache(std::move(parts)));
  STOA_TRY(texts, governance::VersionedTexts::open(cache->parts_.database, cache->parts_.audit, cache->parts_.access,
                                                   {.noun = "cache", .component = "gateway/cache", .table = "cache_settings", .read = governance::Action::kModelList,
                                                    .manage = governance::Action::kModelManage, .max_names = 1, .check_name = check_name, .check_text = check_settings},
                                                   cache->parts_.clock));
  cache->texts_ = std::move(texts);
  STOA_TRY(live, governance::LiveTexts<Settings>::open(*cache->texts_, [self = cache.get()](const std::vector<governance::TextVersion>& heads) {
             auto all = std::make_shared<Settings>();
             for (const auto& head : heads) {
               if (auto settings = parse_cache_settings(head.text, head.name))
                 all->emplace(head.project, std::make_shared<const CacheSettings>(std::move(*settings)));
               else  // of another release
                 log_error("stored settings of a cache cannot be read: nothing is kept", settings.error(), {{"project", head.project}});
             }
             self->forget_projects_without(*all);
             return all;
           }));
  cache->live_ = std::move(live);
  return cache;
}

std::shared_ptr<const CacheSettings> Cache::settings(std::string_view project) const {
  const auto all = live_->current();
  const auto found = all->find(project);
  return found == all->end() ? nullptr : found->second;
}

std::shared_ptr<ProjectCache> Cache::project(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto found = projects_.find(name);
  return found == projects_.end() ? nullptr : found->second;
}

std::shared_ptr<ProjectCache> Cache::make_project(std::string_view name) {
  std::lock_guard lock(mutex_);
  auto found = projects_.find(name);
  if (found == projects_.end()) found = projects_.emplace(std::string(name), std::make_shared<ProjectCache>(bytes_)).first;
  return found->second;
}

bool Cache::has_room() const { return bytes_.load(std::memory_order_relaxed) < kMaxBytes; }

void Cache::count(ProjectCache& kept, ProjectCache::Counted what) {
  kept.count(what);
  constexpr std::array<std::string_view, 4> kResults{"hit", "semantic", "shared", "miss"};
  parts_.metrics.counter("stoa_cache_requests_total", "Requests that a cache was asked for, by what it had.", {{"result", std::string(kResults[static_cast<std::size_t>(what)])}}).add();
  parts_.metrics.gauge("stoa_cache_bytes", "Kept answers and embeddings of all projects.").set(static_cast<double>(bytes_.load(std::memory_order_relaxed)));
}

void Cache::count_texts(std::size_t found, std::size_t missed) {
  for (const auto& [result, texts] : {std::pair("hit", found), std::pair("miss", missed)})
    if (texts > 0) parts_.metrics.counter("stoa_cache_embeddings_total", "Texts whose embedding a cache was asked for, by what it had.", {{"result", result}}).add(static_cast<double>(texts));
}

// What a project does not want kept any more is forgotten at once.
void Cache::forget_projects_without(const Settings& settings) {
  std::lock_guard lock(mutex_);
  CachePurge everything;
  everything.all = true;
  std::erase_if(projects_, [&](const auto& project) {
    if (settings.contains(project.first)) return false;
    project.second->purge(everything);
    return true;
  });
}

std::shared_ptr<models::Generator> Cache::wrap(std::shared_ptr<models::Generator> generator, std::string_view project, std::string served, const CacheUse& use) {
  auto settings = this->settings(project);
  if (settings == nullptr || settings->answers == CacheSettings::Answers::kOff) return generator;
  return std::make_shared<CachedGenerator>(*this, make_project(project), std::move(settings), std::move(generator), std::move(served), use);
}

std::unique_ptr<data::Embedder> Cache::wrap(data::Embedder& inner) { return std::make_unique<CachedEmbedder>(*this, inner); }

Result<std::size_t> Cache::purge(const Call& call, const CachePurge& what) {
  if (what.empty()) return fail(error(ErrorCode::kInvalidArgument, "name what is to be forgotten: a key, tag, document or model, or all").with_param("all"));
  if (auto permit = parts_.access.check(call, governance::Action::kModelManage, governance::Resource::of(call.principal, "cache", std::string(kName))); !permit) return fail(std::move(permit).error());
  const auto kept = project(call.principal.project);
  const std::size_t purged = kept == nullptr ? 0 : kept->purge(what);
  auto entry = governance::AuditEntry::of(call, "cache.purge", "cache");
  entry.reason = fmt::format("{} entries{}", purged, what.all ? "" : fmt::format(" of key '{}', tag '{}', document '{}', model '{}'", what.key, what.tag, what.document, what.model));
  STOA_CHECK(parts_.audit.append(std::move(entry)));
  return purged;
}

CacheStats Cache::stats(std::string_view name) const {
  const auto kept = project(name);
  return kept == nullptr ? CacheStats{} : kept->stats();
}

void Cache::forget_document(const std::string& document) {
  std::vector<std::shared_ptr<ProjectCache>> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, kept] : projects_) all.push_back(kept);
  }
  CachePurge what;
  what.document = document;
  for (const auto& kept : all) kept->purge(what);
}

void Cache::forget_project(const std::string& name) {
  const auto kept = project(name);
  CachePurge what;
  what.all = true;
  if (kept != nullptr) kept->purge(what);
}

}  // namespace stoa::gateway
