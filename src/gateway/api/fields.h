// Reading fields of untrusted JSON objects, with errors that name the full path of what is wrong ("messages[2].content").
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/json_arena.h"

namespace stoa::gateway {

using Metadata = std::map<std::string, std::string>;

// A view of one object of a request body. The object outlives it. Absent and null read the same.
class Fields {
 public:
  explicit Fields(const JsonObject& object, std::string path = {}) : object_(object), path_(std::move(path)) {}

  // "messages[2].content" for the key "content" of the object at "messages[2]".
  std::string path(std::string_view key) const;
  const Json* get(std::string_view key) const { return find(object_, key); }
  bool has(std::string_view key) const { return get(key) != nullptr; }

  Result<std::optional<std::string>> text(std::string_view key) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  Result<std::string> required_text(std::string_view key) const;  // non-empty
  Result<std::optional<std::int64_t>> integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t fallback) const;
  Result<double> number_or(std::string_view key, double min, double max, double fallback) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  // nullptr when absent.
  Result<const JsonArray*> array(std::string_view key, std::size_t max_items) const;
  Result<const JsonObject*> object(std::string_view key) const;
  // A string or a list of strings, as `stop`, `prompt` and `input` allow. Empty when absent.
  Result<std::vector<std::string>> texts(std::string_view key, std::size_t max_items) const;
  // At most 16 pairs of strings, keys to 64 and values to 512 bytes.
  Result<Metadata> metadata(std::string_view key = "metadata") const;

  std::unexpected<Error> wrong(std::string_view key, std::string_view expected) const;
  // A known field that this server does not serve.
  std::unexpected<Error> unsupported(std::string_view key, std::string_view next_step) const;

 private:
  const JsonObject& object_;
  std::string path_;
};

// The body of a request: one JSON object.
Result<JsonObject> parse_body(std::string_view body);
Result<JsonObject> parse_body(std::string_view body, JsonArena& arena);  // it lives in `arena`

JsonObject metadata_json(const Metadata& metadata);

}  // namespace stoa::gateway
