// Snapshots of collections: docs/formats/index.md.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "data/index/analysis/analyzer.h"
#include "data/index/collection.h"
#include "data/index/segment.h"

namespace stoa::data {
namespace {

constexpr std::string_view kMagic = "stoaindx";
constexpr std::uint32_t kVersion = 4;
constexpr std::size_t kMaxText = 1u << 16;

Error broken(std::string_view what) { return error(ErrorCode::kDataLoss, "the snapshot of a collection is broken: {}", what); }

}  // namespace

class SnapshotWriter {
 public:
  explicit SnapshotWriter(const SnapshotSink& sink) : sink_(sink) {}
  Status bytes(ByteSpan bytes) { return bytes.empty() ? Status{} : sink_(bytes); }
  Status number(std::uint64_t value) { return bytes(std::as_bytes(std::span(&value, 1))); }
  Status text(std::string_view text) {
    STOA_CHECK(number(text.size()));
    return bytes(as_bytes(text));
  }
  template <class T>
  Status list(std::span<const T> values) {
    STOA_CHECK(number(values.size()));
    return bytes(std::as_bytes(values));
  }

 private:
  const SnapshotSink& sink_;
};

class SnapshotReader {
 public:
  explicit SnapshotReader(SnapshotSource& source) : source_(source) {}

