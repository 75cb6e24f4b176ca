#include "models/compute/compute.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

namespace stoa::models {

namespace {

constexpr bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

// Below this many values an elementwise operation is done before a second thread would have started.
constexpr std::int64_t kParallelValues = 16384;
// Elementwise operations see their values as rows of this many.
constexpr std::int64_t kRun = 1024;

// Products with few rows of x are bound by memory: chunks only have to be even. With more, a chunk is what one thread unpacks at a time.
constexpr int kChunksPerThread = 2;
constexpr int kPanelChunk = kPanels * kPanelRows;
constexpr int kLeastColumns = 64;

int ceil_div(std::int64_t a, std::int64_t b) { return static_cast<int>((a + b - 1) / b); }

// How one call of matmul is cut: every product into chunks of weight rows, and the rows of x into equal parts.
struct Cut {
  int rows = 0;
  int row_chunks = 0;
  int columns = 0;
  int column_chunks = 1;
};

Cut cut_products(std::span<const Product> products, int m, int threads) {
  std::int64_t total = 0;
  for (const Product& product : products) total += product.w->rows;
  Cut cut;
  cut.rows = kPanelChunk;
  if (m <= kDirectRows) {
    const int even = ceil_div(total, static_cast<std::int64_t>(threads) * kChunksPerThread);
    cut.rows = std::max(kPanelRows, (even + 3) / 4 * 4);
  }
  for (const Product& product : products) cut.row_chunks += ceil_div(product.w->rows, cut.rows);
  if (m > kLeastColumns) {
    const int wanted = ceil_div(static_cast<std::int64_t>(threads) * 4 * kChunksPerThread, cut.row_chunks);
    cut.column_chunks = std::clamp(wanted, 1, m / kLeastColumns);
  }
  // Whole tiles of eight, so that only the last part has a remainder.
  cut.columns = (ceil_div(m, cut.column_chunks) + 7) / 8 * 8;
  cut.column_chunks = ceil_div(m, cut.columns);
  return cut;
}

}  // namespace

bool can_compute(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K: return true;
    default: return false;
  }
}

Result<Weights> make_weights(DType dtype, std::int64_t rows, std::int64_t cols, std::span<const std::byte> bytes) {
  const DTypeInfo& info = dtype_info(dtype);
  if (!can_compute(dtype)) {
    return fail(error(ErrorCode::kUnsupported, "weights of type {} cannot be computed with", info.name)
                    .with_hint("convert the model to F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K"));
  }
  constexpr std::int64_t kLargest = 1 << 26;
  if (rows <= 0 || cols <= 0 || rows > kLargest || cols > kLargest) {
    return fail(ErrorCode::kInvalidArgument, "a weight matrix of {} x {} is not usable: each side must be 1 to {}", rows, cols, kLargest);
  }
  const int multiple = std::max<int>(info.block_values, 16);
  if (cols % multiple != 0) {
    return fail(ErrorCode::kUnsupported, "a {} matrix with {} columns: the number must be a multiple of {}", info.name, cols, multiple);
  }
  const std::size_t needed = bytes_of(info, static_cast<std::size_t>(cols)) * static_cast<std::size_t>(rows);
  if (bytes.size() < needed) {
    return fail(ErrorCode::kDataLoss, "a {} matrix of {} x {} needs {} bytes, the file has {}", info.name, rows, cols, needed, bytes.size());
  }
  return Weights{dtype, static_cast<int>(rows), static_cast<int>(cols), bytes.data()};
}

Rope::Rope(RopeStyle style, int dim, double base, std::span<const float> factors, double scale, const Yarn* yarn, double magnitude)
    : style_(style), magnitude_(magnitude) {
  // The pair that turns so many times within the original context.
  const auto pair = [&](double turns) { return dim * std::log(yarn->original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base)); };
  const double fast = yarn != nullptr ? std::max(0.0, std::floor(pair(yarn->beta_fast))) : 0;
  const double slow = yarn != nullptr ? std::min(dim - 1.0, std::ceil(pair(yarn->beta_slow))) : 0;
  frequencies_.resize(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const auto index = static_cast<double>(i);
    const double kept = yarn != nullptr ? 1 - std::clamp((index - fast) / std::max(0.001, slow - fast), 0.0, 1.0) : 0;
    frequencies_[i] = (scale * (1 - kept) + kept) * std::pow(base, -2.0 * index / dim);
    if (i < factors.size()) frequencies_[i] /= static_cast<double>(factors[i]);
  }
}

void RopeAngles::set(const Rope& rope, std::span<const std::int32_t> positions) {
  const std::vector<double>& frequencies = rope.frequencies();
  style_ = rope.style();
  half_ = static_cast<int>(frequencies.size());
  values_.resize(positions.size() * 2 * frequencies.size());
  float* out = values_.data();
  for (const std::int32_t position : positions) {
    for (const double frequency : frequencies) *out++ = static_cast<float>(rope.magnitude() * std::cos(position * frequency));
    for (const double frequency : frequencies) *out++ = static_cast<float>(rope.magnitude() * std::sin(position * frequency));
  }
}

