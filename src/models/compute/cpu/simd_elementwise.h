// Row operations over a vector type S (simd_avx2.h): see Kernels in kernels.h.
#pragma once

#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/simd_avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

// e^x within 2 ulp: x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor polynomial of degree 6 of e^r (error below 2^-24 there).
// Below -87.3, where results stop being normal numbers, it is zero; above 88.3 it stays at the largest power of that size.
template <class S>
inline typename S::F exp(typename S::F x) {
  const auto limit = S::set1(-87.3f);
  const auto bounded = S::max(S::min(x, S::set1(88.3f)), limit);
  const auto n = S::round(S::mul(bounded, S::set1(1.44269504f)));
  auto r = S::fma(n, S::set1(-0.693359375f), bounded);
  r = S::fma(n, S::set1(2.12194440e-4f), r);
  auto p = S::set1(1.0f / 720);
  p = S::fma(p, r, S::set1(1.0f / 120));
  p = S::fma(p, r, S::set1(1.0f / 24));
  p = S::fma(p, r, S::set1(1.0f / 6));
  p = S::fma(p, r, S::set1(0.5f));
  p = S::fma(p, r, S::set1(1.0f));
  p = S::fma(p, r, S::set1(1.0f));
  return S::zero_if_less(x, limit, S::scale2(p, n));
}

// f(vector) on n values in place.
template <class S, class Fn>
inline void map(float* x, std::int64_t n, Fn fn) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) S::store(x + i, fn(S::load(x + i), i, 16));
  if (i < n) S::store_n(x + i, fn(S::load_n(x + i, static_cast<int>(n - i)), i, static_cast<int>(n - i)), static_cast<int>(n - i));
}

template <class S>
void rms_norm(const float* x, const float* weight, float eps, int n, float* out) {
  auto squares = S::zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) squares = S::fma(S::load(x + i), S::load(x + i), squares);
  if (i < n) squares = S::fma(S::load_n(x + i, n - i), S::load_n(x + i, n - i), squares);
  const auto factor = S::set1(1.0f / __builtin_sqrtf(S::reduce_add(squares) / static_cast<float>(n) + eps));
  for (i = 0; i + 16 <= n; i += 16) S::store(out + i, S::mul(S::mul(S::load(x + i), factor), S::load(weight + i)));
  if (i < n) S::store_n(out + i, S::mul(S::mul(S::load_n(x + i, n - i), factor), S::load_n(weight + i, n - i)), n - i);
}

template <class S>
void layer_norm(const float* x, const float* weight, const float* bias, float eps, int n, float* out) {
  auto total = S::zero();
  int i = 0;
  for (; i + 16 <= n; i += 16) total = S::add(total, S::load(x + i));
  if (i < n) total = S::add(total, S::load_n(x + i, n - i));
  const auto mean = S::set1(S::reduce_add(total) / static_cast<float>(n));
  auto squares = S::zero();
  for (i = 0; i + 16 <= n; i += 16) {
    const auto d = S::sub(S::load(x + i), mean);
    squares = S::fma(d, d, squares);
  }
  if (i < n) {
    const auto d = S::select_range(S::sub(S::load_n(x + i, n - i), mean), S::zero(), 0, n - i);
    squares = S::fma(d, d, squares);
  }
  const auto factor = S::set1(1.0f / __builtin_sqrtf(S::reduce_add(squares) / static_cast<float>(n) + eps));
  for (i = 0; i < n; i += 16) {
    const int count = n - i < 16 ? n - i : 16;
    const auto d = S::mul(S::sub(S::load_n(x + i, count), mean), factor);
    S::store_n(out + i, S::fma(d, S::load_n(weight + i, count), S::load_n(bias + i, count)), count);
  }
}

template <class S>
void add(const float* x, float* y, std::int64_t n) {
  map<S>(y, n, [x](typename S::F v, std::int64_t i, int count) { return S::add(v, S::load_n(x + i, count)); });
}

template <class S>
inline typename S::F logistic(typename S::F x) {
  return S::div(S::set1(1.0f), S::add(S::set1(1.0f), exp<S>(S::sub(S::zero(), x))));
}

template <class S>
void silu_mul(float* gate, const float* up, std::int64_t n) {
  map<S>(gate, n, [up](typename S::F v, std::int64_t i, int count) { return S::mul(S::mul(v, logistic<S>(v)), S::load_n(up + i, count)); });
}

// erf by the rational approximation 7.1.26 of Abramowitz and Stegun (absolute error below 1.5e-7).
template <class S>
inline typename S::F erf(typename S::F x) {
  const auto a = S::abs(x);
  const auto t = S::div(S::set1(1.0f), S::fma(a, S::set1(0.3275911f), S::set1(1.0f)));
  auto p = S::set1(1.061405429f);
  p = S::fma(p, t, S::set1(-1.453152027f));
  p = S::fma(p, t, S::set1(1.421413741f));
  p = S::fma(p, t, S::set1(-0.284496736f));
  p = S::fma(p, t, S::set1(0.254829592f));
  const auto tail = S::mul(S::mul(p, t), exp<S>(S::sub(S::zero(), S::mul(a, a))));
  return S::copy_sign(S::sub(S::set1(1.0f), tail), x);
}

