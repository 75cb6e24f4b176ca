#include "data/index/index.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "data/index/analysis/analyzer.h"
#include "data/index/segment.h"

namespace stoa::data {
namespace {

Analyzer& analyzer() {
  thread_local Analyzer instance;
  return instance;
}

StoredChunk analyse(IndexedChunk chunk) {
  StoredChunk stored{chunk.key, 0, {}, std::move(chunk.vector)};
  std::unordered_map<std::string, std::uint32_t> frequencies;
  for (auto& term : analyzer().terms(chunk.text)) {
    ++frequencies[std::move(term)];
    ++stored.length;
  }
  stored.terms.assign(frequencies.begin(), frequencies.end());
  return stored;
}

// What a principal can present: the entries of access lists that let it in.
std::vector<std::string> credentials(const Principal& principal) {
  std::vector<std::string> names{"public"};
  if (!principal.user.empty()) names.push_back("user:" + principal.user);
  for (const auto& group : principal.groups) names.push_back("group:" + group);
  return names;
}

std::vector<std::string> entries(const AccessList& access) {
  if (access.is_public) return {"public"};
  std::vector<std::string> names;
  for (const auto& user : access.users) names.push_back("user:" + user);
  for (const auto& group : access.groups) names.push_back("group:" + group);
  return names;
}

void keep_best(std::vector<Hit>& hits, std::size_t k) {
  const auto better = [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.key < b.key; };
  const auto end = hits.begin() + static_cast<std::ptrdiff_t>(std::min(k, hits.size()));
  std::partial_sort(hits.begin(), end, hits.end(), better);
  hits.erase(end, hits.end());
}

// Whether a document passes the filter, decided once a document: its chunks follow one another.
class FilterCache {
 public:
  explicit FilterCache(const Filter* filter) : filter_(filter) {}
  bool passes(const DocumentInfo* document) {
    if (document == nullptr) return false;
    if (filter_ == nullptr) return true;
    if (document != last_) {
      last_ = document;
      passes_ = filter_->matches(document->attributes);
    }
    return passes_;
  }

 private:
  const Filter* filter_;
  const DocumentInfo* last_ = nullptr;
  bool passes_ = false;
};

}  // namespace

struct Index::Collection {
  struct Entry {
    Segment* segment = nullptr;
    std::vector<Segment::Slot> slots;
  };

  explicit Collection(std::string owner) : project(std::move(owner)) {}

  const std::string project;
  // `gate` lets a waiting writer go before readers that come later: a stream of searches cannot starve ingest.
  mutable std::mutex gate;
  mutable std::shared_mutex mutex;
  std::map<std::string, std::unique_ptr<Segment>> segments;             // by access key
  std::unordered_map<std::string, std::vector<Segment*>> by_reader;      // by entry of the access list
  std::unordered_map<std::string, Entry> documents;

  std::unique_lock<std::shared_mutex> lock_writer() const {
    std::lock_guard wait(gate);
    return std::unique_lock(mutex);
  }
  std::shared_lock<std::shared_mutex> lock_reader() const {
    std::lock_guard wait(gate);
    return std::shared_lock(mutex);
  }

