#include "data/lake/shard.h"

#include <memory>

#include <zstd.h>

namespace stoa::data {

Result<Bytes> compress(std::string_view text) {
  Bytes out(ZSTD_compressBound(text.size()));
  const std::size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 6);
  if (ZSTD_isError(size) != 0) return fail(ErrorCode::kInternal, "zstd: {}", ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

Status decompress(ByteSpan bytes, std::uint64_t max_bytes, const std::function<Result<bool>(std::string_view)>& take) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  if (stream == nullptr) return fail(ErrorCode::kResourceExhausted, "no memory for reading a shard");
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::uint64_t total = 0;
  std::size_t state = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    state = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(state) != 0) return fail(ErrorCode::kDataLoss, "a shard is broken: {}", ZSTD_getErrorName(state));
    total += out.pos;
    if (total > max_bytes) return fail(ErrorCode::kTooLarge, "a shard holds more than {} bytes", max_bytes);
    STOA_TRY(more, take({piece.data(), out.pos}));
    if (!more) return {};
  }
  // What the stream still holds back comes out without further input.
  while (state != 0) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    state = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(state) != 0 || out.pos == 0) return fail(ErrorCode::kDataLoss, "a shard ends too early");
    total += out.pos;
    if (total > max_bytes) return fail(ErrorCode::kTooLarge, "a shard holds more than {} bytes", max_bytes);
    STOA_TRY(more, take({piece.data(), out.pos}));
    if (!more) return {};
  }
  return {};
}

}  // namespace stoa::data
