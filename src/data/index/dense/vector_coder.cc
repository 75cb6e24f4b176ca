#include "data/index/dense/vector_coder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace stoa::data {

namespace {

constexpr std::size_t kBatch = 64;

const RecordHead& head(const std::byte* record) { return *reinterpret_cast<const RecordHead*>(record); }
const std::uint8_t* code(const std::byte* record) { return reinterpret_cast<const std::uint8_t*>(record) + sizeof(RecordHead); }

double square(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

}  // namespace

VectorCoder::VectorCoder(int dimensions, VectorMetric metric, std::vector<float> mean, const CodeKernels& kernels, bool looks)
    : dimensions_(static_cast<std::size_t>(dimensions)), half_((dimensions_ + 63) / 64 * 32), metric_(metric), mean_(std::move(mean)),
      pair_constant_(metric == VectorMetric::kDot ? static_cast<float>(square(mean_)) : 0), ones_(2 * half_, 1), kernels_(kernels),
      looks_(looks && dimensions >= LookCoder::kFewestDimensions ? std::optional<LookCoder>(std::in_place, dimensions, metric, kernels) : std::nullopt) {}

void VectorCoder::encode(std::span<const float> vector, std::byte* record, std::byte* residual, std::byte* look) const {
  if (looks_) looks_->encode(vector, mean_, look);
  auto& out = *reinterpret_cast<RecordHead*>(record);
  auto* codes = reinterpret_cast<std::uint8_t*>(record) + sizeof(RecordHead);
  auto* rest = reinterpret_cast<std::uint8_t*>(residual);
  const auto centred = [&](std::size_t d) { return mean_.empty() ? vector[d] : vector[d] - mean_[d]; };
  float low = centred(0), high = low;
  for (std::size_t d = 1; d < dimensions_; ++d) {
    low = std::min(low, centred(d));
    high = std::max(high, centred(d));
  }
  // A range that is no normal number is none.
  const float step = (high - low) / 15, inverse = std::isnormal(step) ? 1 / step : 0;
  std::memset(codes, 0, half_);
  std::memset(rest, 0, 2 * half_);
  double norm = 0, error = 0, along_mean = 0;  // |x|^2, <x, e>, <x, mean>
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const float x = centred(d), place = (x - low) * inverse, nearest = std::clamp(std::floor(place + 0.5f), 0.0f, 15.0f);
    const auto digit = static_cast<std::uint8_t>(nearest);
    codes[d < half_ ? d : d - half_] |= static_cast<std::uint8_t>(d < half_ ? digit : digit << 4);
    rest[d] = static_cast<std::uint8_t>(std::clamp((place - nearest + 0.5f) * 256, 0.0f, 255.0f));
    norm += static_cast<double>(x) * x;
    error += static_cast<double>(x) * (low + step * nearest - x);
    if (!mean_.empty()) along_mean += static_cast<double>(x) * mean_[d];
  }
  out.low = low;
  out.step = inverse == 0 ? 0 : step;
  const bool dot = metric_ == VectorMetric::kDot;
  out.bias = static_cast<float>(dot ? along_mean : -norm / 2 - error);
  const auto refined_bias = static_cast<float>(dot ? 0 : -norm / 2);
  std::memcpy(rest + 2 * half_, &refined_bias, sizeof refined_bias);
}

bool VectorCoder::plausible(const std::byte* record, const std::byte* residual, const std::byte* look) const {
  static const float kGreatest = 4 * std::sqrt(kGreatestSquare);
  float bias;
  std::memcpy(&bias, residual + 2 * half_, sizeof bias);
  // Comparisons with what is no number are false.
  const RecordHead& it = head(record);
  return std::abs(it.low) <= kGreatest && it.step >= 0 && it.step <= kGreatest && std::abs(it.bias) <= 16 * kGreatestSquare && std::abs(bias) <= 16 * kGreatestSquare &&
         (!looks_ || looks_->plausible(look));
}

void VectorCoder::decode(const std::byte* record, const std::byte* residual, std::span<float> vector) const {
  const auto* rest = reinterpret_cast<const std::uint8_t*>(residual);
  const auto [low, step] = std::pair(head(record).low, head(record).step);
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const int digit = d < half_ ? code(record)[d] & 15 : code(record)[d - half_] >> 4;
    const float between = (static_cast<float>(rest[d]) + 0.5f) / 256 - 0.5f;
    vector[d] = low + step * (static_cast<float>(digit) + between) + (mean_.empty() ? 0 : mean_[d]);
  }
}

