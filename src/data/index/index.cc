#include "data/index/index.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "data/index/analysis/analyzer_pool.h"
#include "data/index/collection.h"
#include "data/index/segment.h"
#include "data/index/sparse/query_syntax.h"

namespace stoa::data {
namespace {

// What a principal can present: the entries of access lists that let it in.
std::vector<std::string> credentials(const Principal& principal) {
  std::vector<std::string> names{"public"};
  if (!principal.user.empty()) names.push_back("user:" + principal.user);
  for (const auto& group : principal.groups) names.push_back("group:" + group);
  return names;
}

void keep_best(std::vector<Hit>& hits, std::size_t k) {
  const auto better = [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.key < b.key; };
  const auto end = hits.begin() + static_cast<std::ptrdiff_t>(std::min(k, hits.size()));
  std::partial_sort(hits.begin(), end, hits.end(), better);
  hits.erase(end, hits.end());
}

void collect_comparisons(const Filter& filter, std::vector<const Filter*>& comparisons) {
  if (filter.op != FilterOp::kAnd && filter.op != FilterOp::kOr) comparisons.push_back(&filter);
  for (const Filter& part : filter.filters) collect_comparisons(part, comparisons);
}

std::string type_names(unsigned types) {
  constexpr std::array<std::string_view, 3> kNames{"a text", "a number", "a truth value"};  // by Attribute::index()
  std::string names;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if ((types >> i & 1) != 0) names += (names.empty() ? "" : " or ") + std::string(kNames[i]);
  return names;
}

bool lets_all_through(const Filter* filter) { return filter == nullptr || (filter->op == FilterOp::kAnd && filter->filters.empty()); }

}  // namespace

// What one search may open, with the locks that keep it as it is.
struct Index::View {
  struct Opened {
    const Segment* segment;
    std::optional<SlotBitmap> readable{};  // of a shared segment; none: all that is visible

    const SlotBitmap& all() const { return readable ? *readable : segment->visible(); }
  };

  std::vector<std::shared_ptr<Collection>> collections;
  std::vector<std::shared_lock<std::shared_mutex>> locks;
  std::map<std::string, std::vector<Opened>> segments;  // by language

