#include "models/compute/cpu/cpu_compute.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace stoa::models {

namespace {

// Below this many values an elementwise operation is done before a second thread would have started.
constexpr std::int64_t kParallelValues = 16384;
// Elementwise operations see their values as rows of this many.
constexpr std::int64_t kRun = 1024;

// How many chunks a product is cut into, so that a slow thread does not keep the others waiting; and the least a chunk is worth, because
// each pays for starting and for its first bytes from memory.
constexpr int kChunksPerThread = 4;
constexpr std::int64_t kLeastWork = 1 << 18;  // weights times rows of x
// Up to this many bytes of x are used by panel after panel before the next; more would not stay in a core's cache.
constexpr std::int64_t kColumnBytes = 256 << 10;
constexpr int kTileTokens = 16;  // from so many new tokens of a sequence on, attention uses tile registers
constexpr int kWholeTiles = 24;  // a multiple of the tiles of rows of x that kernels have

int ceil_div(std::int64_t a, std::int64_t b) { return static_cast<int>((a + b - 1) / b); }

// How one call of matmul is cut: every product into chunks of weight rows, and the rows of x into equal parts.
struct Cut {
  int rows = 0;
  int row_chunks = 0;
  int columns = 0;
  int column_chunks = 1;
};

Cut cut_products(std::span<const Product> products, int m, int cols, int threads) {
  std::int64_t panels = 0;
  for (const Product& product : products) panels += ceil_div(product.w->rows, kPanelRows);
  Cut cut;
  cut.columns = m;
  if (const std::int64_t fit = kColumnBytes / (2 * static_cast<std::int64_t>(cols)); m > 2 * fit) {
    // Whole tiles, so that only the last part has a remainder.
    const int parts = ceil_div(m, std::max<std::int64_t>(fit, 64));
    cut.columns = ceil_div(ceil_div(m, parts), kWholeTiles) * kWholeTiles;
  }
  cut.column_chunks = ceil_div(m, cut.columns);
  const std::int64_t least = ceil_div(kLeastWork, static_cast<std::int64_t>(cols) * cut.columns * kPanelRows);
  const std::int64_t even = ceil_div(panels, static_cast<std::int64_t>(threads) * kChunksPerThread);
  cut.rows = static_cast<int>(std::max(even, std::min(least, ceil_div(panels, threads) + std::int64_t{0}))) * kPanelRows;
  for (const Product& product : products) cut.row_chunks += ceil_div(product.w->rows, cut.rows);
  return cut;
}

// The same for matmul_tiles, which reads weights once for all rows of x, and rows of x once for each chunk of weight rows.
Cut cut_for_tiles(std::span<const Product> products, int m, int cols, int threads) {
  constexpr int kMostColumns = 1024;  // of which a chunk of inputs takes half of a core's second cache
  constexpr int kSumBytes = 512 << 10;  // and their sums a quarter
  Cut cut;
  cut.columns = ceil_div(ceil_div(m, ceil_div(m, kMostColumns)), kTileRows) * kTileRows;
  cut.column_chunks = ceil_div(m, cut.columns);
  const auto chunks_of = [&](int pairs) {
    int count = 0;
    for (const Product& product : products) count += ceil_div(product.w->rows, pairs * kTileRows);
    return count;
  };
  const int together = threads * 2;
  int most = std::max(1, chunks_of(1) / together);
  if (cols > kTileChunk) most = std::min(most, std::max(1, kSumBytes / (kTileRows * 4) / cut.columns));
  // The chunks that keep the busiest thread least busy; each costs about as much as a pair of panels more.
  int best = 1;
  const auto cost = [&](int pairs) { return ceil_div(std::int64_t{chunks_of(pairs)} * cut.column_chunks, threads) * (pairs + 1); };
  for (int pairs = 2; pairs <= most; ++pairs) {
    if (cost(pairs) <= cost(best)) best = pairs;
  }
  cut.rows = best * kTileRows;
  cut.row_chunks = chunks_of(best);
  return cut;
}

}  // namespace

CpuCompute::CpuCompute(ThreadPool& pool, Isa isa, const TileRows& tiles)
    : pool_(pool), kernels_(kernels(isa)), tiles_(tiles), per_thread_(static_cast<std::size_t>(pool.threads())) {}

void CpuCompute::rows_in_parallel(int rows, std::int64_t n, RangeFn fn) {
  const bool worth = rows > 1 && rows * n >= kParallelValues;
  const std::int64_t grain = worth ? std::max<std::int64_t>(kParallelValues / 4 / n, ceil_div(rows, pool_.threads() * 4 * kChunksPerThread)) : rows;
  if (!worth) return fn(0, rows, 0);
  pool_.parallel_for(rows, grain, fn);
}