template <class S>
void gelu_erf(float* x, std::int64_t n) {
  map<S>(x, n, [](typename S::F v, std::int64_t, int) {
    return S::mul(S::mul(v, S::set1(0.5f)), S::add(S::set1(1.0f), erf<S>(S::mul(v, S::set1(0.70710678f)))));
  });
}

// 0.5 (1 + tanh y) is the logistic function of 2 y.
template <class S>
inline typename S::F gelu_tanh_of(typename S::F v) {
  const auto cubic = S::fma(S::mul(v, v), S::mul(v, S::set1(0.044715f)), v);
  return S::mul(v, logistic<S>(S::mul(cubic, S::set1(2 * 0.79788456f))));
}

template <class S>
void gelu_tanh(float* x, std::int64_t n) {
  map<S>(x, n, [](typename S::F v, std::int64_t, int) { return gelu_tanh_of<S>(v); });
}

template <class S>
void gelu_mul(float* gate, const float* up, std::int64_t n) {
  map<S>(gate, n, [up](typename S::F v, std::int64_t i, int count) { return S::mul(gelu_tanh_of<S>(v), S::load_n(up + i, count)); });
}

template <class S>
inline typename S::F capped(typename S::F v, typename S::F cap, typename S::F twice_inverse) {
  return S::mul(cap, S::sub(S::mul(S::set1(2.0f), logistic<S>(S::mul(v, twice_inverse))), S::set1(1.0f)));
}

template <class S>
void softcap(float* x, float cap, std::int64_t n) {
  const auto c = S::set1(cap), twice_inverse = S::set1(2.0f / cap);
  map<S>(x, n, [=](typename S::F v, std::int64_t, int) { return capped<S>(v, c, twice_inverse); });
}

template <class S>
void softmax(float* x, int n) {
  const auto lowest = S::set1(-__builtin_inff());
  auto largest = lowest;
  for (int i = 0; i < n; i += 16) {
    const int count = n - i < 16 ? n - i : 16;
    largest = S::max(largest, S::select_range(S::load_n(x + i, count), lowest, 0, count));
  }
  const auto top = S::set1(S::reduce_max(largest));
  auto total = S::zero();
  for (int i = 0; i < n; i += 16) {
    const int count = n - i < 16 ? n - i : 16;
    const auto e = S::select_range(exp<S>(S::sub(S::load_n(x + i, count), top)), S::zero(), 0, count);
    S::store_n(x + i, e, count);
    total = S::add(total, e);
  }
  const auto factor = S::set1(1.0f / S::reduce_add(total));
  map<S>(x, n, [factor](typename S::F v, std::int64_t, int) { return S::mul(v, factor); });
}

template <class S>
int argmax(const float* x, int n) {
  const auto lowest = S::set1(-__builtin_inff());
  auto largest = lowest;
  for (int i = 0; i < n; i += 16) {
    const int count = n - i < 16 ? n - i : 16;
    // max(a, b) is b where either is NaN, so that NaN in a does not win.
    largest = S::max(S::select_range(S::load_n(x + i, count), lowest, 0, count), largest);
  }
  const float top = S::reduce_max(largest);
  for (int i = 0; i < n; ++i) {
    if (x[i] == top) return i;
  }
  return 0;
}

template <class S>
void rope_interleaved(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half) {
  for (int h = 0; h < heads; ++h, x += head_dim) {
    int i = 0;
    for (; i + 8 <= half; i += 8) {
      const auto v = S::load(x + 2 * i);
      S::store(x + 2 * i, S::add_sub(S::mul(v, S::twice_each(cosines + i)), S::mul(S::swap_pairs(v), S::twice_each(sines + i))));
    }
    for (; i < half; ++i) {
      const float a = x[2 * i];
      const float b = x[2 * i + 1];
      x[2 * i] = a * cosines[i] - b * sines[i];
      x[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
  }
}

template <class S>
void rope_halves(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half) {
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int i = 0; i < half; i += 16) {
      const int count = half - i < 16 ? half - i : 16;
      const auto a = S::load_n(x + i, count);
      const auto b = S::load_n(x + half + i, count);
      const auto c = S::load_n(cosines + i, count);
      const auto s = S::load_n(sines + i, count);
      S::store_n(x + i, S::sub(S::mul(a, c), S::mul(b, s)), count);
      S::store_n(x + half + i, S::fma(b, c, S::mul(a, s)), count);
    }
  }
}

}  // namespace
}  // namespace stoa::models

#endif
