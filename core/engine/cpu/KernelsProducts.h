// SPDX-License-Identifier: GPL-3.0-or-later
// Products: of packed samples with each other, and of the factors of a gradient. For KernelsImpl.h
// alone.
#pragma once

#include "engine/cpu/Kernels.h"
#include "engine/cpu/KernelsVector.h"

namespace qkov::engine::cpu {
namespace {

constexpr int tileRows = QKOV_ROWS;
constexpr int tileColumns = QKOV_COLUMNS;

// One sum of x's lanes and one of y's where two were: halves, quarters, … are added until each lane
// of one vector holds the sum of another accumulator.
#if QKOV_LANES == 16
inline V halves(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30,
                                   31);
}
inline V quarters(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30,
                                   31);
}
inline V pairs(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30,
                                   31);
}
inline V singles(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28,
                                   30) +
           __builtin_shufflevector(x, y, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}
/// Lane i of the result is the sum over the lanes of v[i].
inline V sumsOf(const V* v) {
    const V a = pairs(quarters(halves(v[0], v[4]), halves(v[8], v[12])),
                      quarters(halves(v[1], v[5]), halves(v[9], v[13])));
    const V b = pairs(quarters(halves(v[2], v[6]), halves(v[10], v[14])),
                      quarters(halves(v[3], v[7]), halves(v[11], v[15])));
    return singles(a, b);
}
#elif QKOV_LANES == 8
inline V halves(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11) +
           __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
}
inline V pairs(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
}
inline V singles(V x, V y) {
    return __builtin_shufflevector(x, y, 0, 2, 8, 10, 4, 6, 12, 14) +
           __builtin_shufflevector(x, y, 1, 3, 9, 11, 5, 7, 13, 15);
}
inline V sumsOf(const V* v) {
    return singles(pairs(halves(v[0], v[4]), halves(v[1], v[5])),
                   pairs(halves(v[2], v[6]), halves(v[3], v[7])));
}
#else
inline V sumsOf(const V* v) {
    const V a = __builtin_shufflevector(v[0], v[1], 0, 1, 4, 5) +
                __builtin_shufflevector(v[0], v[1], 2, 3, 6, 7);
    const V b = __builtin_shufflevector(v[2], v[3], 0, 1, 4, 5) +
                __builtin_shufflevector(v[2], v[3], 2, 3, 6, 7);
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}
#endif

/// c[j] += v[first + j] for j < C
template <int C>
inline void addRow(V v, int first, double* c) {
#if QKOV_LANES == 16
    const I lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const V row = (V)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)(lane + first), (__m512)v);
    constexpr __mmask8 there = (1 << C) - 1;
    const __m512d sum = _mm512_add_pd(_mm512_maskz_loadu_pd(there, c),
                                      _mm512_maskz_cvtps_pd(there, loadAs<__m256>(&row)));
    _mm512_mask_storeu_pd(c, there, sum);
#else
    for (int j = 0; j < C; ++j) {
        c[j] += double(v[first + j]);
    }
#endif
}

/// acc += one vector of each row times one of each column.
template <int R, int C>
inline void multiply(const float* a, const float* b, V (&acc)[R][C]) {
    V bv[C];
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
        bv[j] = loadAs<V>(b + j * lanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
        const V av = loadAs<V>(a + i * lanes);
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) {
            acc[i][j] += av * bv[j];
        }
    }
}

/// R × C dot products over `depth` numbers: one accumulator vector each, lanes along the numbers,
/// so neither transposition nor padding of samples is needed and each sum has `lanes` partial sums.
template <int R, int C>
void tile(const float* a, const float* b, int64_t depth, double* c, int64_t ldc) {
    V acc[R][C];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) {
            acc[i][j] = V{};
        }
    }
    // Not unrolled: longer loops run slower here.
    for (int64_t k = 0; k < depth; k += lanes, a += R * lanes, b += C * lanes) {
        multiply<R, C>(a, b, acc);
    }
    // Whole rows in each group of accumulators whose sums make one vector.
    constexpr int together = C < lanes ? lanes / C : 1;
#pragma GCC unroll 8
    for (int first = 0; first < R; first += together) {
        V v[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            const int row = first + i / C;
            v[i] = i < together * C && row < R ? acc[row][i % C] : V{};
        }
        const V sums = sumsOf(v);
        for (int i = first; i < R && i < first + together; ++i) {
            addRow<C>(sums, (i - first) * C, c + i * ldc);
        }
    }
}

