// A generator before which a cache stands. Inside the module: Cache::wrap makes it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "gateway/cache/cache.h"

namespace stoa::gateway {

// Of one request of a caller: thread-safe, for its alternatives. An answer from the cache has ChatOutcome::cache, and the usage of when it was made, for
// its price; its times are those of now.
class CachedGenerator final : public models::Generator {
 public:
  CachedGenerator(Cache& cache, std::shared_ptr<ProjectCache> kept, std::shared_ptr<const CacheSettings> settings, std::shared_ptr<models::Generator> inner, std::string served,
                  const CacheUse& use)
      : cache_(cache), kept_(std::move(kept)), settings_(std::move(settings)), inner_(std::move(inner)), served_(std::move(served)), use_(use) {}

  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override;
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override { return inner_->count_prompt_tokens(request); }
  int context_length() const override { return inner_->context_length(); }
  std::vector<std::string> targets() const override { return inner_->targets(); }
  std::vector<models::NamedAdapter> adapters(std::string_view project) const override { return inner_->adapters(project); }

 private:
  struct Asked;
  std::size_t alternative_of(const std::string& key);
  std::string served_for(const Call& call) const;
  std::optional<AskedQuestion> question_of(const Asked& asked, std::int64_t& compute_micros) const;
  Result<ChatOutcome> replay(const Asked& asked, const ProjectCache::Found& found, std::string_view kind) const;
  Result<ChatOutcome> lead(Asked& asked, const std::string& boarded, const std::shared_ptr<Flight>& flight);
  Result<ChatOutcome> generate_and_keep(Asked& asked, const Call& call, const models::DeltaSink& sink);
  void note(const Asked& asked, std::string_view kind, std::string_view source, double similarity) const;

  Cache& cache_;
  const std::shared_ptr<ProjectCache> kept_;
  const std::shared_ptr<const CacheSettings> settings_;
  const std::shared_ptr<models::Generator> inner_;
  const std::string served_;
  const CacheUse use_;
  std::mutex mutex_;
  std::map<std::string, std::size_t> asked_;  // how often, by key
};

}  // namespace stoa::gateway