Compute::Compute(ThreadPool& pool, Isa isa)
    : pool_(pool), isa_(isa), kernels_(kernels(isa)), per_thread_(static_cast<std::size_t>(pool.threads())) {}

void Compute::rows_in_parallel(int rows, std::int64_t n, RangeFn fn) {
  const bool worth = rows > 1 && rows * n >= kParallelValues;
  const std::int64_t grain = worth ? std::max<std::int64_t>(kParallelValues / 4 / n, ceil_div(rows, pool_.threads() * 4 * kChunksPerThread)) : rows;
  if (!worth) return fn(0, rows, 0);
  pool_.parallel_for(rows, grain, fn);
}

void Compute::matmul(const float* x, std::int64_t x_stride, int m, int cols, std::span<const Product> products) {
  if (m <= 0 || products.empty()) return;
  const bool any_blocks = std::ranges::any_of(products, [](const Product& p) { return !is_float(p.w->dtype); });
  const auto groups = static_cast<std::size_t>(groups_of(cols));
  if (any_blocks) {
    if (quantized_.size() < groups * static_cast<std::size_t>(m)) quantized_.resize(groups * static_cast<std::size_t>(m));
    rows_in_parallel(m, cols, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) kernels_.quantize(x + i * x_stride, cols, quantized_.data() + static_cast<std::size_t>(i) * groups);
    });
  }
  const Cut cut = cut_products(products, m, pool_.threads());
  const auto run_chunk = [&](std::int64_t index, int thread) {
    int chunk = static_cast<int>(index % cut.row_chunks);
    const int column = static_cast<int>(index / cut.row_chunks) * cut.columns;
    const Product* product = products.data();
    for (int count; chunk >= (count = ceil_div(product->w->rows, cut.rows)); ++product) chunk -= count;
    const Weights& w = *product->w;
    const int row = chunk * cut.rows;
    std::vector<Line>& scratch = per_thread_[static_cast<std::size_t>(thread)];
    if (const std::size_t lines = matmul_scratch_bytes(cols) / sizeof(Line); m > kDirectRows && scratch.size() < lines) scratch.resize(lines);
    const std::size_t row_bytes = dtype_bytes(w.dtype, static_cast<std::size_t>(cols));
    const void* input = is_float(w.dtype) ? static_cast<const void*>(x + column * x_stride)
                                          : quantized_.data() + static_cast<std::size_t>(column) * groups;
    kernels_.matmul({.dtype = w.dtype,
                     .w = w.data + static_cast<std::size_t>(row) * row_bytes,
                     .row_bytes = row_bytes,
                     .rows = std::min(cut.rows, w.rows - row),
                     .cols = cols,
                     .x = input,
                     .x_stride = is_float(w.dtype) ? x_stride : static_cast<std::int64_t>(groups),
                     .m = std::min(cut.columns, m - column),
                     .y = product->y + column * product->y_stride + row,
                     .y_stride = product->y_stride,
                     .bias = product->bias != nullptr ? product->bias + row : nullptr,
                     .accumulate = product->accumulate,
                     .scratch = scratch.empty() ? nullptr : scratch.data()->bytes});
  };
  pool_.parallel_for(static_cast<std::int64_t>(cut.row_chunks) * cut.column_chunks, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) run_chunk(i, thread);
  });
}

void Compute::lookup(const Weights& w, std::span<const std::int32_t> indices, float* out, std::int64_t stride) {
  const std::size_t row_bytes = dtype_bytes(w.dtype, static_cast<std::size_t>(w.cols));
  rows_in_parallel(static_cast<int>(indices.size()), w.cols, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<std::size_t>(indices[static_cast<std::size_t>(i)]);
      dequantize_row(w.dtype, w.data + index * row_bytes, w.cols, out + i * stride);
    }
  });
}

void Compute::rms_norm(const float* x, std::int64_t x_stride, const float* weight, float eps, int rows, int n, float* out,
                       std::int64_t out_stride) {
  rows_in_parallel(rows, n, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) kernels_.rms_norm(x + i * x_stride, weight, eps, n, out + i * out_stride);
  });
}

void Compute::layer_norm(const float* x, std::int64_t x_stride, const float* weight, const float* bias, float eps, int rows, int n,
                         float* out, std::int64_t out_stride) {
  rows_in_parallel(rows, n, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) kernels_.layer_norm(x + i * x_stride, weight, bias, eps, n, out + i * out_stride);
  });
}