CpuCompute::Form CpuCompute::form_for(const Weights& w, int m) const {
  if (w.packed && m >= tiles_.of(w.dtype)) return Form::kTiles;
  if (is_block_format(w.dtype)) return Form::kGroups;
  return w.dtype == DType::kBF16 ? Form::kHalves : Form::kFloats;
}

CpuCompute::Input CpuCompute::prepare(Form form, const float* x, std::int64_t x_stride, int m, int cols) {
  const auto width = static_cast<std::size_t>(cols), rows = static_cast<std::size_t>(m);
  switch (form) {
    case Form::kFloats: break;
    case Form::kGroups: {
      const auto groups = static_cast<std::size_t>(groups_of(cols));
      if (quantized_.size() < groups * rows) quantized_.resize(groups * rows);
      rows_in_parallel(m, cols, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) kernels_.quantize(x + i * x_stride, cols, quantized_.data() + static_cast<std::size_t>(i) * groups);
      });
      return {reinterpret_cast<const std::byte*>(quantized_.data()), sizeof(ActivationGroup) * groups};
    }
    case Form::kHalves:
      if (rounded_.size() < rows * width) rounded_.resize(rows * width);
      rows_in_parallel(m, cols, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) kernels_.to_bf16(x + i * x_stride, rounded_.data() + i * cols, cols);
      });
      return {reinterpret_cast<const std::byte*>(rounded_.data()), sizeof(std::uint16_t) * width};
    case Form::kTiles: {
      const int blocks = ceil_div(m, kTileRows);
      const std::size_t bytes = tile_block_bytes(cols), lines = bytes / sizeof(Line);
      if (blocks_.size() < lines * static_cast<std::size_t>(blocks)) blocks_.resize(lines * static_cast<std::size_t>(blocks));
      rows_in_parallel(blocks, std::int64_t{cols} * kTileRows, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) {
          const int row = static_cast<int>(i) * kTileRows;
          kernels_.to_tiles(x + row * x_stride, x_stride, std::min(kTileRows, m - row), cols, blocks_[static_cast<std::size_t>(i) * lines].bytes);
        }
      });
      return {blocks_.data()->bytes, bytes};
    }
  }
  return {reinterpret_cast<const std::byte*>(x), static_cast<std::size_t>(x_stride) * sizeof(float)};
}

void CpuCompute::matmul(const float* x, std::int64_t x_stride, int m, int cols, std::span<const Product> products) {
  if (m <= 0 || products.empty()) return;
  std::array<Input, kForms> inputs = {};
  bool tiles = false;
  for (const Product& product : products) {
    const Form form = form_for(*product.w, m);
    tiles = tiles || form == Form::kTiles;
    if (Input& input = inputs[static_cast<std::size_t>(form)]; input.data == nullptr) input = prepare(form, x, x_stride, m, cols);
  }
  const Cut cut = tiles ? cut_for_tiles(products, m, cols, pool_.threads()) : cut_products(products, m, cols, pool_.threads());
  const auto run_chunk = [&](std::int64_t index, int thread) {
    int chunk = static_cast<int>(index % cut.row_chunks);
    const int column = static_cast<int>(index / cut.row_chunks) * cut.columns;
    const Product* product = products.data();
    for (int count; chunk >= (count = ceil_div(product->w->rows, cut.rows)); ++product) chunk -= count;
    const Weights& w = *product->w;
    const int row = chunk * cut.rows;
    const Form form = form_for(w, m);
    const Input& input = inputs[static_cast<std::size_t>(form)];
    std::vector<Line>& scratch = per_thread_[static_cast<std::size_t>(thread)];
    MatmulTile tile = {.dtype = w.dtype,
                       .rows = std::min(cut.rows, w.rows - row),
                       .cols = cols,
                       .x = input.data + static_cast<std::size_t>(form == Form::kTiles ? column / kTileRows : column) * input.stride,
                       .x_stride = input.stride,
                       .m = std::min(cut.columns, m - column),
                       .y = product->y + column * product->y_stride + row,
                       .y_stride = product->y_stride,
                       .bias = product->bias != nullptr ? product->bias + row : nullptr,
                       .accumulate = product->accumulate};
    if (!w.packed) return matmul_in_file_order(w, row, tile, scratch);
    tile.w = w.data + static_cast<std::size_t>(row / kPanelRows) * panel_bytes(w.dtype, cols);
    if (form != Form::kTiles) return kernels_.matmul(tile);
    const std::size_t lines = tile_sums(tile.rows, tile.m, cols) * sizeof(float) / sizeof(Line);
    if (scratch.size() < lines) scratch.resize(lines);
    tile.sums = reinterpret_cast<float*>(scratch.data());
    kernels_.matmul_tiles(tile);
  };
  pool_.parallel_for(static_cast<std::int64_t>(cut.row_chunks) * cut.column_chunks, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) run_chunk(i, thread);
  });
}

