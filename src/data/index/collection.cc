#include "data/index/collection.h"

#include <algorithm>
#include <utility>

namespace stoa::data {
namespace {

std::vector<std::string> entries(const AccessList& access) {
  if (access.is_public) return {"public"};
  std::vector<std::string> names;
  for (const auto& user : access.users) names.push_back("user:" + user);
  for (const auto& group : access.groups) names.push_back("group:" + group);
  return names;
}

}  // namespace

Index::Segment* Index::Collection::segment(const AccessList& access, const Marks& marks) {
  const SegmentKey key{access.key(), marks};
  if (!segments.contains(key)) adopt(std::make_unique<Segment>(access, marks));
  return segments.at(key).get();
}

bool Index::Collection::adopt(std::unique_ptr<Segment> segment) {
  Segment* const added = segment.get();
  if (!segments.try_emplace({added->access().key(), added->marks()}, std::move(segment)).second) return false;
  for (const auto& name : entries(added->access())) by_reader[name].push_back(added);
  return true;
}

// Takes slots and enters the vectors, which no search finds yet.
Result<Index::Collection::Entry> Index::Collection::bring_in(const IndexedDocument& document) {
  std::size_t width = 0;
  for (const auto& chunk : document.chunks) {
    if (chunk.vector.empty()) continue;
    if (width == 0) width = chunk.vector.size();
    if (chunk.vector.size() != width) return fail(ErrorCode::kInvalidArgument, "document {} has vectors of {} and of {} numbers", document.id, width, chunk.vector.size());
  }
  Entry entry;
  {
    const auto lock = exclude_searches();
    entry.segment = segment(document.access, marks_of(document.owner, document.attributes));
    auto slots = entry.segment->reserve(document.chunks.size(), static_cast<int>(width));
    if (!slots) {
      drop_if_unused(entry.segment);
      return fail(std::move(slots).error());
    }
    entry.slots = std::move(*slots);
  }
  entry.has_vectors = width != 0;
  entry.attributes = document.attributes;
  changes += entry.slots.size();
  for (std::size_t i = 0; i < entry.slots.size(); ++i) {
    auto put = entry.segment->put_vector(entry.slots[i], document.chunks[i].vector);
    if (put) continue;
    clear_away(entry);
    return fail(std::move(put).error());
  }
  return entry;
}

// Makes the document found, in place of the one with its id, at once.
Status Index::Collection::publish(Entry entry, const IndexedDocument& document, const std::vector<AnalysedText>& texts) {
  Entry old;
  Status status;
  {
    const auto lock = exclude_searches();
    for (std::size_t i = 0; status && i < texts.size(); ++i) status = entry.segment->publish(entry.slots[i], document.chunks[i].key, texts[i]);
    if (status) {
      old = withdraw(document.id);
      entry.segment->attributes().add(entry.slots, entry.attributes);
      documents.insert_or_assign(document.id, entry);
    } else {
      for (const auto slot : entry.slots) entry.segment->hide(slot);
      old = std::move(entry);
    }
  }
  clear_away(old);
  return status;
}

Index::Collection::Entry Index::Collection::withdraw(const std::string& document) {
  auto found = documents.extract(document);
  if (found.empty()) return {};
  Entry& entry = found.mapped();
  for (const auto slot : entry.slots) entry.segment->hide(slot);
  entry.segment->attributes().remove(entry.slots, entry.attributes);
  return std::move(entry);
}

// Gives back the slots of what no search finds any more.
void Index::Collection::clear_away(const Entry& entry) {
  if (entry.segment == nullptr) return;
  changes += entry.slots.size();
  if (entry.has_vectors)
    for (const auto slot : entry.slots) entry.segment->drop_vector(slot);
  const auto lock = exclude_searches();
  entry.segment->release(entry.slots);
  drop_if_unused(entry.segment);
}

// A segment leaves with its last passage, and its memory with it.
void Index::Collection::drop_if_unused(Segment* segment) {
  if (!segment->unused()) return;
  for (const auto& name : entries(segment->access())) {
    auto& list = by_reader[name];
    std::erase(list, segment);
    if (list.empty()) by_reader.erase(name);
  }
  segments.erase({segment->access().key(), segment->marks()});
}

}  // namespace stoa::data
