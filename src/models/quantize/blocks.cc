#include "models/quantize/blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "models/compute/dequantize.h"
#include "models/compute/weights.h"

namespace stoa::models {
namespace {

using Byte = std::uint8_t;

// Round to the nearest integer, ties to even, for |v| below 2^22: the sum leaves no room for a fraction. Vectorises everywhere.
constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23
inline float nearest(float v) { return (v + kRounder) - kRounder; }
inline float clamped(float v, float low, float high) { return std::min(std::max(v, low), high); }

// A fitted offset can lie a little beyond the values it was fitted to, and so beyond the range of a half.
std::uint16_t half(float value) { return f32_to_f16(clamped(value, -65504.0f, 65504.0f)); }
void put_half(Byte* p, float value) {
  const std::uint16_t bits = half(value);
  std::memcpy(p, &bits, sizeof bits);
}
float rounded_to_half(float value) { return f16_to_f32(half(value)); }

// The value of the largest magnitude, with its sign.
template <int N>
float extreme(const float* x) {
  float best = 0;
  for (int i = 0; i < N; ++i)
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  return best;
}

// How much an error at each value counts: large weights matter more, since they meet large activations more often, but not alone.
template <int N>
void importance(const float* x, float* w) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int i = 0; i < N; ++i) squares += x[i] * x[i];
  const float mean = std::sqrt(squares / N);
  for (int i = 0; i < N; ++i) w[i] = mean + std::fabs(x[i]);
}

// The scale d for x ~ d q with integers q of -limit .. limit - 1.
template <int N>
float fit_scale(const float* x, const float* w, float limit) {
  const float peak = extreme<N>(x);
  if (std::fabs(peak) < 1e-30f) return 0;
  float best_scale = 0, best_gain = -1;
  // The peak lands on -limit, the end that reaches further; then a little inside and outside of it.
  for (int step = -9; step <= 9; ++step) {
    const float inverse = -(limit + 0.1f * static_cast<float>(step)) / peak;
    float xq = 0, qq = 0;
#pragma omp simd reduction(+ : xq, qq)
    for (int i = 0; i < N; ++i) {
      const float q = clamped(nearest(x[i] * inverse), -limit, limit - 1);
      xq += w[i] * x[i] * q;
      qq += w[i] * q * q;
    }
    // With the best scale for these integers, xq / qq, the error is sum(w x^2) - xq^2 / qq.
    if (qq > 0 && xq * xq > best_gain * qq) {
      best_gain = xq * xq / qq;
      best_scale = xq / qq;
    }
  }
  return best_scale;
}

struct Line {
  float scale = 0;
  float offset = 0;
};

// Scale and offset for x ~ scale q + offset with integers q of 0 .. limit. The K formats store the offset as something subtracted:
// there it is never above zero, and the range always takes zero in.
template <int N>
Line fit_line(const float* x, const float* w, float limit, bool subtracted) {
  float low = x[0], high = x[0];
  for (int i = 1; i < N; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (subtracted) low = std::min(low, 0.0f);
  if (high - low < 1e-30f) return {0, low};
  float sum_w = 0, sum_x = 0, sum_xx = 0;
#pragma omp simd reduction(+ : sum_w, sum_x, sum_xx)
  for (int i = 0; i < N; ++i) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
    sum_xx += w[i] * x[i] * x[i];
  }
  Line best{(high - low) / limit, low};
  float best_error = -1;
  for (int step = 0; step <= 20; ++step) {
    const float inverse = (limit - 1 + 0.1f * static_cast<float>(step)) / (high - low);
    float sum_q = 0, sum_qq = 0, sum_xq = 0;
#pragma omp simd reduction(+ : sum_q, sum_qq, sum_xq)
    for (int i = 0; i < N; ++i) {
      const float q = clamped(nearest(inverse * (x[i] - low)), 0, limit);
      sum_q += w[i] * q;
      sum_qq += w[i] * q * q;
      sum_xq += w[i] * x[i] * q;
    }
    const float determinant = sum_w * sum_qq - sum_q * sum_q;
    // Nothing but rounding when all integers are the same.
    if (!(determinant > 1e-5f * sum_w * sum_qq)) continue;
    Line line{(sum_w * sum_xq - sum_x * sum_q) / determinant, (sum_qq * sum_x - sum_q * sum_xq) / determinant};
    if (subtracted && line.offset > 0) line = {sum_xq / sum_qq, 0};
    if (line.scale <= 0) continue;
    // sum w (x - scale q - offset)^2, multiplied out.
    const float error = sum_xx + line.scale * line.scale * sum_qq + line.offset * line.offset * sum_w - 2 * line.scale * sum_xq -
                        2 * line.offset * sum_x + 2 * line.scale * line.offset * sum_q;
    if (best_error < 0 || error < best_error) {
      best_error = std::max(error, 0.0f);
      best = line;
    }
  }
  return best;
}

