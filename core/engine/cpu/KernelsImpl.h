// SPDX-License-Identifier: GPL-3.0-or-later
// The loops behind Kernels, written over QKOV_LANES-wide vectors. Included once per instruction
// set. Everything is in an unnamed namespace and nothing of the standard library is used: a copy of
// an inline function compiled for AVX-512 must not end up serving the rest of the program.
#include "engine/cpu/Kernels.h"

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qkov {
float halfToFloat(std::uint16_t bits); // base/DType.h, which has inline functions of its own
}

namespace qkov::engine::cpu {
namespace {

constexpr int lanes = QKOV_LANES;
constexpr int tileRows = QKOV_ROWS;
constexpr int tileColumns = QKOV_COLUMNS;

typedef float V __attribute__((vector_size(lanes * 4)));
typedef int I __attribute__((vector_size(lanes * 4)));
typedef uint32_t U __attribute__((vector_size(lanes * 4)));
typedef uint16_t H __attribute__((vector_size(lanes * 2)));
typedef double D __attribute__((vector_size(lanes * 8)));

template <class T>
inline T loadAs(const void* p) {
    T v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class T>
inline void storeAs(void* p, T v) {
    __builtin_memcpy(p, &v, sizeof v);
}
inline V splat(float x) {
    return V{} + x;
}
inline V absolute(V v) {
    return (V)((I)v & 0x7fffffff);
}

enum Type { f16, bf16, f32, f64 };
enum Change { identity, absoluteValue, square, squareRoot };

constexpr int sizeOf(int type) {
    return type == f64 ? 8 : type == f32 ? 4 : 2;
}

/// Runs are short and far apart, which no hardware prefetcher foresees. An address past the data
/// does no harm.
inline void prefetch(const char* p) {
    __builtin_prefetch(p, 0, 2);
}

/// One vector of stored numbers as float32, scaled.
template <int type>
inline V load(const char* p, V scale, double exactScale) {
    if constexpr (type == f16) {
#if QKOV_LANES == 16
        return (V)_mm512_maskz_cvtph_ps(0xffff, loadAs<__m256i>(p)) * scale;
#elif QKOV_LANES == 8 && defined(__F16C__)
        return (V)_mm256_cvtph_ps(loadAs<__m128i>(p)) * scale;
#else
        V v;
        for (int i = 0; i < lanes; ++i) {
            v[i] = halfToFloat(loadAs<uint16_t>(p + 2 * i));
        }
        return v * scale;
#endif
    } else if constexpr (type == bf16) {
        return (V)(__builtin_convertvector(loadAs<H>(p), U) << 16) * scale;
    } else if constexpr (type == f32) {
        return loadAs<V>(p) * scale;
    } else {
        return __builtin_convertvector(loadAs<D>(p) * exactScale, V);
    }
}

template <int change>
inline V changed(V v) {
    if constexpr (change == absoluteValue) {
        return absolute(v);
    } else if constexpr (change == square) {
        return v * v;
    } else if constexpr (change == squareRoot) {
        V r;
        for (int i = 0; i < lanes; ++i) {
            r[i] = __builtin_sqrtf(v[i]);
        }
        return r;
    } else {
        return v;
    }
}

/// The last, incomplete vector: copied to a full one padded with zeros.
struct Tail {
    alignas(64) char raw[lanes * 8];
    alignas(64) float w[lanes];
    Tail(const char* p, int64_t n, int size) {
        __builtin_memset(raw, 0, sizeof raw);
        __builtin_memset(w, 0, sizeof w);
        __builtin_memcpy(raw, p, static_cast<size_t>(n * size));
    }
    void weights(const float* p, int64_t n) { __builtin_memcpy(w, p, static_cast<size_t>(n) * 4); }
};

/// Calls f.template run<type, change>() for the run-time numbers.
template <int type, class F>
inline void withChange(int change, F&& f) {
    switch (change) {
    case absoluteValue:
        return f.template run<type, absoluteValue>();
    case square:
        return f.template run<type, square>();
    case squareRoot:
        return f.template run<type, squareRoot>();
    default:
        return f.template run<type, identity>();
    }
}
template <class F>
inline void dispatch(int type, int change, F&& f) {
    switch (type) {
    case f16:
        return withChange<f16>(change, f);
    case bf16:
        return withChange<bf16>(change, f);
    case f32:
        return withChange<f32>(change, f);
    default:
        return withChange<f64>(change, f);
    }
}

struct Pack {
    const char* source;
    int64_t n;
    double scale;
    const float* weights;
    float* target;
    int64_t ahead;

    template <int type, int change>
    void run() const {
        const V s = splat(static_cast<float>(scale));
        const int64_t whole = n - n % lanes;
        if (weights != nullptr) {
            for (int64_t i = 0; i < whole; i += lanes) {
                prefetch(source + i * sizeOf(type) + ahead);
                storeAs(target + i,
                        changed<change>(load<type>(source + i * sizeOf(type), s, scale)) *
                            loadAs<V>(weights + i));
            }
        } else {
            for (int64_t i = 0; i < whole; i += lanes) {
                prefetch(source + i * sizeOf(type) + ahead);
                storeAs(target + i,
                        changed<change>(load<type>(source + i * sizeOf(type), s, scale)));
            }
        }
        if (whole < n) {
            Tail tail(source + whole * sizeOf(type), n - whole, sizeOf(type));
            V v = changed<change>(load<type>(tail.raw, s, scale));
            if (weights != nullptr) {
                tail.weights(weights + whole, n - whole);
                v = v * loadAs<V>(tail.w);
            }
            __builtin_memcpy(target + whole, &v, static_cast<size_t>(n - whole) * 4);
        }
    }
};

void pack(const void* source, int type, int64_t n, double scale, int change, const float* weights,
          float* target, int64_t ahead) {
    dispatch(type, change,
             Pack{static_cast<const char*>(source), n, scale, weights, target, ahead});
}

struct Accumulate {
    const char* source;
    int64_t n;
    double scale;
    float weight;
    float* target;
    int64_t ahead;

    template <int type, int change>
    void run() const {
        const V s = splat(static_cast<float>(scale));
        const V w = splat(weight);
        const int64_t whole = n - n % lanes;
        for (int64_t i = 0; i < whole; i += lanes) {
            prefetch(source + i * sizeOf(type) + ahead);
            storeAs(target + i,
                    loadAs<V>(target + i) +
                        changed<change>(load<type>(source + i * sizeOf(type), s, scale)) * w);
        }
        if (whole < n) {
            const Tail tail(source + whole * sizeOf(type), n - whole, sizeOf(type));
            const V v = changed<change>(load<type>(tail.raw, s, scale)) * w;
            for (int64_t i = whole; i < n; ++i) {
                target[i] += v[i - whole];
            }
        }
    }
};

void accumulate(const void* source, int type, int64_t n, double scale, int change, float weight,
                float* target, int64_t ahead) {
    dispatch(type, change,
             Accumulate{static_cast<const char*>(source), n, scale, weight, target, ahead});
}

/// As unsigned integers without the sign bit, floats sort as their values; infinities and NaNs
/// come last. So the maximum also tells whether all are finite.
template <class Word, class Wide>
Word largestBits(const char* p, int64_t n) {
    constexpr Word mask = static_cast<Word>(~(Word(1) << (sizeof(Word) * 8 - 1)));
    constexpr int64_t step = static_cast<int64_t>(sizeof(Wide) / sizeof(Word));
    Wide best0 = Wide{};
    Wide best1 = Wide{};
    int64_t i = 0;
    for (; i + 2 * step <= n; i += 2 * step) {
        const Wide v0 = loadAs<Wide>(p + i * int64_t(sizeof(Word))) & mask;
        const Wide v1 = loadAs<Wide>(p + (i + step) * int64_t(sizeof(Word))) & mask;
        best0 = v0 > best0 ? v0 : best0;
        best1 = v1 > best1 ? v1 : best1;
    }
    best0 = best1 > best0 ? best1 : best0;
    Word best = 0;
    for (int k = 0; k < step; ++k) {
        best = best0[k] > best ? Word(best0[k]) : best;
    }
    for (; i < n; ++i) {
        const Word v = loadAs<Word>(p + i * int64_t(sizeof(Word))) & mask;
        best = v > best ? v : best;
    }
    return best;
}
typedef uint16_t W16 __attribute__((vector_size(lanes * 4)));
typedef uint64_t W64 __attribute__((vector_size(lanes * 4)));

double largest(const void* source, int type, int64_t n) {
    const char* p = static_cast<const char*>(source);
    if (type == f16) {
        return halfToFloat(largestBits<uint16_t, W16>(p, n));
    }
    if (type == bf16) {
        const uint32_t bits = uint32_t(largestBits<uint16_t, W16>(p, n)) << 16;
        return loadAs<float>(&bits);
    }
    if (type == f32) {
        const uint32_t bits = largestBits<uint32_t, U>(p, n);
        return loadAs<float>(&bits);
    }
    const uint64_t bits = largestBits<uint64_t, W64>(p, n);
    return loadAs<double>(&bits);
}

struct Sums {
    const char* source;
    int64_t n;
    double* sum;
    double* squares;
    double* roots;

    template <int type, int change>
    void run() const {
        D s{};
        D q{};
        D r{};
        for (int64_t i = 0; i < n; i += lanes) {
            const int64_t left = n - i;
            D d;
            if constexpr (type == f64) {
                d = left >= lanes ? loadAs<D>(source + i * 8)
                                  : loadAs<D>(Tail(source + i * 8, left, 8).raw);
            } else {
                const V one = splat(1);
                const char* at = source + i * sizeOf(type);
                const V v = left >= lanes ? load<type>(at, one, 1)
                                          : load<type>(Tail(at, left, sizeOf(type)).raw, one, 1);
                d = __builtin_convertvector(v, D);
            }
            const D m = d < 0 ? -d : d;
            s += m;
            q += d * d;
            D root;
            for (int k = 0; k < lanes; ++k) {
                root[k] = __builtin_sqrt(m[k]);
            }
            r += root;
        }
        for (int k = 0; k < lanes; ++k) {
            *sum += s[k];
            *squares += q[k];
            *roots += r[k];
        }
    }
};

void sums(const void* source, int type, int64_t n, double* sum, double* squares, double* roots) {
    dispatch(type, identity, Sums{static_cast<const char*>(source), n, sum, squares, roots});
}

double weightedSquares(const float* x, const float* w, int64_t n) {
    V acc{};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const V v = loadAs<V>(x + i);
        acc += w != nullptr ? v * v * loadAs<V>(w + i) : v * v;
    }
    double total = 0;
    for (int k = 0; k < lanes; ++k) {
        total += double(acc[k]);
    }
    for (; i < n; ++i) {
        total += double(x[i]) * double(x[i]) * (w != nullptr ? double(w[i]) : 1.0);
    }
    return total;
}

/// Sum over the lanes, added pairwise.
inline float reduce(V v) {
#if QKOV_LANES == 16
    v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
#elif QKOV_LANES == 8
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
#else
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
#endif
    return v[0] + v[1];
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
    for (int64_t k = 0; k < depth; k += lanes) {
        V bv[C];
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) {
            bv[j] = loadAs<V>(b + j * depth + k);
        }
#pragma GCC unroll 8
        for (int i = 0; i < R; ++i) {
            const V av = loadAs<V>(a + i * depth + k);
#pragma GCC unroll 8
            for (int j = 0; j < C; ++j) {
                acc[i][j] += av * bv[j];
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) {
            c[i * ldc + j] += double(reduce(acc[i][j]));
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

void products(const float* a, int64_t nA, const float* b, int64_t nB, int64_t depth, double* c,
              int64_t ldc, const Ahead& ahead) {
    // Columns in blocks that stay in the second-level cache beside the rows.
    int64_t block = (int64_t(384) << 10) / (depth * 4);
    block -= block % tileColumns;
    block = block < tileColumns ? int64_t(tileColumns) : block;
    const int64_t tiles = ((nA + tileRows - 1) / tileRows) * ((nB + tileColumns - 1) / tileColumns);
    const int64_t perTile = (ahead.count * ahead.lines + tiles - 1) / tiles;
    int64_t run = 0;
    int64_t line = 0;
    for (int64_t j0 = 0; j0 < nB; j0 += block) {
        const int64_t j1 = j0 + block < nB ? j0 + block : nB;
        for (int64_t i = 0; i < nA; i += tileRows) {
            const int64_t rows = nA - i < tileRows ? nA - i : int64_t(tileRows);
            for (int64_t j = j0; j < j1; j += tileColumns) {
                const int64_t columns = j1 - j < tileColumns ? j1 - j : int64_t(tileColumns);
                for (int64_t f = 0; f < perTile && run < ahead.count; ++f) {
                    prefetch(ahead.runs[run] + line * 64);
                    if (++line == ahead.lines) {
                        line = 0;
                        ++run;
                    }
                }
                tileOf(rows, columns)(a + i * depth, b + j * depth, depth, c + i * ldc + j, ldc);
            }
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

constexpr Kernels set{QKOV_KERNELS_NAME, pack,     largest,         sums,
                      accumulate,        products, weightedSquares, outer};

} // namespace

const Kernels& QKOV_KERNELS() {
    return set;
}

} // namespace qkov::engine::cpu