  void open_segments(const Collection& collection, const Scope& scope, std::span<const std::string> names);
  static void open_shared(const Segment& shared, const Scope& scope, std::span<const Collection::Readable* const> readable, std::vector<Opened>& opened);
};

Index::Index(std::uint64_t shared_words) : shared_words_(shared_words), analyzers_(std::make_unique<AnalyzerPool>()) {}
Index::~Index() = default;

Status Index::add_collection(const std::string& collection, const std::string& project, std::string_view language, std::string_view embedding_model) {
  const Language* known = find_language(language);
  if (known == nullptr) return fail(ErrorCode::kInvalidArgument, "no words are known of the language '{}'", to_valid_utf8(language.substr(0, 40)));
  std::lock_guard lock(mutex_);
  collections_.try_emplace(collection, std::make_shared<Collection>(project, known->name, embedding_model, shared_words_));
  return {};
}

void Index::remove_collection(const std::string& collection) {
  std::shared_ptr<Collection> gone;  // ends after the lock, which all searches need: a large one takes a while
  std::lock_guard lock(mutex_);
  const auto found = collections_.find(collection);
  if (found == collections_.end()) return;
  gone = std::move(found->second);
  collections_.erase(found);
}

void Index::turn_over(const std::string& collection, const std::string& made_beside) {
  std::shared_ptr<Collection> gone;  // ends after the lock
  std::lock_guard lock(mutex_);
  const auto old = collections_.find(collection), made = collections_.find(made_beside);
  if (old == collections_.end() || made == collections_.end()) return;
  made->second->turn_overs = old->second->turn_overs + 1;
  gone = std::exchange(old->second, std::move(made->second));
  collections_.erase(made);
}

std::uint64_t Index::turn_overs(std::span<const std::string> collections) const {
  std::shared_lock lock(mutex_);
  std::uint64_t all = 0;
  for (const std::string& id : collections)
    if (const auto found = collections_.find(id); found != collections_.end()) all += found->second->turn_overs;
  return all;
}

std::string Index::embedding_model(const std::string& collection) const {
  const auto found = find(collection);
  return found == nullptr ? std::string() : found->embedding_model;
}

std::shared_ptr<Index::Collection> Index::find(const std::string& collection) const {
  std::shared_lock lock(mutex_);
  const auto found = collections_.find(collection);
  return found == collections_.end() ? nullptr : found->second;
}

Status Index::put(const std::string& collection, IndexedDocument document) {
  const auto target = find(collection);
  if (target == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  if (document.chunks.empty()) {
    remove(collection, document.id);
    return {};
  }
  STOA_TRY(words, analyzers_->lend(target->language));
  std::vector<AnalysedText> texts(document.chunks.size());
  for (std::size_t i = 0; i < texts.size(); ++i) words->analyse(document.chunks[i].text, Analyzer::Purpose::kPassage, texts[i]);
  const auto writing = target->write_beside();
  STOA_TRY(entry, target->bring_in(document));
  return target->publish(std::move(entry), document, texts);
}

Status Index::relabel(const std::string& collection, const std::string& document, const AccessList& access, const Attributes& attributes, const std::string& owner, const ChunkReader& chunks) {
  const auto target = find(collection);
  if (target == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  {
    const auto writing = target->write_beside();
    const auto lock = target->exclude_searches();
    const auto found = target->documents.find(document);
    if (found == target->documents.end()) return fail(ErrorCode::kNotFound, "no document '{}' in the index", document);
    auto& entry = found->second;
    if (entry.group->access == access && entry.group->marks == marks_of(owner, attributes)) {
      entry.group->segment->attributes().remove(entry.slots, entry.attributes);
      entry.attributes = attributes;
      entry.group->segment->attributes().add(entry.slots, entry.attributes);
      return {};
    }
  }
  auto again = chunks();
  auto moved = again ? put(collection, {document, access, attributes, std::move(*again), owner}) : Status(fail(std::move(again).error()));
  if (!moved) remove(collection, document);  // rather not found than found by whom it is no longer for
  return moved;
}

void Index::remove(const std::string& collection, const std::string& document) {
  const auto target = find(collection);
  if (target == nullptr) return;
  const auto writing = target->write_beside();
  Collection::Entry old;
  {
    const auto lock = target->exclude_searches();
    old = target->withdraw(document);
  }
  target->clear_away(old);
}

// Looked up by what the principal presents, never by walking all groups.
void Index::View::open_segments(const Collection& collection, const Scope& scope, std::span<const std::string> names) {
  std::vector<const Collection::Readable*> readable;
  for (const auto& name : names)
    if (const auto found = collection.by_reader.find(name); found != collection.by_reader.end()) readable.push_back(&found->second);
  const auto permitted = [&](const Collection::Group* group) { return !scope.permits || scope.permits(group->marks); };
  auto& opened = segments[collection.language];
  std::set<const Segment*> own;
  for (const auto* by_name : readable)
    for (const auto* group : by_name->own)
      if (permitted(group) && own.insert(group->segment).second) opened.push_back({group->segment});

  for (const auto& segment : collection.segments)
    if (segment->shared()) open_shared(*segment, scope, readable, opened);
}

void Index::View::open_shared(const Segment& shared, const Scope& scope, std::span<const Collection::Readable* const> readable, std::vector<Opened>& opened) {
  SlotBitmap slots;
  const auto add = [&](std::uint32_t slot) { slots.set(slot); };
  for (const auto* by_name : readable) {
    const auto found = by_name->slots.find(&shared);
    if (found == by_name->slots.end()) continue;
    if (!scope.permits) {
      if (found->second.size() == shared.passages()) {
        opened.push_back({&shared});
        return;
      }
      found->second.for_each(add);
      continue;
    }
    for (const auto* group : by_name->sharing)
      if (group->segment == &shared && scope.permits(group->marks)) group->slots.for_each(add);
  }
  if (const std::size_t count = slots.count(); count == shared.passages()) {
    opened.push_back({&shared});
  } else if (count > 0) {
    opened.push_back({&shared, std::move(slots)});
  }
}

Index::View Index::open(const Scope& scope, std::string_view embedding_model) const {
  View view;
  std::vector<std::string> ids(scope.collections.begin(), scope.collections.end());
  std::ranges::sort(ids);  // one order of locking for all searches
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const std::vector<std::string> names = credentials(scope.principal);
  for (const auto& id : ids) {
    auto collection = find(id);
    if (collection == nullptr || scope.principal.project.empty() || collection->project != scope.principal.project) continue;
    if (!embedding_model.empty() && collection->embedding_model != embedding_model) continue;
    view.locks.push_back(collection->lock_reader());
    view.open_segments(*collection, scope, names);
    view.collections.push_back(std::move(collection));
  }
  return view;
}

Result<std::vector<Hit>> Index::search_text(const Scope& scope, std::string_view query, Syntax syntax) const {
  const View view = open(scope);
  const bool all = lets_all_through(scope.filter);
  std::vector<Hit> hits;
  for (const auto& [language, segments] : view.segments) {
    STOA_TRY(words, analyzers_->lend(language));
    SparseQuery parsed;
    if (syntax == Syntax::kPlain) {
      parsed = plain_query(query, *words);
    } else {
      STOA_TRY(tree, parse_query(query, *words));
      parsed = std::move(tree);
    }
    SparseSearch search(parsed, {}, scope.k);
    for (const View::Opened& opened : segments) {
      const std::span<const std::uint64_t> bits = opened.all().words();
      search.count(opened.segment->words(), opened.readable ? &bits : nullptr);
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const View::Opened& opened = segments[i];
      const SlotBitmap matching = all ? SlotBitmap() : opened.segment->attributes().match(*scope.filter, opened.all());
      const std::span<const std::uint64_t> bits = all ? opened.all().words() : matching.words();
      search.run(opened.segment->words(), {static_cast<std::uint32_t>(i), opened.segment->keys(), all && !opened.readable ? nullptr : &bits});
    }
    for (const SparseHit& hit : search.take()) hits.push_back({hit.key, hit.score / search.bound()});
  }
  keep_best(hits, scope.k);
  return hits;
}

Result<std::vector<Hit>> Index::search_vector(const Scope& scope, std::span<const float> vector, std::string_view embedding_model) const {
  const View view = open(scope, embedding_model);
  const bool all = lets_all_through(scope.filter);
  std::vector<Hit> hits;
  for (const auto& [language, segments] : view.segments) {
    for (const View::Opened& opened : segments) {
      if (all) {
        STOA_CHECK(opened.segment->nearest(vector, scope.k, opened.readable ? &*opened.readable : nullptr, hits));
        continue;
      }
      const SlotBitmap matching = opened.segment->attributes().match(*scope.filter, opened.all());
      STOA_CHECK(opened.segment->nearest(vector, scope.k, &matching, hits));
    }
  }
  keep_best(hits, scope.k);
  return hits;
}

std::vector<std::string> Index::filter_problems(const Scope& scope) const {
  std::vector<const Filter*> comparisons;
  if (scope.filter != nullptr) collect_comparisons(*scope.filter, comparisons);
  if (comparisons.empty()) return {};
  const View view = open(scope);
  std::vector<std::string> problems;
  for (const Filter* comparison : comparisons) {
    unsigned wanted = 0, there = 0;
    for (const Attribute& value : comparison->values) wanted |= 1u << value.index();
    for (const auto& [language, segments] : view.segments)
      for (auto opened = segments.begin(); opened != segments.end() && (there & wanted) == 0; ++opened) there |= opened->segment->attributes().types(comparison->key, opened->all());
    if (wanted == 0 || (there & wanted) != 0) continue;
    const std::string key = to_valid_utf8(comparison->key);
    problems.push_back(there == 0 ? fmt::format("no document that you may read has an attribute '{}'", key)
                                  : fmt::format("'{}' is compared with {}, and is {} in all documents that you may read", key, type_names(wanted), type_names(there)));
  }
  return problems;
}

bool has_direction(std::span<const float> vector) {
  const double square = dot(vector.data(), vector.data(), vector.size());
  return std::isfinite(square) && square > 0;
}

// Sixteen running sums let the compiler use whatever vector unit there is, and fix the order of summation: the same two vectors
// give the same bits wherever they are stored.
float dot(const float* a, const float* b, std::size_t n) {
  using Lanes = float __attribute__((vector_size(64)));
  Lanes sum{};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Lanes x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    sum += x * y;
  }
  float total = 0;
  for (int lane = 0; lane < 16; ++lane) total += sum[lane];
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace stoa::data