  Segment* segment(const AccessList& access) {
    auto& slot = segments[access.key()];
    if (slot == nullptr) {
      slot = std::make_unique<Segment>(access);
      for (const auto& name : entries(access)) by_reader[name].push_back(slot.get());
    }
    return slot.get();
  }
  void insert(const std::shared_ptr<const DocumentInfo>& info, const AccessList& access, std::vector<StoredChunk> chunks) {
    if (chunks.empty()) return;
    Entry entry{segment(access), {}};
    for (auto& chunk : chunks) entry.slots.push_back(entry.segment->add(std::move(chunk), info));
    documents.insert_or_assign(info->id, std::move(entry));
  }
  std::vector<StoredChunk> erase(const std::string& document) {
    std::vector<StoredChunk> chunks;
    const auto found = documents.find(document);
    if (found == documents.end()) return chunks;
    Segment* segment = found->second.segment;
    for (const auto slot : found->second.slots) chunks.push_back(segment->take(slot));
    documents.erase(found);
    drop_if_empty(segment);
    return chunks;
  }
  // A segment leaves with its last passage, and its memory with it.
  void drop_if_empty(Segment* segment) {
    if (!segment->empty()) return;
    for (const auto& name : entries(segment->access())) {
      auto& list = by_reader[name];
      std::erase(list, segment);
      if (list.empty()) by_reader.erase(name);
    }
    segments.erase(segment->access().key());
  }
};

// The segments one search may open, with the locks that keep them as they are.
struct Index::View {
  std::vector<std::shared_ptr<Collection>> collections;
  std::vector<std::shared_lock<std::shared_mutex>> locks;
  std::vector<const Segment*> segments;
};

Index::Index(Bm25Options options) : options_(options) {}
Index::~Index() = default;

void Index::add_collection(const std::string& collection, const std::string& project) {
  std::lock_guard lock(mutex_);
  collections_.try_emplace(collection, std::make_shared<Collection>(project));
}

void Index::remove_collection(const std::string& collection) {
  std::lock_guard lock(mutex_);
  collections_.erase(collection);
}

std::shared_ptr<Index::Collection> Index::find(const std::string& collection) const {
  std::shared_lock lock(mutex_);
  const auto found = collections_.find(collection);
  return found == collections_.end() ? nullptr : found->second;
}

Status Index::put(const std::string& collection, IndexedDocument document) {
  const auto target = find(collection);
  if (target == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  std::size_t width = 0;
  for (const auto& chunk : document.chunks) {
    if (chunk.vector.empty()) continue;
    if (width == 0) width = chunk.vector.size();
    if (chunk.vector.size() != width) return fail(ErrorCode::kInvalidArgument, "document {} has vectors of {} and of {} numbers", document.id, width, chunk.vector.size());
  }
  std::vector<StoredChunk> chunks;
  chunks.reserve(document.chunks.size());
  for (auto& chunk : document.chunks) chunks.push_back(analyse(std::move(chunk)));
  auto info = std::make_shared<const DocumentInfo>(document.id, std::move(document.attributes));
  const auto lock = target->lock_writer();
  const auto same = target->segments.find(document.access.key());
  const int present = same == target->segments.end() ? 0 : same->second->dimensions();
  if (width != 0 && present != 0 && width != static_cast<std::size_t>(present)) {
    return fail(ErrorCode::kInvalidArgument, "document {} has vectors of {} numbers, its collection of {}", document.id, width, present);
  }
  target->erase(document.id);
  target->insert(info, document.access, std::move(chunks));
  return {};
}

Status Index::relabel(const std::string& collection, const std::string& document, const AccessList& access, const Attributes& attributes) {
  const auto target = find(collection);
  if (target == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  auto info = std::make_shared<const DocumentInfo>(document, attributes);
  const auto lock = target->lock_writer();
  if (!target->documents.contains(document)) return fail(ErrorCode::kNotFound, "no document '{}' in the index", document);
  target->insert(info, access, target->erase(document));
  return {};
}

void Index::remove(const std::string& collection, const std::string& document) {
  const auto target = find(collection);
  if (target == nullptr) return;
  const auto lock = target->lock_writer();
  target->erase(document);
}

Index::View Index::open(const Scope& scope) const {
  View view;
  std::vector<std::string> ids(scope.collections.begin(), scope.collections.end());
  std::ranges::sort(ids);  // one order of locking for all searches
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const std::vector<std::string> names = credentials(scope.principal);
  for (const auto& id : ids) {
    auto collection = find(id);
    if (collection == nullptr || scope.principal.project.empty() || collection->project != scope.principal.project) continue;
    view.locks.push_back(collection->lock_reader());
    // Looked up by what the principal presents, never by walking all segments: time does not depend on the others.
    std::vector<const Segment*> opened;
    for (const auto& name : names) {
      const auto found = collection->by_reader.find(name);
      if (found == collection->by_reader.end()) continue;
      for (const Segment* segment : found->second) {
        if (may_read(scope.principal, segment->access()) && std::ranges::find(opened, segment) == opened.end()) opened.push_back(segment);
      }
    }
    view.segments.insert(view.segments.end(), opened.begin(), opened.end());
    view.collections.push_back(std::move(collection));
  }
  return view;
}

// BM25 as Robertson and Zaragoza (2009) give it, with the idf ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative.
std::vector<Hit> Index::search_text(const Scope& scope, std::string_view query) const {
  const std::vector<std::string> terms = analyzer().query_terms(query);
  const View view = open(scope);
  double passages = 0, words = 0;
  for (const Segment* segment : view.segments) {
    passages += static_cast<double>(segment->live());
    words += static_cast<double>(segment->total_length());
  }
  if (words == 0 || terms.empty()) return {};
  const double mean = words / passages;
  std::vector<double> idf(terms.size());
  for (std::size_t t = 0; t < terms.size(); ++t) {
    double df = 0;
    for (const Segment* segment : view.segments) df += static_cast<double>(segment->postings(terms[t]).size());
    idf[t] = std::log(1 + (passages - df + 0.5) / (df + 0.5));
  }
  std::vector<Hit> hits;
  std::vector<double> scores;
  FilterCache filter(scope.filter);
  for (const Segment* segment : view.segments) {
    scores.assign(segment->slots(), 0);
    for (std::size_t t = 0; t < terms.size(); ++t) {
      for (const auto& posting : segment->postings(terms[t])) {
        const double tf = posting.frequency;
        const double norm = options_.k1 * (1 - options_.b + options_.b * segment->length(posting.slot) / mean);
        scores[posting.slot] += idf[t] * tf * (options_.k1 + 1) / (tf + norm);
      }
    }
    for (Segment::Slot slot = 0; slot < scores.size(); ++slot) {
      if (scores[slot] > 0 && filter.passes(segment->document(slot))) hits.push_back({segment->key(slot), scores[slot]});
    }
  }
  keep_best(hits, scope.k);
  return hits;
}

std::vector<Hit> Index::search_vector(const Scope& scope, std::span<const float> vector) const {
  const View view = open(scope);
  std::vector<Hit> hits;
  FilterCache filter(scope.filter);
  for (const Segment* segment : view.segments) {
    if (vector.empty() || segment->dimensions() != static_cast<int>(vector.size())) continue;
    for (Segment::Slot slot = 0; slot < segment->slots(); ++slot) {
      const float* values = segment->vector(slot);
      if (values == nullptr || !filter.passes(segment->document(slot))) continue;
      hits.push_back({segment->key(slot), dot(vector.data(), values, vector.size())});
    }
  }
  keep_best(hits, scope.k);
  return hits;
}

}  // namespace stoa::data
