// The scalar kernels: what each operation means. They favour being obviously right over speed; sums are in double precision, so that the
// bounds in kernels.h measure the fast kernels.
#include "models/compute/cpu/kernel_tables.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace stoa::models {

namespace {

// Where value i of a group of activations is kept.
int activation_index(int i) {
  const int block = i / kBlock;
  const int within = i % kBlock;
  return (within < 16 ? 0 : kGroup / 2) + 16 * block + within % 16;
}

float half_rounded(float value) { return f16_to_f32(f32_to_f16(value)); }

void quantize(const float* x, int n, ActivationGroup* out) {
  for (int g = 0; g < groups_of(n); ++g) {
    ActivationGroup& group = out[g];
    group = ActivationGroup{};
    for (int b = 0; b < kGroupBlocks && g * kGroup + b * kBlock < n; ++b) {
      const float* p = x + g * kGroup + b * kBlock;
      float largest = 0;
      for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(p[i]));
      const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
      const float scale = largest / 127.0f;
      int low_sum = 0;
      int sum = 0;
      for (int i = 0; i < kBlock; ++i) {
        const int q = static_cast<int>(std::nearbyint(p[i] * inverse));
        group.q[activation_index(b * kBlock + i)] = static_cast<std::int8_t>(std::clamp(q, -128, 127));
        sum += q;
        if (i < 16) low_sum += q;
      }
      const float rounded = half_rounded(scale);
      group.scale[b] = rounded;
      group.sum[b] = static_cast<float>(sum);
      group.offset[b] = -kOffset * sum;
      group.low_offset[b] = -kOffset * low_sum;
      group.minimum_sum[b] = half_rounded(scale * static_cast<float>(sum));
    }
  }
}

float activation_at(const ActivationGroup* x, int i) {
  const ActivationGroup& group = x[i / kGroup];
  return group.scale[i % kGroup / kBlock] * static_cast<float>(group.q[activation_index(i % kGroup)]);
}

// Q4_1 and Q5_1 multiply their minimum with a sum that has a rounding of its own: what that adds to the product of a row of weights
// with a row of x.
double minimum_correction(DType dtype, const std::byte* w, const ActivationGroup* x, int cols) {
  if (dtype != DType::kQ4_1 && dtype != DType::kQ5_1) return 0;
  double sum = 0;
  for (int b = 0; b < cols / kBlock; ++b, w += dtype_info(dtype).block_bytes) {
    const ActivationGroup& group = x[b / kGroupBlocks];
    std::uint16_t minimum;
    std::memcpy(&minimum, w + sizeof minimum, sizeof minimum);
    const int k = b % kGroupBlocks;
    sum += static_cast<double>(f16_to_f32(minimum)) * (static_cast<double>(group.minimum_sum[k]) - static_cast<double>(group.scale[k]) * group.sum[k]);
  }
  return sum;
}

// Value k of a row of x.
float input_at(const MatmulTile& t, int i, int k) {
  const std::byte* row = t.x + static_cast<std::size_t>(i) * t.x_stride;
  if (is_block_format(t.dtype)) return activation_at(reinterpret_cast<const ActivationGroup*>(row), k);
  if (t.dtype != DType::kBF16) return reinterpret_cast<const float*>(row)[k];
  return std::bit_cast<float>(static_cast<std::uint32_t>(reinterpret_cast<const std::uint16_t*>(row)[k]) << 16);
}

void matmul(const MatmulTile& t) {
  std::vector<std::byte> stored(dtype_bytes(t.dtype, static_cast<std::size_t>(t.cols)));
  std::vector<float> w(static_cast<std::size_t>(t.cols));
  for (int r = 0; r < t.rows; ++r) {
    unpack_row(t.dtype, t.w + static_cast<std::size_t>(r / kPanelRows) * panel_bytes(t.dtype, t.cols), r % kPanelRows, t.cols, stored.data());
    dequantize_row(t.dtype, stored.data(), t.cols, w.data());
    for (int i = 0; i < t.m; ++i) {
      double sum = t.bias != nullptr ? t.bias[r] : 0.0;
      for (int k = 0; k < t.cols; ++k) sum += static_cast<double>(w[static_cast<std::size_t>(k)]) * input_at(t, i, k);
      const std::byte* x = t.x + static_cast<std::size_t>(i) * t.x_stride;
      if (is_block_format(t.dtype)) sum += minimum_correction(t.dtype, stored.data(), reinterpret_cast<const ActivationGroup*>(x), t.cols);
      float& y = t.y[i * t.y_stride + r];
      y = static_cast<float>(t.accumulate ? y + sum : sum);
    }
  }
}

template <class T>
T stored_at(const std::byte* p, int element) {
  T value;
  std::memcpy(&value, p + element * static_cast<int>(sizeof(T)), sizeof value);
  return value;
}

// Of the block of a page: element d of the key or value at `position`; `index` is where it stands in a block of floats.
float kv_at(KvType type, const std::byte* block, int index, int position) {
  switch (type) {
    case KvType::kF16: return f16_to_f32(stored_at<std::uint16_t>(block, index));
    case KvType::kF32: return stored_at<float>(block, index);
    case KvType::kQ8: return stored_at<float>(block, position) * static_cast<float>(stored_at<std::int8_t>(block + kKvScaleBytes, index));
  }
  return 0;
}

int key_index(KvType type, int d, int position) {
  return type == KvType::kQ8 ? (d / 4 * kPageTokens + position) * 4 + d % 4 : d * kPageTokens + position;
}

float quantize_kv(const float* x, int n, std::int8_t* out) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  for (int i = 0; i < n; ++i) out[i] = static_cast<std::int8_t>(std::clamp(static_cast<int>(std::nearbyint(x[i] * inverse)), -128, 127));
  return largest / 127.0f;
}

