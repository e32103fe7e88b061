// Row-wise parts of the network that libtorch runs as many small operations on the CPU, each as one pass over memory.
#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <array>
#include <cmath>
#include <cstdint>

// Uses the widest vectors of the machine that runs the program, not of the one that built it.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

namespace {

using at::Tensor;

constexpr int64_t kLargestHead = 256;

struct Bf16 {
  uint16_t bits;
};

inline float widened(float x) { return x; }
inline float widened(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

inline void store(float* at, float x) { *at = x; }
/// Rounds to nearest, ties to even; NaN stays NaN.
inline void store(Bf16* at, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  at->bits = static_cast<uint16_t>(x != x ? 0x7fc0u : rounded);
}

/// Rounds to the tensor's type, as the reference does before it scales the normalised value.
inline float rounded(float x, float) { return x; }
inline float rounded(float x, Bf16) {
  Bf16 narrow;
  store(&narrow, x);
  return widened(narrow);
}

template <typename T>
inline __attribute__((always_inline)) void rms_norm_row(const T* x, const T* weight, T* y, int64_t width, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += widened(x[i]) * widened(x[i]);
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) store(&y[i], rounded(widened(x[i]) * scale, T{}) * widened(weight[i]));
}

template <typename T>
inline __attribute__((always_inline)) void turn_head(T* x, const T* weight, const float* cos, const float* sin,
                                                     int64_t width, float eps) {
  float head[kLargestHead];
  const int64_t half = width / 2;
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) head[i] = widened(x[i]);
  if (weight) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += head[i] * head[i];
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) head[i] = rounded(head[i] * scale, T{}) * widened(weight[i]);
  }
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float first = head[i], second = head[i + half];
    store(&x[i], first * cos[i] - second * sin[i]);
    store(&x[i + half], second * cos[i + half] + first * sin[i + half]);
  }
}

struct Heads {
  int64_t queries, keys, head;
  float eps;
};

template <typename T>
inline __attribute__((always_inline)) void turn_row(T* row, const T* queries, const T* keys, const float* cos,
                                                    const float* sin, const Heads& heads) {
  for (int64_t h = 0; h < heads.queries + heads.keys; ++h)
    turn_head(row + h * heads.head, h < heads.queries ? queries : keys, cos, sin, heads.head, heads.eps);
}

// `target_clones` works on plain functions only, hence one for each type.
WIDEST void rms_norm(const float* x, const float* weight, float* y, int64_t width, float eps) {
  rms_norm_row(x, weight, y, width, eps);
}
WIDEST void rms_norm(const Bf16* x, const Bf16* weight, Bf16* y, int64_t width, float eps) {
  rms_norm_row(x, weight, y, width, eps);
}
WIDEST void turn(float* row, const float* queries, const float* keys, const float* cos, const float* sin,
                 const Heads& heads) {
  turn_row(row, queries, keys, cos, sin, heads);
}
WIDEST void turn(Bf16* row, const Bf16* queries, const Bf16* keys, const float* cos, const float* sin,
                 const Heads& heads) {
  turn_row(row, queries, keys, cos, sin, heads);
}

/// Calls `body` with a null pointer of the type that holds the tensor's values.
template <typename Body>
void of_type(const Tensor& x, Body&& body) {
  switch (x.scalar_type()) {
    case at::kFloat: return body(static_cast<float*>(nullptr));
    case at::kBFloat16: return body(static_cast<Bf16*>(nullptr));
    default: TORCH_CHECK(false, "expected float32 or bfloat16, found ", x.scalar_type());
  }
}

void check(const Tensor& x, const Tensor& like, const char* name) {
  TORCH_CHECK(x.device().is_cpu() && x.is_contiguous(), name, ": expected a contiguous tensor on the CPU");
  TORCH_CHECK(x.scalar_type() == like.scalar_type(), name, ": expected ", like.scalar_type(), ", found ",
              x.scalar_type());
}

template <typename T>
T* values(const Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

constexpr int64_t kRowsOfOneThread = 8;

}  // namespace

extern "C" {

/// y = x / sqrt(mean(x²) + eps) * weight over the last axis, statistics in 32 bits.
Message thinkvla_rms_norm(const Tensor* x, const Tensor* weight, double eps, Tensor** y) {
  return guarded([&] {
    const int64_t width = weight->numel();
    check(*x, *x, "input");
    check(*weight, *x, "weight");
    TORCH_CHECK(x->dim() > 0 && x->size(-1) == width, "expected rows of ", width, ", found ", x->sizes());
    Tensor out = at::empty_like(*x);
    of_type(*x, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const T *from = values<T>(*x), *scale = values<T>(*weight);
      T* to = values<T>(out);
      at::parallel_for(0, x->numel() / width, kRowsOfOneThread, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          rms_norm(from + row * width, scale, to + row * width, width, static_cast<float>(eps));
      });
    });
    *y = new Tensor(std::move(out));
  });
}

/// Normalises (where weights are given) and rotates the query and key heads at the beginning of each row, in place.
Message thinkvla_turn_heads(Tensor* rows, const Tensor* query_norm, const Tensor* key_norm, const Tensor* cos,
                            const Tensor* sin, int64_t queries, int64_t keys, double eps) {
  return guarded([&] {
    check(*rows, *rows, "rows");
    TORCH_CHECK(cos->sizes() == sin->sizes() && cos->scalar_type() == at::kFloat && sin->scalar_type() == at::kFloat &&
                    cos->is_contiguous() && sin->is_contiguous(),
                "expected two equal contiguous float32 tables");
    const int64_t head = cos->size(-1), stride = rows->size(-1), number = rows->numel() / stride;
    TORCH_CHECK(head % 2 == 0 && head <= kLargestHead, "expected an even head of at most ", kLargestHead, ", found ",
                head);
    TORCH_CHECK((queries + keys) * head <= stride, "expected rows of ", queries + keys, " heads of ", head, ", found ",
                stride);
    TORCH_CHECK(cos->numel() == number * head, "expected tables of ", number, " rows, found ", cos->sizes());
    for (const Tensor* weight : {query_norm, key_norm})
      if (weight) {
        check(*weight, *rows, "weight");
        TORCH_CHECK(weight->numel() == head, "expected a norm of ", head, ", found ", weight->sizes());
      }
    const Heads heads{queries, keys, head, static_cast<float>(eps)};
    of_type(*rows, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      T* data = values<T>(*rows);
      const T* of_queries = query_norm ? values<T>(*query_norm) : nullptr;
      const T* of_keys = key_norm ? values<T>(*key_norm) : nullptr;
      const float *c = values<float>(*cos), *s = values<float>(*sin);
      at::parallel_for(0, number, kRowsOfOneThread, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          turn(data + row * stride, of_queries, of_keys, c + row * head, s + row * head, heads);
      });
    });
  });
}
}
