// JSON that is read and dropped at once, as each event of a stream is: its values take their memory from one block and give none of it back alone.
#pragma once

#include "base/json.h"

namespace stoa {

// Outlives every value that was parsed into it, and all that was moved out of one or made as its copy; texts are taken out as std::string. One thread.
class JsonArena {
 public:
  JsonArena() : resource_(first_, sizeof first_) {}
  JsonArena(const JsonArena&) = delete;
  JsonArena& operator=(const JsonArena&) = delete;

  boost::json::storage_ptr storage() { return &resource_; }

 private:
  alignas(std::max_align_t) unsigned char first_[4096];  // enough for most events; more comes from the heap
  boost::json::monotonic_resource resource_;
};

// As parse_json without it.
Result<Json> parse_json(std::string_view text, JsonArena& arena, const JsonLimits& limits = {});

}  // namespace stoa
