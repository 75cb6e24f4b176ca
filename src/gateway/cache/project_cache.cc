#include "gateway/cache/project_cache.h"

#include <algorithm>
#include <numeric>

namespace stoa::gateway {
namespace {

constexpr Micros kSecond = 1'000'000;

LruBounds bounds_of(const CacheSettings& settings) { return {static_cast<std::size_t>(settings.max_entries), static_cast<std::size_t>(settings.max_bytes)}; }

bool fits(const CachePurge& what, std::string_view key, const CachedAnswer& answer) {
  const auto named = [](const std::string& wanted, const std::vector<std::string>& list) { return wanted.empty() || std::ranges::find(list, wanted) != list.end(); };
  return (what.key.empty() || key == what.key) && (what.model.empty() || answer.model == what.model) && named(what.tag, answer.tags) && named(what.document, answer.documents);
}

}  // namespace

std::string numbers_in(std::string_view text) {
  std::string numbers;
  bool in = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (digit) numbers.append(in || numbers.empty() ? "" : " ").push_back(c);
    in = digit;
  }
  return numbers;
}

ProjectCache::Found ProjectCache::find(const std::string& key, Micros now) {
  std::lock_guard lock(mutex_);
  const auto* found = answers_.find(key, now);
  return found == nullptr ? Found{} : Found{*found, 1, key};
}

ProjectCache::Found ProjectCache::find_like(const AskedQuestion& question, double threshold, Micros now) {
  std::lock_guard lock(mutex_);
  auto* frame = frames_.find(question.frame, now);
  if (frame == nullptr) return {};
  Found best{.answer = nullptr, .similarity = threshold, .key = {}};
  for (const Question& known : *frame) {
    if (known.expires <= now || known.numbers != question.numbers || known.vector.size() != question.vector.size()) continue;
    const double similarity = std::inner_product(known.vector.begin(), known.vector.end(), question.vector.begin(), 0.0);
    if (similarity < best.similarity) continue;
    const auto* answer = answers_.find(known.key, now);
    if (answer != nullptr) best = {*answer, std::min(1.0, similarity), known.key};
  }
  return best.answer == nullptr ? Found{} : best;
}

void ProjectCache::count_bytes() {
  const std::size_t bytes = answers_.bytes() + frames_.bytes() + embeddings_.bytes();
  total_ += bytes - counted_;  // modulo 2^64: also down
  counted_ = bytes;
}

std::uint64_t ProjectCache::purges() const {
  std::lock_guard lock(mutex_);
  return purges_;
}

void ProjectCache::put(const std::string& key, CachedAnswer answer, std::optional<AskedQuestion> question, const CacheSettings& settings, Micros now, std::uint64_t purges) {
  const LruBounds bounds = bounds_of(settings);
  const std::size_t bytes = answer.bytes();
  auto kept = std::make_shared<const CachedAnswer>(std::move(answer));
  std::lock_guard lock(mutex_);
  if (purges != purges_) return;
  answers_.put(key, std::move(kept), bytes, now + settings.ttl_seconds * kSecond, bounds);
  count_bytes();
  if (!question || !settings.semantic) return;
  const Micros expires = now + std::min(settings.ttl_seconds, settings.semantic->ttl_seconds) * kSecond;
  auto* known = frames_.find(question->frame, now);
  std::vector<Question> questions = known == nullptr ? std::vector<Question>{} : std::move(*known);
  std::erase_if(questions, [&](const Question& other) { return other.expires <= now || other.key == key; });
  if (questions.size() >= kMaxOfFrame) questions.erase(questions.begin());
  questions.push_back({std::move(question->vector), std::move(question->numbers), key, expires});
  const std::size_t size = questions.size() * (sizeof(Question) + questions.back().vector.size() * sizeof(float) + key.size());
  frames_.put(question->frame, std::move(questions), size, expires, bounds);
  count_bytes();
}

std::optional<CachedEmbedding> ProjectCache::find_embedding(const std::string& key, Micros now) {
  std::lock_guard lock(mutex_);
  const auto* found = embeddings_.find(key, now);
  ++(found == nullptr ? counts_.embedding_misses : counts_.embedding_hits);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

void ProjectCache::put_embedding(std::string key, CachedEmbedding embedding, const CacheSettings& settings, Micros now) {
  const std::size_t bytes = embedding.values.size() * sizeof(float);
  std::lock_guard lock(mutex_);
  embeddings_.put(std::move(key), std::move(embedding), bytes, now + settings.ttl_seconds * kSecond, bounds_of(settings));
  count_bytes();
}

std::size_t ProjectCache::purge(const CachePurge& what) {
  std::lock_guard lock(mutex_);
  ++purges_;
  std::size_t purged = answers_.erase_if([&](std::string_view key, const auto& answer) { return what.all || fits(what, key, *answer); });
  if (what.all) {
    frames_.erase_if([](std::string_view, const auto&) { return true; });
    purged += embeddings_.erase_if([](std::string_view, const auto&) { return true; });
  }
  count_bytes();
  return purged;
}

void ProjectCache::count(Counted what) {
  std::lock_guard lock(mutex_);
  switch (what) {
    case Counted::kHit: ++counts_.hits; break;
    case Counted::kSemantic: ++counts_.semantic; break;
    case Counted::kShared: ++counts_.shared; break;
    case Counted::kMiss: ++counts_.misses; break;
  }
}

CacheStats ProjectCache::stats() const {
  std::lock_guard lock(mutex_);
  CacheStats stats = counts_;
  stats.answers = answers_.size();
  stats.answer_bytes = answers_.bytes() + frames_.bytes();
  stats.embeddings = embeddings_.size();
  stats.embedding_bytes = embeddings_.bytes();
  return stats;
}

}  // namespace stoa::gateway