void VectorCoder::encode_query(std::span<const float> vector, CodedQuery& query, bool with_look) const {
  const bool centre = metric_ != VectorMetric::kDot && !mean_.empty();
  const auto value = [&](std::size_t d) { return centre ? vector[d] - mean_[d] : vector[d]; };
  float largest = 0;
  double sum = 0, norm = 0, along_mean = 0;
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const float q = value(d);
    largest = std::max(largest, std::abs(q));
    sum += q;
    norm += static_cast<double>(q) * q;
    if (!mean_.empty()) along_mean += static_cast<double>(q) * mean_[d];
  }
  constexpr int kLargest = 127 * 256;
  query.high.assign(2 * half_, 0);
  query.low.assign(2 * half_, 0);
  query.unit = std::isnormal(largest / kLargest) ? largest / kLargest : 1;
  const float inverse = 1 / query.unit;
  query.sum = static_cast<float>(sum);
  query.square = static_cast<float>(norm);
  // Digits are rounded by half of 256 units at most, and their square is about 75.
  query.rounding = 75 * static_cast<float>(dimensions_) * (256 * query.unit) * (256 * query.unit) / 12;
  query.constant = metric_ == VectorMetric::kDot ? along_mean : -norm / 2;
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const int whole = static_cast<int>(value(d) * inverse + (kLargest + 0.5f)) - kLargest;  // the nearest: what is cut is not negative
    const int high = (whole + 128) >> 8;
    query.high[d] = static_cast<std::int8_t>(high);
    query.low[d] = static_cast<std::int8_t>(whole - 256 * high);
  }
  query.has_look = with_look;
  if (with_look) looks_->encode_query(vector, mean_, query.look);
}

void VectorCoder::keys(const CodedQuery& query, std::span<const std::byte* const> records, float* keys) const {
  const std::uint8_t* codes[kBatch];
  std::int32_t sums[kBatch];
  const float unit = 256 * query.unit, weight = metric_ == VectorMetric::kDot ? 0.0f : 1.0f;
  for (std::size_t from = 0; from < records.size(); from += kBatch) {
    const std::size_t count = std::min(kBatch, records.size() - from);
    for (std::size_t i = 0; i < count; ++i) codes[i] = code(records[from + i]);
    kernels_.score(query.high.data(), half_, codes, count, sums);
    for (std::size_t i = 0; i < count; ++i) {
      const RecordHead& record = head(records[from + i]);
      keys[from + i] = weight * record.bias + record.low * query.sum + record.step * (unit * static_cast<float>(sums[i]));
    }
  }
}

float VectorCoder::refined_reach(const CodedQuery& query, const std::byte* record, float key) const {
  // The error e of a code lies anywhere within a step in each dimension. The key is off by <q - x, e>, that of the inner product by <q, e>.
  constexpr float kDeviations = 4;
  const float square = metric_ == VectorMetric::kDot ? query.square : std::max(0.0f, -2 * (key + static_cast<float>(query.constant)));
  return key + kDeviations * head(record).step * std::sqrt(square / 12 + query.rounding);
}

float VectorCoder::refined_key(const CodedQuery& query, const std::byte* record, const std::byte* residual) const {
  const auto* rest = reinterpret_cast<const std::uint8_t*>(residual);
  std::int32_t sums[3];
  kernels_.refine(query.high.data(), query.low.data(), half_, code(record), rest, sums);
  float bias;
  std::memcpy(&bias, rest + 2 * half_, sizeof bias);
  const double low = head(record).low, step = head(record).step;
  const double product = 256.0 * sums[0] + sums[1] + sums[2];
  return static_cast<float>(bias + (low + step * (0.5 / 256 - 0.5)) * query.sum + step * query.unit * product);
}

void VectorCoder::sums(std::span<const std::byte* const> records, float* sums) const {
  const std::uint8_t* codes[kBatch];
  std::int32_t digits[kBatch];
  for (std::size_t from = 0; from < records.size(); from += kBatch) {
    const std::size_t count = std::min(kBatch, records.size() - from);
    for (std::size_t i = 0; i < count; ++i) codes[i] = code(records[from + i]);
    kernels_.score(ones_.data(), half_, codes, count, digits);
    for (std::size_t i = 0; i < count; ++i) {
      const RecordHead& record = head(records[from + i]);
      sums[from + i] = static_cast<float>(dimensions_) * record.low + record.step * static_cast<float>(digits[i]);
    }
  }
}

float VectorCoder::pair_key(const std::byte* a, float a_sum, const std::byte* b, float b_sum) const {
  const RecordHead &x = head(a), &y = head(b);
  const auto product = static_cast<float>(kernels_.pair(code(a), code(b), half_));
  return pair_constant_ + x.bias + y.bias + x.low * b_sum + y.low * a_sum - static_cast<float>(dimensions_) * x.low * y.low + x.step * y.step * product;
}

float VectorCoder::score(const CodedQuery& query, float key) const {
  switch (metric_) {
    case VectorMetric::kCosine: return static_cast<float>(std::min(1.0, 1 + query.constant + key));
    case VectorMetric::kDot: return static_cast<float>(query.constant + key);
    case VectorMetric::kL2: return static_cast<float>(std::min(0.0, 2 * (query.constant + key)));
  }
  return 0;
}

}  // namespace stoa::data
