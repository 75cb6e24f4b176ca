// Which slots have which attributes, so that a filter becomes a bitmap without a look at every document. Internal to this folder; its owner holds the lock.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "data/index/attributes.h"
#include "data/index/slot_bitmap.h"
#include "data/index/slot_set.h"

namespace stoa::data {

class AttributeIndex {
 public:
  void add(std::span<const std::uint32_t> slots, const Attributes& attributes);
  // `attributes` as they were added.
  void remove(std::span<const std::uint32_t> slots, const Attributes& attributes);
  // The slots of `live` whose attributes match, as Filter::matches() says.
  SlotBitmap match(const Filter& filter, const SlotBitmap& live) const;
  // The types of what is there under a key: bit Attribute::index() of each. 0: no slot has the key.
  unsigned types(const std::string& key) const;

 private:
  using Values = std::map<Attribute, SlotSet>;
  const Values* values(const std::string& key) const;
  SlotBitmap listed(const Filter& filter) const;
  SlotBitmap in_order(const Filter& filter) const;

  std::map<std::string, Values> keys_;
};

}  // namespace stoa::data
