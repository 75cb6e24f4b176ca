// The tile registers of AMX as tests emulate them (test_amx.h), for one thread.
//
// What they do is from the pages of LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TILERELEASE and TDPBF16PS in the "Intel 64 and IA-32
// Architectures Software Developer's Manual", volume 2. What the processor would refuse ends the program with a message.
#pragma once

#if defined(__x86_64__) && defined(__linux__)

#include <unistd.h>
#include <xmmintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace stoa::models::test {

class TileUnit {
 public:
  void configure(const std::uint8_t* config) {
    *this = {};
    if (config[0] == 0) return;
    if (config[0] != 1 || config[1] != 0) refuse("unknown palette, or a start row");
    for (int i = 2; i < 16; ++i) {
      if (config[i] != 0) refuse("reserved bytes of a configuration are not zero");
    }
    for (int i = 0; i < 16; ++i) {
      std::uint16_t bytes;
      std::memcpy(&bytes, config + 16 + 2 * i, sizeof bytes);
      const int rows = config[48 + i];
      if (i > 7 ? rows != 0 || bytes != 0 : rows > 16 || bytes > 64 || (rows == 0) != (bytes == 0)) refuse("a tile of impossible size");
      if (i > 7) continue;
      rows_[i] = rows;
      row_bytes_[i] = bytes;
    }
    configured_ = true;
  }

  void zero(int number) { std::memset(tile(number), 0, sizeof data_[0]); }

  void load(int number, const std::uint8_t* from, std::int64_t stride) {
    auto* rows = tile(number);
    zero(number);
    for (int i = 0; i < rows_[number]; ++i) std::memcpy(rows[i], from + i * stride, static_cast<std::size_t>(row_bytes_[number]));
  }

  void store(int number, std::uint8_t* to, std::int64_t stride) {
    const auto* rows = tile(number);
    for (int i = 0; i < rows_[number]; ++i) std::memcpy(to + i * stride, rows[i], static_cast<std::size_t>(row_bytes_[number]));
  }

  void multiply(int sums, int left, int right) {
    auto *c = tile(sums), *a = tile(left), *b = tile(right);
    if (sums == left || sums == right || left == right) refuse("TDPBF16PS with one tile twice");
    if (rows_[sums] != rows_[left] || row_bytes_[sums] != row_bytes_[right] || row_bytes_[left] != 4 * rows_[right] || row_bytes_[sums] % 4 != 0)
      refuse("TDPBF16PS with tiles that do not fit each other");
    float x[16][32], w[16][32], out[16][16];
    for (int i = 0; i < 16; ++i) {
      for (int k = 0; k < 32; ++k) {
        x[i][k] = from_bf16(a[i] + 2 * k);
        w[i][k] = from_bf16(b[i] + 2 * k);
      }
    }
    std::memcpy(out, c, sizeof out);
    constexpr unsigned kFlushAndDenormalsAreZero = 0x8040;
    const unsigned control = _mm_getcsr();
    _mm_setcsr(0x1f80 | kFlushAndDenormalsAreZero);
    add_products(out, x, w, rows_[sums], rows_[right]);
    _mm_setcsr(control);
    std::memcpy(c, out, sizeof out);
  }

 private:
  // Nothing else is allowed in a signal handler.
  [[noreturn]] static void refuse(const char* why) {
    const char head[] = "AMX emulator: ";
    [[maybe_unused]] const auto a = write(2, head, sizeof head - 1);
    [[maybe_unused]] const auto b = write(2, why, std::strlen(why));
    [[maybe_unused]] const auto c = write(2, "\n", 1);
    std::abort();
  }

  std::uint8_t (*tile(int number))[64] {
    if (!configured_) refuse("tiles are used before LDTILECFG");
    if (number > 7 || rows_[number] == 0) refuse("a tile is used that is not configured");
    return data_[number];
  }

  static float from_bf16(const std::uint8_t* p) {
    std::uint32_t bits = static_cast<std::uint32_t>(p[0]) << 16 | static_cast<std::uint32_t>(p[1]) << 24;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  // The even products of a tile's pairs are summed, and the odd ones, and both sums are added to what was there. Products of bfloat16
  // numbers are exact, so that fused additions are additions; what is denormal counts as zero, before and after.
  [[gnu::noinline]] static void add_products(float (*sums)[16], const float (*a)[32], const float (*b)[32], int rows, int pairs) {
    for (int m = 0; m < rows; ++m) {
      float both[32] = {};
      for (int k = 0; k < pairs; ++k) {
        for (int n = 0; n < 32; ++n) both[n] += a[m][2 * k + n % 2] * b[k][n];
      }
      for (int n = 0; n < 16; ++n) sums[m][n] += both[2 * n] + both[2 * n + 1];
    }
  }

  bool configured_ = false;
  int rows_[8] = {};
  int row_bytes_[8] = {};
  alignas(64) std::uint8_t data_[8][16][64] = {};
};

}  // namespace stoa::models::test

#endif