// Low nibbles are the first 16 values, high ones the next 16; the fifth bits, where there are any, go into 32 bits in order.
void put_nibbles(const int* q, Byte* nibbles, Byte* fifth) {
  std::uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) {
    nibbles[i] = static_cast<Byte>((q[i] & 15) | (q[i + 16] & 15) << 4);
    bits |= static_cast<std::uint32_t>(q[i] >> 4 & 1) << i | static_cast<std::uint32_t>(q[i + 16] >> 4 & 1) << (i + 16);
  }
  if (fifth != nullptr) std::memcpy(fifth, &bits, sizeof bits);
}

// Integers for a scale (0: all are zero) and an offset.
template <int N>
void round_to(const float* x, float scale, float offset, float low, float high, int* q) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  for (int i = 0; i < N; ++i) q[i] = static_cast<int>(nearest(clamped((x[i] - offset) * inverse, low, high)));
}

void q8_0(const float* x, Byte* p) {
  const float d = std::fabs(extreme<32>(x)) / 127;
  put_half(p, d);
  int q[32];
  round_to<32>(x, d, 0, -127, 127, q);
  for (int i = 0; i < 32; ++i) p[2 + i] = static_cast<Byte>(q[i]);
}

void symmetric(const float* x, int limit, Byte* p) {
  float w[32];
  importance<32>(x, w);
  const auto bound = static_cast<float>(limit);
  const float d = fit_scale<32>(x, w, bound);
  put_half(p, d);
  int q[32];
  round_to<32>(x, rounded_to_half(d), 0, -bound, bound - 1, q);
  for (int& value : q) value += limit;
  if (limit == 8) put_nibbles(q, p + 2, nullptr);
  else put_nibbles(q, p + 6, p + 2);
}

void with_minimum(const float* x, int limit, Byte* p) {
  float w[32];
  importance<32>(x, w);
  const Line line = fit_line<32>(x, w, static_cast<float>(limit), false);
  put_half(p, line.scale);
  put_half(p + 2, line.offset);
  int q[32];
  round_to<32>(x, rounded_to_half(line.scale), rounded_to_half(line.offset), 0, static_cast<float>(limit), q);
  if (limit == 15) put_nibbles(q, p + 4, nullptr);
  else put_nibbles(q, p + 8, p + 4);
}

// Q4_K and Q5_K: eight lines, whose scales and minimums are themselves rounded to 6 bits of the super-block's two.
void super_block(const float* x, int limit, Byte* p) {
  std::array<Line, 8> lines;
  float top_scale = 0, top_minimum = 0;
  for (std::size_t j = 0; j < 8; ++j) {
    float w[32];
    importance<32>(x + 32 * j, w);
    lines[j] = fit_line<32>(x + 32 * j, w, static_cast<float>(limit), true);
    top_scale = std::max(top_scale, lines[j].scale);
    top_minimum = std::max(top_minimum, -lines[j].offset);
  }
  put_half(p, top_scale / 63);
  put_half(p + 2, top_minimum / 63);
  const float d = rounded_to_half(top_scale / 63), dmin = rounded_to_half(top_minimum / 63);
  Byte* const scales = p + 4;
  Byte* const fifth = p + 16;  // Q5_K only
  Byte* const nibbles = p + (limit == 31 ? 48 : 16);
  std::memset(scales, 0, static_cast<std::size_t>(nibbles - scales));
  std::memset(nibbles, 0, 128);
  for (std::size_t j = 0; j < 8; ++j) {
    const auto six_bits = [](float value, float top) { return top > 0 ? static_cast<int>(clamped(nearest(63 * value / top), 0, 63)) : 0; };
    const int scale = six_bits(lines[j].scale, top_scale), minimum = six_bits(-lines[j].offset, top_minimum);
    if (j < 4) {
      scales[j] = static_cast<Byte>(scales[j] | scale);
      scales[j + 4] = static_cast<Byte>(scales[j + 4] | minimum);
    } else {
      scales[j + 4] = static_cast<Byte>((scale & 15) | (minimum & 15) << 4);
      scales[j - 4] = static_cast<Byte>(scales[j - 4] | (scale >> 4) << 6);
      scales[j] = static_cast<Byte>(scales[j] | (minimum >> 4) << 6);
    }
    int q[32];
    round_to<32>(x + 32 * j, d * static_cast<float>(scale), -dmin * static_cast<float>(minimum), 0, static_cast<float>(limit), q);
    for (std::size_t i = 0; i < 32; ++i) {
      Byte& pair = nibbles[32 * (j / 2) + i];
      pair = static_cast<Byte>(pair | (q[i] & 15) << (j % 2 == 0 ? 0 : 4));
      if (limit == 31) fifth[i] = static_cast<Byte>(fifth[i] | (q[i] >> 4) << j);
    }
  }
}

