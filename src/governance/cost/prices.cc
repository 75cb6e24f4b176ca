#include "governance/cost/prices.h"

#include <algorithm>
#include <array>

#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

constexpr Money kMaxPrice = 1'000'000'000'000;  // a million units a second or a million tokens: beyond is a mistake

Result<Money> optional_price(const infra::YamlNode& node, std::string_view key) {
  const auto* value = node.find(key);
  if (value == nullptr) return Money{0};
  return value->integer(0, kMaxPrice);
}

Result<Price> parse_price(const infra::YamlNode& node) {
  constexpr std::array<std::string_view, 7> kKeys{"model", "per_compute_second", "per_million_input_tokens", "per_million_cached_tokens",
                                                  "per_million_output_tokens", "batch_percent", "cached_answer_percent"};
  STOA_CHECK(node.only(kKeys));
  Price price;
  STOA_TRY(model, node.at("model"));
  STOA_TRY(name, model->text());
  price.model = name;
  STOA_TRY(second, optional_price(node, "per_compute_second"));
  STOA_TRY(input, optional_price(node, "per_million_input_tokens"));
  STOA_TRY(cached, optional_price(node, "per_million_cached_tokens"));
  STOA_TRY(output, optional_price(node, "per_million_output_tokens"));
  const auto percent = [&](std::string_view key, int& out) -> Status {
    const auto* value = node.find(key);
    if (value == nullptr) return {};
    STOA_TRY(number, value->integer(0, 1000));
    out = static_cast<int>(number);
    return {};
  };
  STOA_CHECK(percent("batch_percent", price.batch_percent));
  STOA_CHECK(percent("cached_answer_percent", price.cached_answer_percent));
  price.per_compute_second = second;
  price.per_million_input_tokens = input;
  price.per_million_cached_tokens = cached;
  price.per_million_output_tokens = output;
  return price;
}

// amount * price / 1,000,000, rounded up; an error when it does not fit.
Result<Money> per_million(std::int64_t amount, Money price) {
  if (amount < 0) return fail(ErrorCode::kInvalidArgument, "usage cannot be negative: {}", amount);
  __extension__ using Wide = __int128;
  const Wide cost = (static_cast<Wide>(amount) * price + 999'999) / 1'000'000;
  if (cost > INT64_MAX) return fail(ErrorCode::kInvalidArgument, "a cost of {} times {} does not fit", amount, price);
  return static_cast<Money>(cost);
}

}  // namespace

std::string format_money(Money amount, std::string_view currency) {
  const std::uint64_t magnitude = amount < 0 ? 0 - static_cast<std::uint64_t>(amount) : static_cast<std::uint64_t>(amount);
  return fmt::format("{}{}.{:06} {}", amount < 0 ? "-" : "", magnitude / 1'000'000, magnitude % 1'000'000, currency);
}

Result<PriceBook> PriceBook::load(const std::filesystem::path& file) {
  STOA_TRY(root, infra::read_yaml(file));
  return from_yaml(root);
}

Result<PriceBook> PriceBook::parse(std::string_view yaml, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(yaml, name));
  return from_yaml(root);
}

Result<PriceBook> PriceBook::from_yaml(const infra::YamlNode& root) {
  constexpr std::array<std::string_view, 4> kKeys{"currency", "as_of", "source", "prices"};
  STOA_CHECK(root.only(kKeys));
  PriceBook book;
  const auto text = [&](std::string_view key, std::string& out) -> Status {
    STOA_TRY(node, root.at(key));
    STOA_TRY(value, node->text());
    out = value;
    return {};
  };
  STOA_CHECK(text("currency", book.currency_));
  STOA_CHECK(text("as_of", book.as_of_));
  STOA_CHECK(text("source", book.source_));
  STOA_TRY(prices, root.at("prices"));
  for (const auto& item : prices->items()) {
    STOA_TRY(price, parse_price(item));
    if (std::ranges::find(book.prices_, price.model, &Price::model) != book.prices_.end())
      return fail(item.wrong(fmt::format("'{}' is priced twice", price.model)));
    book.prices_.push_back(std::move(price));
  }
  return book;
}

Result<Price> PriceBook::price(std::string_view model) const {
  const std::size_t slash = model.find('/');
  const std::string others = slash == std::string_view::npos ? "*" : fmt::format("{}/*", model.substr(0, slash));
  for (const std::string_view name : {model, std::string_view(others)})
    if (const auto found = std::ranges::find(prices_, name, &Price::model); found != prices_.end()) return *found;
  return fail(error(ErrorCode::kNotFound, "model '{}' has no price", model).with_hint(fmt::format("add it, or an entry for \"{}\", to the price file (cost.prices)", others)));
}

std::string_view price_class_name(PriceClass price_class) {
  switch (price_class) {
    case PriceClass::kStandard: return "standard";
    case PriceClass::kBatch: return "batch";
    case PriceClass::kCached: return "cached";
  }
  return "";
}

Result<Money> PriceBook::cost(std::string_view model, const Usage& usage, PriceClass price_class) const {
  STOA_TRY(price, this->price(model));
  if (usage.cached_tokens > usage.prompt_tokens)
    return fail(ErrorCode::kInvalidArgument, "{} cached tokens of a prompt of {}", usage.cached_tokens, usage.prompt_tokens);
  Money sum = 0;
  for (const auto& [amount, unit] : {std::pair{usage.compute_micros, price.per_compute_second},
                                     std::pair{usage.prompt_tokens - usage.cached_tokens, price.per_million_input_tokens},
                                     std::pair{usage.cached_tokens, price.per_million_cached_tokens},
                                     std::pair{usage.completion_tokens, price.per_million_output_tokens}}) {
    STOA_TRY(part, per_million(amount, unit));
    if (__builtin_add_overflow(sum, part, &sum)) return fail(ErrorCode::kInvalidArgument, "the cost of the usage does not fit");
  }
  const int percent = price_class == PriceClass::kBatch ? price.batch_percent : price_class == PriceClass::kCached ? price.cached_answer_percent : 100;
  if (percent == 100) return sum;
  return per_million(sum, Money{percent} * 10'000);
}

}  // namespace stoa::governance
