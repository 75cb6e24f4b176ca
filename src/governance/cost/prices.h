// Prices as data: share/prices.yaml. Money is integer micro-units of one currency (1,000,000 = 1.00).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::infra {
class YamlNode;
}

namespace stoa::governance {

// Micro-units. Sums and products that do not fit are errors, never wrapped.
using Money = std::int64_t;
std::string format_money(Money amount, std::string_view currency);  // "0.001234 USD"

enum class PriceClass : std::uint8_t { kStandard, kBatch, kCached };
std::string_view price_class_name(PriceClass price_class);  // "standard", "batch", "cached"

struct Price {
  // The exact name of a model, "*" for every other one of this server, "provider/model" for one of a provider, or "provider/*" for its others.
  std::string model;
  Money per_compute_second = 0;
  Money per_million_input_tokens = 0;
  Money per_million_cached_tokens = 0;    // cached ones instead of the input price
  Money per_million_output_tokens = 0;
  int batch_percent = 100;        // of the cost, for work of a batch
  int cached_answer_percent = 0;  // of the cost, for an answer that was not generated anew
};

class PriceBook {
 public:
  static Result<PriceBook> load(const std::filesystem::path& file);
  static Result<PriceBook> parse(std::string_view yaml, std::string_view name);

  const std::string& currency() const { return currency_; }
  const std::string& as_of() const { return as_of_; }    // date of the prices, as in the file
  const std::string& source() const { return source_; }
  // The model's price, else that of "*", or of "provider/*" for a model of a provider; kNotFound when there is none.
  Result<Price> price(std::string_view model) const;
  // Each part rounded up to a whole micro-unit, then added. Negative counts are kInvalidArgument.
  Result<Money> cost(std::string_view model, const Usage& usage, PriceClass price_class = PriceClass::kStandard) const;

 private:
  static Result<PriceBook> from_yaml(const infra::YamlNode& root);

  std::string currency_, as_of_, source_;
  std::vector<Price> prices_;
};

}  // namespace stoa::governance
