// The operations of transformer inference, whatever computes them (backend.h).
// Everything is row-major float32 unless said otherwise; "rows" are tokens. Strides are in elements, between rows.
//
// Matrix products quantise the input rows to 8 bits in blocks of 32 (as other GGUF engines do) when the weights are a block format, round
// them to bfloat16 when the weights are BF16, and use them as they are when the weights are F32 or F16. A backend may instead round both to
// bfloat16 where there are many rows and the weights are not F32.
//
// A Compute belongs to one thread at a time: it owns scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/compute/kv_cache.h"
#include "models/compute/weights.h"

namespace stoa::models {

// One product of Compute::matmul: y[row] = x[row] * w^T (+ bias) (+ y[row] if accumulate).
struct Product {
  const Weights* w = nullptr;
  float* y = nullptr;
  std::int64_t y_stride = 0;  // at least w->rows
  const float* bias = nullptr;
  bool accumulate = false;
};

enum class RopeStyle : std::uint8_t {
  kInterleaved,  // pairs (0,1), (2,3)...: "NORM" in GGUF, llama
  kHalves,       // pairs (0,d/2), (1,d/2+1)...: "NEOX" in GGUF, qwen
};

// YaRN (Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", 2023): pairs that turn more than beta_fast
// times within the original context keep their frequency, those that turn less than beta_slow times are scaled, those between are mixed.
struct Yarn {
  double original_context = 0;
  double beta_fast = 32, beta_slow = 1;
};

// The frequencies of rotary embedding: position p turns pair i by p * base^(-2i/dim) / factors[i].
class Rope {
 public:
  // `dim` even: how many leading elements of each head are turned. `factors` is empty or has dim/2 values. `scale` multiplies the
  // position (linear scaling, 1 / factor); with `yarn`, only that of the pairs it says. The turned elements are multiplied by `magnitude`.
  Rope(RopeStyle style, int dim, double base, std::span<const float> factors = {}, double scale = 1.0, const Yarn* yarn = nullptr, double magnitude = 1.0);

  RopeStyle style() const { return style_; }
  int dim() const { return static_cast<int>(frequencies_.size()) * 2; }
  const std::vector<double>& frequencies() const { return frequencies_; }
  double magnitude() const { return magnitude_; }

 private:
  RopeStyle style_;
  double magnitude_;
  std::vector<double> frequencies_;
};

// Cosines and sines for the rows of one batch: computed once, used by every layer for queries and keys.
class RopeAngles {
 public:
  void set(const Rope& rope, std::span<const std::int32_t> positions);

  RopeStyle style() const { return style_; }
  int half() const { return half_; }
  int rows() const { return half_ == 0 ? 0 : static_cast<int>(values_.size()) / (2 * half_); }
  const float* cosines(int row) const { return values_.data() + static_cast<std::size_t>(row) * 2 * static_cast<std::size_t>(half_); }
  const float* sines(int row) const { return cosines(row) + half_; }

 private:
  RopeStyle style_ = RopeStyle::kInterleaved;
  int half_ = 0;
  std::vector<float> values_;
};

// New rows of one sequence in an attention call. Query row i stands at position first_position + i; keys and values of positions
// 0 .. first_position + rows - 1 are in the pages already (Compute::store_kv).
struct AttentionSequence {
  const float* q = nullptr;    // [rows][heads][head_dim]
  float* out = nullptr;        // same shape
  std::int64_t q_stride = 0;   // between rows of q; at least heads * head_dim
  std::int64_t out_stride = 0;
  int rows = 0;
  int first_position = 0;
  const std::byte* const* pages = nullptr;  // pages_for(first_position + rows) pointers
};

struct AttentionShape {
  int heads = 0;       // a multiple of layout.kv_heads
  int layer = 0;
  float scale = 0;     // usually 1 / sqrt(head_dim)
  bool causal = true;  // false: every row sees positions 0 .. first_position + rows - 1 (BERT)
  int window = 0;      // > 0: a row sees only the last `window` positions, itself included
  float softcap = 0;   // > 0: a scaled score s counts as softcap * tanh(s / softcap) (Gemma 2)
};

// Up to about so many rows of x a product takes little longer than reading the weights.
inline constexpr int kDirectRows = 6;

class Compute {
 public:
  virtual ~Compute() = default;

  // All products of the same input x [m][cols] in one parallel region: Q, K and V; gate and up. Every w->cols equals `cols`.
  virtual void matmul(const float* x, std::int64_t x_stride, int m, int cols, std::span<const Product> products) = 0;

  // Row `indices[i]` of w into out + i * stride, as float32 (embedding lookup). The caller has checked the indices.
  virtual void lookup(const Weights& w, std::span<const std::int32_t> indices, float* out, std::int64_t stride) = 0;

  // out = x / sqrt(mean(x^2) + eps) * weight. In place allowed. Several heads of one row: call with rows = tokens * heads.
  virtual void rms_norm(const float* x, std::int64_t x_stride, const float* weight, float eps, int rows, int n, float* out, std::int64_t out_stride) = 0;
  // out = (x - mean) / sqrt(variance + eps) * weight + bias. In place allowed.
  virtual void layer_norm(const float* x, std::int64_t x_stride, const float* weight, const float* bias, float eps, int rows, int n, float* out,
                          std::int64_t out_stride) = 0;
  // y += x, elementwise over rows * n contiguous values.
  virtual void add(const float* x, float* y, std::int64_t count) = 0;
  // gate = silu(gate) * up
  virtual void silu_mul(float* gate, const float* up, std::int64_t count) = 0;
  // gate = gelu(gate) * up, with the tanh approximation
  virtual void gelu_mul(float* gate, const float* up, std::int64_t count) = 0;
  // x = cap * tanh(x / cap)
  virtual void softcap(float* x, float cap, std::int64_t count) = 0;
  // x = gelu(x): with erf (BERT), or the tanh approximation.
  virtual void gelu(float* x, std::int64_t count, bool tanh_form = false) = 0;

  // Turns `heads` heads of head_dim in each of angles.rows() rows, in place.
  virtual void rope(const RopeAngles& angles, float* x, std::int64_t stride, int heads, int head_dim) = 0;

  // Writes keys and values of `rows` consecutive positions from first_position into the sequence's pages.
  // k, v: [rows][kv_heads][head_dim] with these strides between rows.
  virtual void store_kv(const KvLayout& layout, int layer, std::byte* const* pages, int first_position, int rows, const float* k,
                        std::int64_t k_stride, const float* v, std::int64_t v_stride) = 0;

  // Softmax(q k^T * scale) v for all sequences in one parallel region.
  virtual void attention(const KvLayout& layout, const AttentionShape& shape, std::span<const AttentionSequence> sequences) = 0;

  // In place over one row.
  virtual void softmax(float* x, int n) = 0;
  // The index of the largest value, the first of equals.
  virtual int argmax(const float* x, int n) const = 0;
};

}  // namespace stoa::models
