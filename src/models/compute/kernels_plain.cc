// The scalar kernels: what each operation means. They favour being obviously right over speed; sums are in double precision, so that the
// bounds in kernels.h measure the fast kernels.
#include "models/compute/kernel_tables.h"

#include <algorithm>
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
      group.scale_sum[b] = rounded;
      group.scale_sum[kGroupBlocks + b] = rounded * static_cast<float>(sum);
      group.low_sum[b] = rounded * static_cast<float>(low_sum);
      group.minimum_sum[b] = half_rounded(scale * static_cast<float>(sum));
    }
  }
}

float activation_at(const ActivationGroup* x, int i) {
  const ActivationGroup& group = x[i / kGroup];
  return group.scale_sum[i % kGroup / kBlock] * static_cast<float>(group.q[activation_index(i % kGroup)]);
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
    sum += static_cast<double>(f16_to_f32(minimum)) * (static_cast<double>(group.minimum_sum[k]) - group.scale_sum[kGroupBlocks + k]);
  }
  return sum;
}

void matmul(const MatmulTile& t) {
  const bool floats = t.dtype == DType::kF32 || t.dtype == DType::kF16 || t.dtype == DType::kBF16;
  std::vector<float> w(static_cast<std::size_t>(t.cols));
  std::vector<float> x(static_cast<std::size_t>(t.cols) * static_cast<std::size_t>(t.m));
  for (int i = 0; i < t.m; ++i) {
    float* row = x.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(t.cols);
    if (floats) {
      std::copy_n(static_cast<const float*>(t.x) + i * t.x_stride, t.cols, row);
    } else {
      for (int k = 0; k < t.cols; ++k) row[k] = activation_at(static_cast<const ActivationGroup*>(t.x) + i * t.x_stride, k);
    }
  }
  for (int r = 0; r < t.rows; ++r) {
    const std::byte* stored = t.w + static_cast<std::size_t>(r) * t.row_bytes;
    dequantize_row(t.dtype, stored, t.cols, w.data());
    for (int i = 0; i < t.m; ++i) {
      const float* row = x.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(t.cols);
      double sum = t.bias != nullptr ? t.bias[r] : 0.0;
      for (int k = 0; k < t.cols; ++k) sum += static_cast<double>(w[static_cast<std::size_t>(k)]) * row[k];
      if (!floats) sum += minimum_correction(t.dtype, stored, static_cast<const ActivationGroup*>(t.x) + i * t.x_stride, t.cols);
      float& y = t.y[i * t.y_stride + r];
      y = static_cast<float>(t.accumulate ? y + sum : sum);
    }
  }
}

float kv_at(KvType type, const std::byte* block, int element) {
  if (type == KvType::kF16) {
    std::uint16_t bits;
    std::memcpy(&bits, block + 2 * element, sizeof bits);
    return f16_to_f32(bits);
  }
  float value;
  std::memcpy(&value, block + 4 * element, sizeof value);
  return value;
}

void attention(const AttentionTile& t) {
  std::vector<double> weights(static_cast<std::size_t>(t.positions));
  std::vector<double> sums(static_cast<std::size_t>(t.head_dim));
  for (int r = 0; r < t.tokens * t.heads; ++r) {
    const int position = t.first_position + r / t.heads;
    const float* q = t.q + (r / t.heads) * t.q_stride + (r % t.heads) * t.head_dim;
    const int end = t.causal ? std::min(position + 1, t.positions) : t.positions;
    const int begin = t.window > 0 ? std::max(0, position + 1 - t.window) : 0;
    double largest = -std::numeric_limits<double>::infinity();
    for (int p = begin; p < end; ++p) {
      const std::byte* k = t.pages[p / kPageTokens] + t.k_offset;
      double score = 0;
      for (int d = 0; d < t.head_dim; ++d) score += static_cast<double>(q[d]) * kv_at(t.type, k, d * kPageTokens + p % kPageTokens);
      score *= t.scale;
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
      for (int d = 0; d < t.head_dim; ++d) sums[static_cast<std::size_t>(d)] += weight * kv_at(t.type, v, p % kPageTokens * t.head_dim + d);
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

}  // namespace

const Kernels& plain_kernels() {
  static constexpr Kernels kTable = {
      .quantize = quantize,
      .matmul = matmul,
      .attention = attention,
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