// Packs a panel at a time.
void CpuCompute::matmul_in_file_order(const Weights& w, int row, MatmulTile tile, std::vector<Line>& scratch) const {
  const std::size_t row_bytes = dtype_bytes(w.dtype, static_cast<std::size_t>(w.cols));
  const std::size_t lines = (panel_bytes(w.dtype, w.cols) + sizeof(Line) - 1) / sizeof(Line);
  if (scratch.size() < lines) scratch.resize(lines);
  tile.w = scratch.data()->bytes;
  for (const int end = row + tile.rows; row < end; row += kPanelRows, tile.y += kPanelRows) {
    tile.rows = std::min(kPanelRows, end - row);
    pack_panel(w.dtype, w.data + static_cast<std::size_t>(row) * row_bytes, row_bytes, tile.rows, w.cols, scratch.data()->bytes);
    kernels_.matmul(tile);
    if (tile.bias != nullptr) tile.bias += kPanelRows;
  }
}

void CpuCompute::lookup(const Weights& w, std::span<const std::int32_t> indices, float* out, std::int64_t stride) {
  const std::size_t row_bytes = dtype_bytes(w.dtype, static_cast<std::size_t>(w.cols));
  const std::size_t lines = (row_bytes + sizeof(Line) - 1) / sizeof(Line);
  rows_in_parallel(static_cast<int>(indices.size()), w.cols, [&](std::int64_t begin, std::int64_t end, int thread) {
    std::vector<Line>& scratch = per_thread_[static_cast<std::size_t>(thread)];
    if (scratch.size() < lines) scratch.resize(lines);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<std::size_t>(indices[static_cast<std::size_t>(i)]);
      const std::byte* row = w.data + index * row_bytes;
      if (w.packed) {
        unpack_row(w.dtype, w.data + index / kPanelRows * panel_bytes(w.dtype, w.cols), static_cast<int>(index % kPanelRows), w.cols, scratch.data()->bytes);
        row = scratch.data()->bytes;
      }
      dequantize_row(w.dtype, row, w.cols, out + i * stride);
    }
  });
}

void CpuCompute::rms_norm(const float* x, std::int64_t x_stride, const float* weight, float eps, int rows, int n, float* out,
                       std::int64_t out_stride) {
  rows_in_parallel(rows, n, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) kernels_.rms_norm(x + i * x_stride, weight, eps, n, out + i * out_stride);
  });
}

void CpuCompute::layer_norm(const float* x, std::int64_t x_stride, const float* weight, const float* bias, float eps, int rows, int n,
                         float* out, std::int64_t out_stride) {
  rows_in_parallel(rows, n, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) kernels_.layer_norm(x + i * x_stride, weight, bias, eps, n, out + i * out_stride);
  });
}

void CpuCompute::add(const float* x, float* y, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.add(x + begin * kRun, y + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void CpuCompute::silu_mul(float* gate, const float* up, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.silu_mul(gate + begin * kRun, up + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void CpuCompute::gelu_mul(float* gate, const float* up, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.gelu_mul(gate + begin * kRun, up + begin * kRun, std::min(end * kRun, count) - begin * kRun);
  });
}

void CpuCompute::softcap(float* x, float cap, std::int64_t count) {
  rows_in_parallel(ceil_div(count, kRun), kRun, [&](std::int64_t begin, std::int64_t end, int) {
    kernels_.softcap(x + begin * kRun, cap, std::min(end * kRun, count) - begin * kRun);
  });
}

void CpuCompute::gelu(float* x, std::int64_t count, bool tanh_form) {
  const auto kernel = tanh_form ? kernels_.gelu_tanh : kernels_.gelu_erf;
  rows_in_parallel(ceil_div(count, kRun), kRun,
                   [&](std::int64_t begin, std::int64_t end, int) { kernel(x + begin * kRun, std::min(end * kRun, count) - begin * kRun); });
}

void CpuCompute::rope(const RopeAngles& angles, float* x, std::int64_t stride, int heads, int head_dim) {
  const auto kernel = angles.style() == RopeStyle::kInterleaved ? kernels_.rope_interleaved : kernels_.rope_halves;
  rows_in_parallel(angles.rows(), static_cast<std::int64_t>(heads) * head_dim, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int row = static_cast<int>(i);
      kernel(x + i * stride, heads, head_dim, angles.cosines(row), angles.sines(row), angles.half());
    }
  });
}

