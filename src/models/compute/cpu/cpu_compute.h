// Compute on the kernels of one instruction set and a thread pool, which several may share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "models/compute/compute.h"
#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/tile_choice.h"
#include "models/compute/thread_pool.h"

namespace stoa::models {

class CpuCompute final : public Compute {
 public:
  // `pool` outlives it; `isa` is one of supported_isas().
  CpuCompute(ThreadPool& pool, Isa isa) : CpuCompute(pool, isa, tile_rows(isa)) {}
  // With tile registers from so many rows of x on.
  CpuCompute(ThreadPool& pool, Isa isa, const TileRows& tiles);

  void matmul(const float* x, std::int64_t x_stride, int m, int cols, std::span<const Product> products) override;
  void lookup(const Weights& w, std::span<const std::int32_t> indices, float* out, std::int64_t stride) override;
  void rms_norm(const float* x, std::int64_t x_stride, const float* weight, float eps, int rows, int n, float* out, std::int64_t out_stride) override;
  void layer_norm(const float* x, std::int64_t x_stride, const float* weight, const float* bias, float eps, int rows, int n, float* out,
                  std::int64_t out_stride) override;
  void add(const float* x, float* y, std::int64_t count) override;
  void silu_mul(float* gate, const float* up, std::int64_t count) override;
  void gelu_mul(float* gate, const float* up, std::int64_t count) override;
  void softcap(float* x, float cap, std::int64_t count) override;
  void gelu(float* x, std::int64_t count, bool tanh_form) override;
  void rope(const RopeAngles& angles, float* x, std::int64_t stride, int heads, int head_dim) override;
  void store_kv(const KvLayout& layout, int layer, std::byte* const* pages, int first_position, int rows, const float* k, std::int64_t k_stride,
                const float* v, std::int64_t v_stride) override;
  void attention(const KvLayout& layout, const AttentionShape& shape, std::span<const AttentionSequence> sequences) override;
  void softmax(float* x, int n) override;
  int argmax(const float* x, int n) const override;

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  // Runs fn on row ranges: in parallel where rows * n makes that worth while.
  void rows_in_parallel(int rows, std::int64_t n, RangeFn fn);

  // What the rows of x are made into for products with weights of a type.
  enum class Form : std::uint8_t { kFloats, kGroups, kHalves, kTiles };
  static constexpr int kForms = 4;
  // Rows of x in one of these forms, `stride` bytes apart; kTiles: blocks of kTileRows rows.
  struct Input {
    const std::byte* data = nullptr;
    std::size_t stride = 0;
  };
  Form form_for(const Weights& w, int m) const;
  Input prepare(Form form, const float* x, std::int64_t x_stride, int m, int cols);

  void store_position(KvType type, int dim, int slot, const float* key, const float* value, std::byte* k_block, std::byte* v_block) const;
  void matmul_in_file_order(const Weights& w, int row, MatmulTile tile, std::vector<Line>& scratch) const;

  ThreadPool& pool_;
  const Kernels& kernels_;
  const TileRows tiles_;
  std::vector<ActivationGroup> quantized_;
  std::vector<std::uint16_t> rounded_;
  std::vector<Line> blocks_;
  std::vector<std::vector<Line>> per_thread_;  // for weights that are not packed, and sums of matmul_tiles
};

}  // namespace stoa::models
