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

Index::Collection::Group* Index::Collection::group(const AccessList& access, const Marks& marks) {
  const auto known = groups.find({access.key(), marks});
  if (known != groups.end()) return known->second.get();
  return adopt(std::make_unique<Group>(access, marks, segment_of_new_group()));
}

Index::Segment* Index::Collection::segment_of_new_group() {
  constexpr std::size_t kSharedSlots = SparseIndex::kMaxSlot / 2;
  const auto own = static_cast<std::size_t>(std::ranges::count_if(segments, [](const auto& segment) { return !segment->shared(); }));
  if (own == kOwnSegments)
    for (const auto& segment : segments)
      if (segment->shared() && segment->words().held_words() < shared_words && segment->used() < kSharedSlots) return segment.get();
  return segments.emplace_back(std::make_unique<Segment>(own == kOwnSegments)).get();
}

Index::Collection::Group* Index::Collection::adopt(std::unique_ptr<Group> group) {
  const auto [place, fresh] = groups.try_emplace({group->access.key(), group->marks}, std::move(group));
  if (!fresh) return nullptr;
  Group* const added = place->second.get();
  for (const auto& name : entries(added->access)) (added->segment->shared() ? by_reader[name].sharing : by_reader[name].own).insert(added);
  return added;
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
    entry.group = group(document.access, marks_of(document.owner, document.attributes));
    auto slots = entry.group->segment->reserve(document.chunks.size(), static_cast<int>(width));
    if (!slots) {
      drop_if_unused(entry.group);
      return fail(std::move(slots).error());
    }
    entry.slots = std::move(*slots);
    entry.group->used += entry.slots.size();
  }
  entry.has_vectors = width != 0;
  entry.attributes = document.attributes;
  changes += entry.slots.size();
  for (std::size_t i = 0; i < entry.slots.size(); ++i) {
    auto put = entry.group->segment->put_vector(entry.slots[i], document.chunks[i].vector);
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
  std::vector<ChunkKey> keys;
  for (const IndexedChunk& chunk : document.chunks) keys.push_back(chunk.key);
  {
    const auto lock = exclude_searches();
    status = entry.group->segment->publish(entry.slots, keys, texts);
    if (status) {
      old = withdraw(document.id);
      show(entry);
      documents.insert_or_assign(document.id, entry);
    } else {
      old = std::move(entry);
    }
  }
  clear_away(old);
  return status;
}

void Index::Collection::show(const Entry& entry) {
  Group& group = *entry.group;
  group.segment->attributes().add(entry.slots, entry.attributes);
  if (!group.segment->shared()) return;
  const auto slots = ascending(entry.slots);
  group.slots.insert(slots);
  for (const auto& name : entries(group.access)) by_reader[name].slots[group.segment].insert(slots);
}

void Index::Collection::hide(const Entry& entry) {
  Group& group = *entry.group;
  group.segment->hide(entry.slots);
  group.segment->attributes().remove(entry.slots, entry.attributes);
  if (!group.segment->shared()) return;
  const auto slots = ascending(entry.slots);
  group.slots.erase(slots);
  for (const auto& name : entries(group.access)) {
    auto& readable = by_reader[name].slots;
    const auto of_segment = readable.find(group.segment);
    if (of_segment == readable.end()) continue;
    of_segment->second.erase(slots);
    if (of_segment->second.empty()) readable.erase(of_segment);
  }
}

Index::Collection::Entry Index::Collection::withdraw(const std::string& document) {
  auto found = documents.extract(document);
  if (found.empty()) return {};
  hide(found.mapped());
  return std::move(found.mapped());
}

// Gives back the slots of what no search finds any more.
void Index::Collection::clear_away(const Entry& entry) {
  if (entry.group == nullptr) return;
  changes += entry.slots.size();
  if (entry.has_vectors)
    for (const auto slot : entry.slots) entry.group->segment->drop_vector(slot);
  const auto lock = exclude_searches();
  entry.group->segment->release(entry.slots);
  entry.group->used -= entry.slots.size();
  drop_if_unused(entry.group);
}

// A group leaves with its last passage, and so does a segment, and its memory with it.
void Index::Collection::drop_if_unused(Group* group) {
  if (group->used > 0) return;
  Segment* const segment = group->segment;
  for (const auto& name : entries(group->access)) {
    auto& list = by_reader[name];
    (segment->shared() ? list.sharing : list.own).erase(group);
    if (list.empty()) by_reader.erase(name);
  }
  groups.erase({group->access.key(), group->marks});
  if (!segment->unused()) return;
  std::erase_if(segments, [&](const auto& one) { return one.get() == segment; });
}

}  // namespace stoa::data
