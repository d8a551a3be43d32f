// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/OuterSum.h"

#include <algorithm>
#include <cstring>

namespace qkov::dump {
namespace {

constexpr std::int64_t blockRows = 6;

/// One tile of blockRows × `width` sums held in registers over all tokens.
template <class T, std::int64_t width, std::int64_t height>
[[gnu::always_inline]] inline void tile(const T* a, const T* b, std::int64_t tokens,
                                        std::int64_t rows, std::int64_t columns, T* out) {
    using Vector [[gnu::vector_size(64)]] = T;
    constexpr std::int64_t lanes = static_cast<std::int64_t>(64 / sizeof(T));
    constexpr std::int64_t vectors = width / lanes;
    Vector sum[height][vectors] = {};
    for (std::int64_t t = 0; t < tokens; ++t) {
        Vector x[vectors];
        std::memcpy(x, b + t * columns, sizeof x);
        for (std::int64_t r = 0; r < height; ++r) {
            const T s = a[t * rows + r];
            for (std::int64_t v = 0; v < vectors; ++v) {
                sum[r][v] += s * x[v];
            }
        }
    }
    for (std::int64_t r = 0; r < height; ++r) {
        std::memcpy(out + r * columns, sum[r], sizeof sum[r]);
    }
}

template <class T>
[[gnu::always_inline]] inline void edge(const T* a, const T* b, std::int64_t tokens,
                                        std::int64_t rows, std::int64_t columns,
                                        std::int64_t height, std::int64_t width, T* out) {
    for (std::int64_t r = 0; r < height; ++r) {
        T* line = out + r * columns;
        std::fill(line, line + width, T(0));
        for (std::int64_t t = 0; t < tokens; ++t) {
            const T s = a[t * rows + r];
            for (std::int64_t c = 0; c < width; ++c) {
                line[c] += s * b[t * columns + c];
            }
        }
    }
}

template <class T>
[[gnu::always_inline]] inline void all(const T* a, const T* b, std::int64_t tokens,
                                       std::int64_t rows, std::int64_t columns, T* out) {
    constexpr std::int64_t width = static_cast<std::int64_t>(128 / sizeof(T));
    const std::int64_t inside = columns - columns % width;
    const std::int64_t whole = rows - rows % blockRows;
    for (std::int64_t c = 0; c < inside; c += width) {
        for (std::int64_t r = 0; r < whole; r += blockRows) {
            tile<T, width, blockRows>(a + r, b + c, tokens, rows, columns, out + r * columns + c);
        }
        for (std::int64_t r = whole; r < rows; ++r) {
            tile<T, width, 1>(a + r, b + c, tokens, rows, columns, out + r * columns + c);
        }
    }
    edge(a, b + inside, tokens, rows, columns, rows, columns - inside, out + inside);
}

template <class T>
using Kernel = void (*)(const T*, const T*, std::int64_t, std::int64_t, std::int64_t, T*);

template <class T>
void plain(const T* a, const T* b, std::int64_t tokens, std::int64_t rows, std::int64_t columns,
           T* out) {
    all(a, b, tokens, rows, columns, out);
}

#if defined(__x86_64__)
template <class T>
__attribute__((target("avx2,fma"))) void avx2(const T* a, const T* b, std::int64_t tokens,
                                              std::int64_t rows, std::int64_t columns, T* out) {
    all(a, b, tokens, rows, columns, out);
}
template <class T>
__attribute__((target("avx512f,avx2,fma,prefer-vector-width=512"))) void
avx512(const T* a, const T* b, std::int64_t tokens, std::int64_t rows, std::int64_t columns,
       T* out) {
    all(a, b, tokens, rows, columns, out);
}
#endif

template <class T>
Kernel<T> choose() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        return avx512<T>;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return avx2<T>;
    }
#endif
    return plain<T>;
}

} // namespace

void outerSum(const float* a, const float* b, std::int64_t tokens, std::int64_t rows,
              std::int64_t columns, float* out) {
    static const Kernel<float> kernel = choose<float>();
    kernel(a, b, tokens, rows, columns, out);
}

void outerSum(const double* a, const double* b, std::int64_t tokens, std::int64_t rows,
              std::int64_t columns, double* out) {
    static const Kernel<double> kernel = choose<double>();
    kernel(a, b, tokens, rows, columns, out);
}

} // namespace qkov::dump