void Compute::add(const float* x, float* y, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.add(x + begin * kRun, y + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void Compute::silu_mul(float* gate, const float* up, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.silu_mul(gate + begin * kRun, up + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void Compute::gelu_mul(float* gate, const float* up, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.gelu_mul(gate + begin * kRun, up + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void Compute::softcap(float* x, float cap, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.softcap(x + begin * kRun, cap, std::min(end * kRun, count) - begin * kRun);
  });
}

void Compute::gelu(float* x, std::int64_t count, bool tanh_form) {
  const auto kernel = tanh_form ? kernels_.gelu_tanh : kernels_.gelu_erf;
  rows_in_parallel(ceil_div(count, kRun), kRun,
                   [&](std::int64_t begin, std::int64_t end, int) { kernel(x + begin * kRun, std::min(end * kRun, count) - begin * kRun); });
}

void Compute::rope(const RopeAngles& angles, float* x, std::int64_t stride, int heads, int head_dim) {
  const auto kernel = angles.style() == RopeStyle::kInterleaved ? kernels_.rope_interleaved : kernels_.rope_halves;
  rows_in_parallel(angles.rows(), static_cast<std::int64_t>(heads) * head_dim, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int row = static_cast<int>(i);
      kernel(x + i * stride, heads, head_dim, angles.cosines(row), angles.sines(row), angles.half());
    }
  });
}

void Compute::store_kv(const KvLayout& layout, int layer, std::byte* const* pages, int first_position, int rows, const float* k,
                       std::int64_t k_stride, const float* v, std::int64_t v_stride) {
  const int dim = layout.head_dim;
  const bool f16 = layout.type == KvType::kF16;
  const auto store = [&](int head, int row) {
    const int position = first_position + row;
    std::byte* page = pages[position / kPageTokens];
    const int slot = position % kPageTokens;
    const float* key = k + row * k_stride + head * dim;
    const float* value = v + row * v_stride + head * dim;
    std::byte* k_block = page + layout.k_offset(layer, head);
    std::byte* v_row = page + layout.v_offset(layer, head) + static_cast<std::size_t>(slot * dim) * layout.element_bytes();
    if (f16) {
      std::array<std::uint16_t, KvLayout::kMaxHeadDim> halves;
      kernels_.to_f16(key, halves.data(), dim);
      auto* column = reinterpret_cast<std::uint16_t*>(k_block) + slot;
      for (int d = 0; d < dim; ++d) column[d * kPageTokens] = halves[static_cast<std::size_t>(d)];
      kernels_.to_f16(value, reinterpret_cast<std::uint16_t*>(v_row), dim);
    } else {
      auto* column = reinterpret_cast<float*>(k_block) + slot;
      for (int d = 0; d < dim; ++d) column[d * kPageTokens] = key[d];
      std::memcpy(v_row, value, static_cast<std::size_t>(dim) * sizeof(float));
    }
  };
  // Threads get whole (page, head) blocks, because neighbouring positions share cache lines.
  const int first_page = first_position / kPageTokens;
  const int page_count = rows <= 0 ? 0 : (first_position + rows - 1) / kPageTokens - first_page + 1;
  rows_in_parallel(page_count * layout.kv_heads, static_cast<std::int64_t>(dim) * kPageTokens, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int start = (first_page + static_cast<int>(i) / layout.kv_heads) * kPageTokens - first_position;
      for (int row = std::max(start, 0); row < std::min(start + kPageTokens, rows); ++row) store(static_cast<int>(i) % layout.kv_heads, row);
    }
  });
}

void Compute::attention(const KvLayout& layout, const AttentionShape& shape, std::span<const AttentionSequence> sequences) {
  const int group = shape.heads / layout.kv_heads;  // query heads that share a KV head
  const int tile_heads = std::min(group, kAttentionRows);
  const int head_parts = ceil_div(group, tile_heads);
  const int tile_tokens = kAttentionRows / tile_heads;
  const auto tiles_of = [&](const AttentionSequence& s) { return ceil_div(s.rows, tile_tokens) * layout.kv_heads * head_parts; };
  std::int64_t total = 0;
  for (const AttentionSequence& s : sequences) total += tiles_of(s);
  const auto run_tile = [&](int index) {
    const AttentionSequence* s = sequences.data();
    for (int count; index >= (count = tiles_of(*s)); ++s) index -= count;
    const int part = index % head_parts;
    const int kv_head = index / head_parts % layout.kv_heads;
    const int token = index / head_parts / layout.kv_heads * tile_tokens;
    const int head = part * tile_heads;
    const std::int64_t offset = static_cast<std::int64_t>(kv_head * group + head) * layout.head_dim;
    kernels_.attention({.q = s->q + token * s->q_stride + offset,
                        .out = s->out + token * s->out_stride + offset,
                        .q_stride = s->q_stride,
                        .out_stride = s->out_stride,
                        .tokens = std::min(tile_tokens, s->rows - token),
                        .heads = std::min(tile_heads, group - head),
                        .head_dim = layout.head_dim,
                        .first_position = s->first_position + token,
                        .positions = s->first_position + s->rows,
                        .causal = shape.causal,
                        .window = shape.window,
                        .scale = shape.scale,
                        .softcap = shape.softcap,
                        .type = layout.type,
                        .pages = s->pages,
                        .k_offset = layout.k_offset(shape.layer, kv_head),
                        .v_offset = layout.v_offset(shape.layer, kv_head)});
  };
  pool_.parallel_for(total, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) run_tile(static_cast<int>(i));
  });
}

void Compute::softmax(float* x, int n) { kernels_.softmax(x, n); }

int Compute::argmax(const float* x, int n) const { return kernels_.argmax(x, n); }

}  // namespace stoa::models
