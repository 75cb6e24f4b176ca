#include "data/index/attribute_index.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace stoa::data {
namespace {

void add_all(SlotBitmap& bitmap, const SlotSet& slots) {
  slots.for_each([&](std::uint32_t slot) { bitmap.set(slot); });
}

std::vector<std::uint32_t> ascending(std::span<const std::uint32_t> slots) {
  std::vector<std::uint32_t> sorted(slots.begin(), slots.end());
  std::ranges::sort(sorted);
  return sorted;
}

}  // namespace

void AttributeIndex::add(std::span<const std::uint32_t> slots, const Attributes& attributes) {
  if (slots.empty()) return;
  const auto added = ascending(slots);
  for (const auto& [key, value] : attributes) keys_[key][value].insert(added);
}

void AttributeIndex::remove(std::span<const std::uint32_t> slots, const Attributes& attributes) {
  const auto gone = ascending(slots);
  for (const auto& [key, value] : attributes) {
    const auto values = keys_.find(key);
    if (values == keys_.end()) continue;
    const auto list = values->second.find(value);
    if (list == values->second.end()) continue;
    list->second.erase(gone);
    if (!list->second.empty()) continue;
    values->second.erase(list);
    if (values->second.empty()) keys_.erase(values);
  }
}

const AttributeIndex::Values* AttributeIndex::values(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

unsigned AttributeIndex::types(const std::string& key) const {
  const Values* values = this->values(key);
  if (values == nullptr) return 0;
  unsigned types = 0;
  // Values of one type stand together.
  for (const Attribute& least : {Attribute(std::string()), Attribute(-std::numeric_limits<double>::infinity()), Attribute(false)})
    if (const auto at = values->lower_bound(least); at != values->end() && at->first.index() == least.index()) types |= 1u << least.index();
  return types;
}

SlotBitmap AttributeIndex::listed(const Filter& filter) const {
  SlotBitmap bitmap;
  const Values* values = this->values(filter.key);
  if (values == nullptr) return bitmap;
  for (const Attribute& value : filter.values)
    if (const auto list = values->find(value); list != values->end()) add_all(bitmap, list->second);
  return bitmap;
}

SlotBitmap AttributeIndex::in_order(const Filter& filter) const {
  SlotBitmap bitmap;
  const Values* values = this->values(filter.key);
  if (values == nullptr || filter.values.empty()) return bitmap;
  const Attribute& bound = filter.values[0];
  // Values of one type stand together: those of others end the way in either direction.
  const auto same_type = [&](const auto& entry) { return entry.first.index() == bound.index(); };
  if (filter.op == FilterOp::kGt || filter.op == FilterOp::kGte) {
    for (auto at = filter.op == FilterOp::kGt ? values->upper_bound(bound) : values->lower_bound(bound); at != values->end() && same_type(*at); ++at) add_all(bitmap, at->second);
  } else {
    for (auto at = filter.op == FilterOp::kLt ? values->lower_bound(bound) : values->upper_bound(bound); at != values->begin() && same_type(*std::prev(at)); --at)
      add_all(bitmap, std::prev(at)->second);
  }
  return bitmap;
}

SlotBitmap AttributeIndex::match(const Filter& filter, const SlotBitmap& live) const {
  SlotBitmap found;
  switch (filter.op) {
    case FilterOp::kAnd:
      found = live;
      for (const Filter& part : filter.filters) found = match(part, found);
      return found;
    case FilterOp::kOr:
      for (const Filter& part : filter.filters) found |= match(part, live);
      return found;
    case FilterOp::kNe:
    case FilterOp::kNotIn:
      found = live;
      return found -= listed(filter);
    case FilterOp::kEq:
    case FilterOp::kIn: found = listed(filter); break;
    default: found = in_order(filter); break;
  }
  return found &= live;
}

}  // namespace stoa::data