void q6_k(const float* x, Byte* p) {
  float scales[16], w[16];
  for (int j = 0; j < 16; ++j) {
    importance<16>(x + 16 * j, w);
    scales[j] = fit_scale<16>(x + 16 * j, w, 32);
  }
  // The largest scale lands on -128; so does its sign, in d.
  const float d = rounded_to_half(extreme<16>(scales) / -128);
  std::memset(p, 0, 208);
  put_half(p + 208, d);
  for (int j = 0; j < 16; ++j) {
    const int scale = d == 0 ? 0 : static_cast<int>(clamped(nearest(scales[j] / d), -128, 127));
    p[192 + j] = static_cast<Byte>(scale);
    int q[16];
    round_to<16>(x + 16 * j, d * static_cast<float>(scale), 0, -32, 31, q);
    for (int i = 0; i < 16; ++i) {
      const int at = 16 * j + i, part = at / 128, run = at % 128 / 32, l = at % 32, value = q[i] + 32;
      Byte& low = p[64 * part + 32 * (run % 2) + l];
      Byte& high = p[128 + 32 * part + l];
      low = static_cast<Byte>(low | (value & 15) << (run < 2 ? 0 : 4));
      high = static_cast<Byte>(high | (value >> 4) << (2 * run));
    }
  }
}

std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);  // to nearest even
}

void block(DType dtype, const float* x, Byte* p) {
  switch (dtype) {
    case DType::kQ4_0: symmetric(x, 8, p); break;
    case DType::kQ5_0: symmetric(x, 16, p); break;
    case DType::kQ4_1: with_minimum(x, 15, p); break;
    case DType::kQ5_1: with_minimum(x, 31, p); break;
    case DType::kQ4_K: super_block(x, 15, p); break;
    case DType::kQ5_K: super_block(x, 31, p); break;
    case DType::kQ6_K: q6_k(x, p); break;
    default: q8_0(x, p); break;
  }
}

}  // namespace

bool can_quantize(DType dtype) { return can_compute(dtype); }

bool representable(DType dtype, std::span<const float> values) {
  const float limit = dtype == DType::kF32 ? 3.4028235e38f : dtype == DType::kBF16 ? 3.3895e38f : 65504.0f;
  bool within = true;
  for (const float value : values) within &= std::fabs(value) <= limit;  // false for NaN
  return within;
}

void quantize_row(DType dtype, std::span<const float> values, std::byte* out) {
  auto* p = reinterpret_cast<Byte*>(out);
  if (dtype == DType::kF32) {
    std::memcpy(p, values.data(), values.size_bytes());
    return;
  }
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    for (const float value : values) {
      const std::uint16_t bits = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
      std::memcpy(p, &bits, sizeof bits);
      p += sizeof bits;
    }
    return;
  }
  const DTypeInfo& info = dtype_info(dtype);
  for (std::size_t i = 0; i < values.size(); i += info.block_values, p += info.block_bytes) block(dtype, values.data() + i, p);
}

}  // namespace stoa::models