  Status bytes(std::span<std::byte> bytes) {
    STOA_TRY(taken, source_.take(bytes.size()));
    std::ranges::copy(taken, bytes.begin());
    return {};
  }
  Result<std::uint64_t> number() {
    std::uint64_t value = 0;
    STOA_CHECK(bytes(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  Result<std::uint64_t> number_up_to(std::uint64_t limit) {
    STOA_TRY(value, number());
    if (value > limit) return fail(broken("a number is out of its range"));
    return value;
  }
  Result<std::string> text(std::size_t limit = kMaxText) {
    STOA_TRY(size, number_up_to(limit));
    STOA_TRY(taken, source_.take(size));
    return std::string(as_text(taken));
  }
  template <class T>
  Result<std::vector<T>> list(std::uint64_t limit) {
    STOA_TRY(count, number_up_to(std::min(limit, source_.left() / sizeof(T))));
    STOA_TRY(taken, source_.take(count * sizeof(T)));
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), taken.data(), taken.size());
    return values;
  }
  // Of what follows.
  Result<std::uint64_t> size() { return number_up_to(source_.left()); }
  // What stays until more is read.
  Result<ByteSpan> take(std::size_t count) { return source_.take(count); }

 private:
  SnapshotSource& source_;
};

namespace {

Status write_attributes(SnapshotWriter& out, const Attributes& attributes) {
  STOA_CHECK(out.number(attributes.size()));
  for (const auto& [key, value] : attributes) {
    STOA_CHECK(out.text(key));
    STOA_CHECK(out.number(value.index()));
    if (const auto* text = std::get_if<std::string>(&value)) STOA_CHECK(out.text(*text));
    if (const auto* number = std::get_if<double>(&value)) STOA_CHECK(out.bytes(std::as_bytes(std::span(number, 1))));
    if (const auto* truth = std::get_if<bool>(&value)) STOA_CHECK(out.number(*truth ? 1 : 0));
  }
  return {};
}

Result<Attributes> read_attributes(SnapshotReader& in) {
  Attributes attributes;
  STOA_TRY(count, in.number_up_to(64));
  for (std::uint64_t i = 0; i < count; ++i) {
    STOA_TRY(key, in.text());
    STOA_TRY(kind, in.number_up_to(2));
    Attribute value;
    if (kind == 0) {
      STOA_TRY(text, in.text());
      value = std::move(text);
    } else if (kind == 1) {
      double number = 0;
      STOA_CHECK(in.bytes(std::as_writable_bytes(std::span(&number, 1))));
      value = number;
    } else {
      STOA_TRY(truth, in.number_up_to(1));
      value = truth == 1;
    }
    attributes.insert_or_assign(std::move(key), std::move(value));
  }
  STOA_CHECK(check_attributes(attributes));
  return attributes;
}

}  // namespace

Status Index::Segment::save(SnapshotWriter& out) const {
  STOA_CHECK(out.number(shared_ ? 1 : 0));
  STOA_CHECK(out.list(std::span<const std::int64_t>(keys_)));
  const std::string words = words_.save();
  STOA_CHECK(out.text(words));
  STOA_CHECK(out.number(vectors_ == nullptr ? 0 : 1));
  if (vectors_ == nullptr) return {};
  STOA_CHECK(out.number(vectors_->snapshot_bytes()));
  return vectors_->save([&](ByteSpan bytes) { return out.bytes(bytes); });
}

Result<std::unique_ptr<Index::Segment>> Index::Segment::load(SnapshotReader& in, int threads) {
  STOA_TRY(shared, in.number_up_to(1));
  auto segment = std::make_unique<Segment>(shared == 1);
  STOA_TRY(keys, in.list<std::int64_t>(SparseIndex::kMaxSlot));
  segment->keys_ = std::move(keys);
  {
    STOA_TRY(size, in.size());
    STOA_TRY(part, in.take(size));
    STOA_TRY(words, SparseIndex::load(as_text(part), threads));
    segment->words_ = std::move(words);
  }
  STOA_TRY(has_vectors, in.number_up_to(1));
  if (has_vectors == 1) {
    STOA_TRY(size, in.size());
    STOA_TRY(vectors, DenseIndex::load(size, [&](std::size_t count) { return in.take(count); }, threads));
    segment->vectors_ = std::make_unique<DenseIndex>(std::move(vectors));
  }
  return segment;
}

Status Index::Segment::take_back(std::span<const Slot> slots) {
  for (const Slot slot : slots) {
    if (slot >= keys_.size() || visible_.test(slot) || !words_.contains(slot)) return fail(broken("a slot is not what it should be"));
    visible_.set(slot);
  }
  used_ += slots.size();
  visible_count_ += slots.size();
  return {};
}

Status Index::Segment::settle() {
  if (words_.passages() != visible_count_ || (vectors_ != nullptr && vectors_->size() > visible_count_)) return fail(broken("a segment has more than its documents"));
  for (auto slot = static_cast<Slot>(keys_.size()); slot-- > 0;)
    if (!visible_.test(slot)) free_.push_back(slot);
  return {};
}

Status Index::save(const std::string& collection, const SnapshotSink& sink) const {
  const auto source = find(collection);
  if (source == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  std::uint64_t saved = 0;
  const auto write = [&]() -> Status {
    const auto writing = source->writers.alone();
    saved = source->changes;
    SnapshotWriter out(sink);
    STOA_CHECK(out.bytes(as_bytes(kMagic)));
    STOA_CHECK(out.number(kVersion));
    STOA_CHECK(out.text(words_version(source->language)));
    STOA_CHECK(out.number(source->segments.size()));
    std::map<const void*, std::uint64_t> segments, groups;  // their numbers
    for (const auto& segment : source->segments) {
      segments.emplace(segment.get(), segments.size());
      STOA_CHECK(segment->save(out));
    }
    STOA_CHECK(out.number(source->groups.size()));
    for (const auto& [key, group] : source->groups) {
      groups.emplace(group.get(), groups.size());
      STOA_CHECK(out.text(group->access.key()));
      for (const std::string* mark : {&group->marks.owner, &group->marks.data_class, &group->marks.residency, &group->marks.labels}) STOA_CHECK(out.text(*mark));
      STOA_CHECK(out.number(segments.at(group->segment)));
    }
    STOA_CHECK(out.number(source->documents.size()));
    for (const auto& [id, entry] : source->documents) {
      STOA_CHECK(out.text(id));
      STOA_CHECK(out.number(groups.at(entry.group)));
      STOA_CHECK(out.number(entry.has_vectors ? 1 : 0));
      STOA_CHECK(out.list(std::span<const Segment::Slot>(entry.slots)));
      STOA_CHECK(write_attributes(out, entry.attributes));
    }
    return {};
  };
  STOA_CHECK(write());
  STOA_CHECK(sink({}));
  source->changes -= saved;
  if (find(collection) == nullptr) return fail(ErrorCode::kNotFound, "the collection '{}' went while it was saved", collection);
  return {};
}

Status Index::Collection::read_groups(SnapshotReader& in, std::vector<Group*>& read) {
  std::vector<bool> taken(segments.size());
  STOA_TRY(count, in.size());
  for (std::uint64_t i = 0; i < count; ++i) {
    STOA_TRY(key, in.text());
    auto access = AccessList::parse(key);
    if (!access) return fail(broken("an access list is none"));
    Marks marks;
    for (std::string* mark : {&marks.owner, &marks.data_class, &marks.residency, &marks.labels}) {
      STOA_TRY(value, in.text());
      *mark = std::move(value);
    }
    STOA_TRY(number, in.number());
    if (number >= segments.size()) return fail(broken("a group is in no segment"));
    Segment* const segment = segments[number].get();
    if (taken[number] && !segment->shared()) return fail(broken("two groups are in a segment that is not shared"));
    taken[number] = true;
    read.push_back(adopt(std::make_unique<Group>(std::move(*access), std::move(marks), segment)));
    if (read.back() == nullptr) return fail(broken("two groups have the same readers and marks"));
  }
  return {};
}

Status Index::load(const std::string& collection, SnapshotSource& source, int threads) {
  const auto old = find(collection);
  if (old == nullptr) return fail(ErrorCode::kNotFound, "no collection '{}' in the index", collection);
  SnapshotReader in(source);
  std::array<char, kMagic.size()> magic{};
  STOA_CHECK(in.bytes(std::as_writable_bytes(std::span(magic))));
  if (std::string_view(magic.data(), magic.size()) != kMagic) return fail(broken("it does not begin as one"));
  STOA_TRY(version, in.number());
  STOA_TRY(words, in.text());
  if (version != kVersion || words != words_version(old->language))
    return fail(ErrorCode::kUnsupported, "the snapshot of a collection is of version {} with words of '{}'; this program has {} and '{}'", version, words, kVersion, words_version(old->language));
  auto fresh = std::make_shared<Collection>(old->project, old->language, old->embedding_model, shared_words_);
  STOA_TRY(segments, in.size());
  for (std::uint64_t i = 0; i < segments; ++i) {
    STOA_TRY(segment, Segment::load(in, threads));
    fresh->segments.push_back(std::move(segment));
  }
  if (std::ranges::count_if(fresh->segments, [](const auto& segment) { return !segment->shared(); }) > static_cast<std::ptrdiff_t>(Collection::kOwnSegments)) return fail(broken("too many segments are not shared"));
  std::vector<Collection::Group*> by_number;
  STOA_CHECK(fresh->read_groups(in, by_number));
  STOA_TRY(documents, in.number_up_to(source.left()));
  for (std::uint64_t i = 0; i < documents; ++i) {
    STOA_TRY(id, in.text());
    STOA_TRY(number, in.number());
    if (number >= by_number.size()) return fail(broken("a document is in no group"));
    Collection::Entry entry{.group = by_number[number]};
    Segment& segment = *entry.group->segment;
    STOA_TRY(has_vectors, in.number_up_to(1));
    entry.has_vectors = has_vectors == 1 && segment.has_vectors();
    STOA_TRY(slots, in.list<Segment::Slot>(SparseIndex::kMaxSlot));
    if (slots.empty()) return fail(broken("a document has no passages"));
    STOA_CHECK(segment.take_back(slots));
    entry.slots = std::move(slots);
    STOA_TRY(attributes, read_attributes(in));
    entry.attributes = std::move(attributes);
    if (marks_of(entry.group->marks.owner, entry.attributes) != entry.group->marks) return fail(broken("a document has other marks than its group"));
    entry.group->used += entry.slots.size();
    fresh->show(entry);
    if (!fresh->documents.try_emplace(std::move(id), std::move(entry)).second) return fail(broken("a document is there twice"));
  }
  if (std::ranges::any_of(by_number, [](const Collection::Group* group) { return group->used == 0; })) return fail(broken("a group has no documents"));
  for (const auto& segment : fresh->segments) {
    STOA_CHECK(segment->settle());
    if (segment->unused()) return fail(broken("a segment has no documents"));
  }
  std::lock_guard lock(mutex_);  // `old` ends after it
  const auto place = collections_.find(collection);
  if (place == collections_.end() || place->second != old) return fail(ErrorCode::kNotFound, "the collection '{}' went while its snapshot was read", collection);
  place->second = std::move(fresh);
  return {};
}

std::vector<Index::CollectionState> Index::collections() const {
  std::vector<std::pair<std::string, std::shared_ptr<Collection>>> all;
  {
    std::shared_lock lock(mutex_);
    all.assign(collections_.begin(), collections_.end());
  }
  std::vector<CollectionState> states;
  for (const auto& [id, collection] : all) {
    const auto lock = collection->lock_reader();
    std::size_t passages = 0;
    for (const auto& segment : collection->segments) passages += segment->words().passages();
    states.push_back({id, collection->project, passages, collection->changes});
  }
  return states;
}

std::map<std::string, Index::DocumentState> Index::documents(const std::string& collection) const {
  std::map<std::string, DocumentState> states;
  const auto source = find(collection);
  if (source == nullptr) return states;
  const auto lock = source->lock_reader();
  for (const auto& [id, entry] : source->documents) {
    const Collection::Group& group = *entry.group;
    DocumentState state{group.segment->keys()[entry.slots.front()], entry.slots.size(), group.access, entry.attributes, group.marks.owner};
    states.emplace(id, std::move(state));
  }
  return states;
}

}  // namespace stoa::data
