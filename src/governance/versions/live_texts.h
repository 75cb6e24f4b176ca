// What is made of versioned texts, for serving from memory: read again when they change, here at once, elsewhere within kRefresh.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "governance/versions/versioned_texts.h"

namespace stoa::governance {

// Thread-safe. The texts outlive it, and change only after it is made.
template <class T>
class LiveTexts {
 public:
  static constexpr milliseconds kRefresh{100};
  using Make = std::function<std::shared_ptr<const T>(const std::vector<TextVersion>& heads)>;  // a text that cannot be read is logged, and left out

  static Result<std::unique_ptr<LiveTexts>> open(VersionedTexts& texts, Make make) {
    std::unique_ptr<LiveTexts> live(new LiveTexts(texts, std::move(make)));
    STOA_CHECK(live->load());
    texts.on_change([self = live.get()] { self->reload(); });
    return live;
  }
  ~LiveTexts() { texts_.on_change({}); }

  // Looks into the store at most every kRefresh; a store that does not answer leaves what was known in force.
  void refresh() {
    const std::int64_t now = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
    std::int64_t looked = looked_.load(std::memory_order_relaxed);
    if (now - looked >= kRefresh.count() && looked_.compare_exchange_strong(looked, now)) reload();
  }
  std::shared_ptr<const T> current() {
    refresh();
    std::lock_guard lock(mutex_);
    return made_;
  }

 private:
  LiveTexts(VersionedTexts& texts, Make make) : texts_(texts), make_(std::move(make)) {}

  void reload() {
    if (const auto loaded = load(); !loaded) log_error("changed texts were not taken over: those before stay in force", loaded.error(), {{"kind", texts_.kind().noun}});
  }
  Status load() {
    std::lock_guard loading(loading_);
    STOA_TRY(sequence, texts_.sequence());
    if (sequence == sequence_) return {};
    STOA_TRY(heads, texts_.heads());
    auto made = make_(heads);
    std::lock_guard lock(mutex_);
    made_ = std::move(made);
    sequence_ = sequence;
    return {};
  }

  VersionedTexts& texts_;
  const Make make_;
  std::atomic<std::int64_t> looked_{0};  // when refresh() last asked the store, on the steady clock
  std::mutex loading_;                   // of one who reads the store
  std::int64_t sequence_ = -1;           // of what is made; under `loading_`
  std::mutex mutex_;                     // of `made_`
  std::shared_ptr<const T> made_;
};

}  // namespace stoa::governance