void attention(const AttentionTile& t) {
  std::vector<double> weights(static_cast<std::size_t>(t.positions));
  std::vector<double> sums(static_cast<std::size_t>(t.head_dim));
  std::vector<float> scaled(sums.size());
  std::vector<std::int8_t> rounded(sums.size());
  for (int r = 0; r < t.tokens * t.heads; ++r) {
    const int position = t.first_position + r / t.heads;
    const float* q = t.q + (r / t.heads) * t.q_stride + (r % t.heads) * t.head_dim;
    for (std::size_t d = 0; d < scaled.size(); ++d) scaled[d] = q[d] * t.scale;
    if (t.type == KvType::kQ8) {
      const float scale = quantize_kv(scaled.data(), t.head_dim, rounded.data());
      for (std::size_t d = 0; d < scaled.size(); ++d) scaled[d] = scale * static_cast<float>(rounded[d]);
    }
    const int end = t.causal ? std::min(position + 1, t.positions) : t.positions;
    const int begin = t.window > 0 ? std::max(0, position + 1 - t.window) : 0;
    double largest = -std::numeric_limits<double>::infinity();
    for (int p = begin; p < end; ++p) {
      const std::byte* k = t.pages[p / kPageTokens] + t.k_offset;
      double score = 0;
      const int within = p % kPageTokens;
      for (int d = 0; d < t.head_dim; ++d) score += static_cast<double>(scaled[static_cast<std::size_t>(d)]) * kv_at(t.type, k, key_index(t.type, d, within), within);
      if (t.softcap > 0) score = t.softcap * std::tanh(score / t.softcap);
      weights[static_cast<std::size_t>(p)] = score;
      largest = std::max(largest, score);
    }
    double total = 0;
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int p = begin; p < end; ++p) {
      const std::byte* v = t.pages[p / kPageTokens] + t.v_offset;
      const double weight = std::exp(weights[static_cast<std::size_t>(p)] - largest);
      total += weight;
      for (int d = 0; d < t.head_dim; ++d) sums[static_cast<std::size_t>(d)] += weight * kv_at(t.type, v, p % kPageTokens * t.head_dim + d, p % kPageTokens);
    }
    float* out = t.out + (r / t.heads) * t.out_stride + (r % t.heads) * t.head_dim;
    for (int d = 0; d < t.head_dim; ++d) out[d] = static_cast<float>(sums[static_cast<std::size_t>(d)] / total);
  }
}

void rms_norm(const float* x, const float* weight, float eps, int n, float* out) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(squares / n + eps);
  for (int i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * factor * weight[i]);
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, int n, float* out) {
  double total = 0;
  for (int i = 0; i < n; ++i) total += x[i];
  const double mean = total / n;
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double factor = 1.0 / std::sqrt(squares / n + eps);
  for (int i = 0; i < n; ++i) out[i] = static_cast<float>((x[i] - mean) * factor * weight[i] + bias[i]);
}

void add(const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void silu_mul(float* gate, const float* up, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) gate[i] = static_cast<float>(gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * up[i]);
}

void gelu_erf(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(0.5 * x[i] * (1.0 + std::erf(x[i] * 0.70710678118654752)));
}

double gelu_tanh_of(double v) { return 0.5 * v * (1.0 + std::tanh(0.79788456080286536 * (v + 0.044715 * v * v * v))); }

void gelu_tanh(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(gelu_tanh_of(x[i]));
}

void gelu_mul(float* gate, const float* up, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) gate[i] = static_cast<float>(gelu_tanh_of(gate[i]) * up[i]);
}

void softcap(float* x, float cap, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(cap * std::tanh(static_cast<double>(x[i]) / cap));
}

void softmax(float* x, int n) {
  const float largest = *std::max_element(x, x + n);
  double total = 0;
  for (int i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i]) - largest);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(std::exp(static_cast<double>(x[i]) - largest) / total);
}

int argmax(const float* x, int n) {
  int best = 0;
  for (int i = 1; i < n; ++i) {
    if (x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i]))) best = i;
  }
  return best;
}

void turn(float& a, float& b, float cosine, float sine) {
  const float before = a;
  a = before * cosine - b * sine;
  b = b * cosine + before * sine;
}

void rope_interleaved(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half) {
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int i = 0; i < half; ++i) turn(x[2 * i], x[2 * i + 1], cosines[i], sines[i]);
  }
}

void rope_halves(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half) {
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int i = 0; i < half; ++i) turn(x[i], x[i + half], cosines[i], sines[i]);
  }
}

void to_f16(const float* x, std::uint16_t* out, int n) {
  for (int i = 0; i < n; ++i) out[i] = f32_to_f16(x[i]);
}

void to_bf16(const float* x, std::uint16_t* out, int n) {
  for (int i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t rounded = std::isnan(x[i]) ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
    out[i] = static_cast<std::uint16_t>(rounded >> 16);
  }
}

}  // namespace

const Kernels& plain_kernels() {
  static constexpr Kernels kTable = {
      .quantize = quantize,
      .to_bf16 = to_bf16,
      .matmul = matmul,
      .attention = attention,
      .quantize_kv = quantize_kv,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .add = add,
      .silu_mul = silu_mul,
      .gelu_mul = gelu_mul,
      .gelu_erf = gelu_erf,
      .gelu_tanh = gelu_tanh,
      .softcap = softcap,
      .softmax = softmax,
      .argmax = argmax,
      .rope_interleaved = rope_interleaved,
      .rope_halves = rope_halves,
      .to_f16 = to_f16,
  };
  return kTable;
}

}  // namespace stoa::models
