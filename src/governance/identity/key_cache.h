// What the store says of keys that were shown lately. It holds as long as nothing about the keys and their holders has changed, which the store itself
// counts (triggers), so that a change by any process is seen at once: whoever looks up reads that count first. The store also tells which keys or
// users its last changes were of, and only those are forgotten.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/time.h"
#include "contracts/principal.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct Holder {
  Principal principal;
  Bytes hash;
  std::optional<Micros> expires;
  bool ended = false;  // the key is revoked, or its user disabled
  mutable std::atomic<Micros> used = 0;  // the minute of the last use that was noted

  bool works(Micros now) const { return !ended && !(expires && *expires <= now); }
};

// Thread-safe. `database` outlives it.
class KeyCache {
 public:
  // After the tables of identity are there.
  static Result<std::unique_ptr<KeyCache>> open(infra::SqlDatabase& database);

  Result<std::int64_t> generation() const;
  // Null when it is not known as of `generation`.
  std::shared_ptr<const Holder> find(std::string_view prefix, std::int64_t generation);
  // `holder` was read after `generation`.
  void put(std::string_view prefix, std::int64_t generation, std::shared_ptr<const Holder> holder);

  static constexpr std::size_t kMaxKeys = 131'072;  // some 60 MB, were all of them in use

 private:
  explicit KeyCache(infra::SqlDatabase& database) : database_(database) {}

  void forget_changed(std::int64_t generation);

  infra::SqlDatabase& database_;
  std::mutex mutex_;
  std::int64_t generation_ = -1;
  std::unordered_map<std::string, std::shared_ptr<const Holder>> holders_;  // by prefix, as of generation_
};

}  // namespace stoa::governance