// One position of one head into its blocks.
void CpuCompute::store_position(KvType type, int dim, int slot, const float* key, const float* value, std::byte* k_block, std::byte* v_block) const {
  switch (type) {
    case KvType::kF16: {
      std::array<std::uint16_t, KvLayout::kMaxHeadDim> halves;
      kernels_.to_f16(key, halves.data(), dim);
      auto* column = reinterpret_cast<std::uint16_t*>(k_block) + slot;
      for (int d = 0; d < dim; ++d) column[d * kPageTokens] = halves[static_cast<std::size_t>(d)];
      kernels_.to_f16(value, reinterpret_cast<std::uint16_t*>(v_block) + slot * dim, dim);
      return;
    }
    case KvType::kF32: {
      auto* column = reinterpret_cast<float*>(k_block) + slot;
      for (int d = 0; d < dim; ++d) column[d * kPageTokens] = key[d];
      std::memcpy(reinterpret_cast<float*>(v_block) + slot * dim, value, static_cast<std::size_t>(dim) * sizeof(float));
      return;
    }
    case KvType::kQ8: {
      std::array<std::int8_t, KvLayout::kMaxHeadDim> bytes;
      reinterpret_cast<float*>(k_block)[slot] = kernels_.quantize_kv(key, dim, bytes.data());
      std::byte* column = k_block + kKvScaleBytes + 4 * slot;
      for (int d = 0; d < dim; d += 4) std::memcpy(column + d * kPageTokens, bytes.data() + d, 4);
      reinterpret_cast<float*>(v_block)[slot] = kernels_.quantize_kv(value, dim, reinterpret_cast<std::int8_t*>(v_block + kKvScaleBytes) + slot * dim);
      return;
    }
  }
}

void CpuCompute::store_kv(const KvLayout& layout, int layer, std::byte* const* pages, int first_position, int rows, const float* k,
                       std::int64_t k_stride, const float* v, std::int64_t v_stride) {
  const int dim = layout.head_dim;
  const auto store = [&](int head, int row) {
    const int position = first_position + row;
    std::byte* page = pages[position / kPageTokens];
    store_position(layout.type, dim, position % kPageTokens, k + row * k_stride + head * dim, v + row * v_stride + head * dim,
                   page + layout.k_offset(layer, head), page + layout.v_offset(layer, head));
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

void CpuCompute::attention(const KvLayout& layout, const AttentionShape& shape, std::span<const AttentionSequence> sequences) {
  const int group = shape.heads / layout.kv_heads;  // query heads that share a KV head
  const int tile_heads = std::min(group, kAttentionRows);
  const int head_parts = ceil_div(group, tile_heads);
  const int tile_tokens = kAttentionRows / tile_heads;
  const auto tiles_of = [&](const AttentionSequence& s) { return ceil_div(s.rows, tile_tokens) * layout.kv_heads * head_parts; };
  std::int64_t total = 0;
  for (const AttentionSequence& s : sequences) total += tiles_of(s);
  const bool tiles = kernels_.attention_tiles != nullptr && layout.type == KvType::kF16 && layout.head_dim % 32 == 0;
  const auto run_tile = [&](int index) {
    const AttentionSequence* s = sequences.data();
    for (int count; index >= (count = tiles_of(*s)); ++s) index -= count;
    const int part = index % head_parts;
    const int kv_head = index / head_parts % layout.kv_heads;
    const int token = index / head_parts / layout.kv_heads * tile_tokens;
    const int head = part * tile_heads;
    const std::int64_t offset = static_cast<std::int64_t>(kv_head * group + head) * layout.head_dim;
    // By the rows of the sequence alone, so that a token does not depend on its company.
    const auto kernel = tiles && s->rows >= kTileTokens ? kernels_.attention_tiles : kernels_.attention;
    kernel({.q = s->q + token * s->q_stride + offset,
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

void CpuCompute::softmax(float* x, int n) { kernels_.softmax(x, n); }

int CpuCompute::argmax(const float* x, int n) const { return kernels_.argmax(x, n); }

}  // namespace stoa::models
