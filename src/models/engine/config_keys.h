// Reading "<architecture>.<suffix>" from the metadata of a GGUF file, bounds checked.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// Refers to the file. Errors name file and key: kNotFound (missing, without a fallback) and kDataLoss.
class ConfigKeys {
 public:
  ConfigKeys(const GgufFile& file, std::string_view architecture) : file_(file), prefix_(std::string(architecture) + ".") {}

  const GgufFile& file() const { return file_; }

  Result<int> positive(std::string_view suffix, std::int64_t max, std::optional<std::int64_t> fallback = {}) const {
    const std::string key = prefix_ + std::string(suffix);
    STOA_TRY(value, fallback ? file_.get_int_or(key, *fallback) : file_.get_int(key));
    if (value < 1 || value > max) {
      return fail(ErrorCode::kDataLoss, "{}: {} is {}, but has to be between 1 and {}", file_.name(), key, value, max);
    }
    return static_cast<int>(value);
  }
  // 0 where the file does not have it.
  Result<int> count(std::string_view suffix, std::int64_t max) const {
    STOA_TRY(value, integer(suffix, 0));
    if (value < 0 || value > max) return bad(suffix, fmt::format("is {}, but has to be between 0 and {}", value, max));
    return static_cast<int>(value);
  }
  Result<double> number(std::string_view suffix, double fallback) const { return file_.get_float_or(prefix_ + std::string(suffix), fallback); }
  Result<bool> flag(std::string_view suffix, bool fallback) const { return file_.get_bool_or(prefix_ + std::string(suffix), fallback); }
  Result<std::string_view> text(std::string_view suffix, std::string_view fallback) const {
    return file_.get_string_or(prefix_ + std::string(suffix), fallback);
  }
  Result<std::int64_t> integer(std::string_view suffix, std::int64_t fallback) const {
    return file_.get_int_or(prefix_ + std::string(suffix), fallback);
  }
  // The entry as it is, nullptr where the file has none.
  const GgufFile::Entry* value(std::string_view suffix) const {
    const auto found = std::ranges::find(file_.metadata(), prefix_ + std::string(suffix), &GgufFile::Entry::key);
    return found == file_.metadata().end() ? nullptr : &*found;
  }
  std::unexpected<Error> bad(std::string_view suffix, std::string_view what) const {
    return fail(ErrorCode::kDataLoss, "{}: {}{} {}", file_.name(), prefix_, suffix, what);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace stoa::models