using TileFunction = void (*)(const float*, const float*, int64_t, double*, int64_t);
template <int R>
constexpr TileFunction tileOf(int64_t columns) {
    switch (columns) {
    case 1:
        return tile<R, 1>;
    case 2:
        return tile<R, 2>;
    case 3:
        return tile<R, 3>;
    case 4:
        return tile<R, 4>;
    default:
        return tile<R, tileColumns>;
    }
}
TileFunction tileOf(int64_t rows, int64_t columns) {
    switch (rows) {
    case 1:
        return tileOf<1>(columns);
    case 2:
        return tileOf<2>(columns);
#if QKOV_ROWS > 2
    case 3:
        return tileOf<3>(columns);
#endif
#if QKOV_ROWS > 3
    case 4:
        return tileOf<4>(columns);
#endif
    default:
        return tileOf<tileRows>(columns);
    }
}

/// A tile's share of what is fetched ahead.
inline void fetchShare(Ahead& ahead) {
    int64_t left = ahead.perTile;
    while (left > 0 && ahead.fetch < ahead.count) {
        const Fetch& f = ahead.fetches[ahead.fetch];
        const int64_t rest = f.lines - ahead.line;
        const int64_t n = rest < left ? rest : left;
        const char* p = f.at + ahead.run * f.stride + ahead.line * cacheLine;
        for (int64_t i = 0; i < n; ++i) {
            prefetch(p + i * cacheLine);
        }
        left -= n;
        ahead.line += n;
        if (ahead.line == f.lines) {
            ahead.line = 0;
            if (++ahead.run == f.count) {
                ahead.run = 0;
                ++ahead.fetch;
            }
        }
    }
}

void products(const float* a, int64_t nA, const float* b, int64_t nB, int64_t depth, double* c,
              int64_t ldc, Ahead* ahead) {
    for (int64_t i = 0; i < nA; i += tileRows) {
        const int64_t rows = nA - i < tileRows ? nA - i : int64_t(tileRows);
        for (int64_t j = 0; j < nB; j += tileColumns) {
            const int64_t columns = nB - j < tileColumns ? nB - j : int64_t(tileColumns);
            if (ahead != nullptr) {
                fetchShare(*ahead);
            }
            tileOf(rows, columns)(a + i * depth, b + j * depth, depth, c + i * ldc + j, ldc);
        }
    }
}
/// R rows × (C vectors) of c; the last columns may be fewer than a vector.
template <int R>
void outerRows(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t nB, int64_t depth,
               float* c, int64_t ldc) {
    int64_t j = 0;
    for (; j + 2 * lanes <= nB; j += 2 * lanes) {
        V acc[R][2];
        for (int i = 0; i < R; ++i) {
            acc[i][0] = loadAs<V>(c + i * ldc + j);
            acc[i][1] = loadAs<V>(c + i * ldc + j + lanes);
        }
        for (int64_t t = 0; t < depth; ++t) {
            const V b0 = loadAs<V>(b + t * ldb + j);
            const V b1 = loadAs<V>(b + t * ldb + j + lanes);
#pragma GCC unroll 8
            for (int i = 0; i < R; ++i) {
                const V av = splat(a[t * lda + i]);
                acc[i][0] += av * b0;
                acc[i][1] += av * b1;
            }
        }
        for (int i = 0; i < R; ++i) {
            storeAs(c + i * ldc + j, acc[i][0]);
            storeAs(c + i * ldc + j + lanes, acc[i][1]);
        }
    }
    for (; j < nB; ++j) {
        for (int i = 0; i < R; ++i) {
            float sum = c[i * ldc + j];
            for (int64_t t = 0; t < depth; ++t) {
                sum += a[t * lda + i] * b[t * ldb + j];
            }
            c[i * ldc + j] = sum;
        }
    }
}

void outer(const float* a, int64_t lda, int64_t nA, const float* b, int64_t ldb, int64_t nB,
           int64_t depth, float* c, int64_t ldc) {
    constexpr int rows = QKOV_LANES == 16 ? 8 : 4;
    int64_t i = 0;
    for (; i + rows <= nA; i += rows) {
        outerRows<rows>(a + i, lda, b, ldb, nB, depth, c + i * ldc, ldc);
    }
    for (; i < nA; ++i) {
        outerRows<1>(a + i, lda, b, ldb, nB, depth, c + i * ldc, ldc);
    }
}

} // namespace
} // namespace qkov::engine::cpu
