// SPDX-License-Identifier: GPL-3.0-or-later
// Loops over one sample's numbers: packing, sums, extremes. For KernelsImpl.h alone.
#pragma once

#include "engine/cpu/Kernels.h"
#include "engine/cpu/KernelsVector.h"

namespace qkov::engine::cpu {
namespace {

struct Pack {
    const char* const* sources;
    int64_t samples;
    Runs runs;
    const double* scales;
    const float* weights;
    float* target;
    int64_t ahead;

    template <int type, int change>
    void run() const {
        V s[mostTogether];
        for (int64_t i = 0; i < samples; ++i) {
            s[i] = splat(static_cast<float>(scales[i]));
        }
        float* to = target;
        const float* w = weights;
        for (int64_t r = 0; r < runs.count; ++r) {
            // The usual widths of panels are known to the compiler.
            to = samples == QKOV_ROWS      ? one<type, change, QKOV_ROWS>(r, w, to, s)
                 : samples == QKOV_COLUMNS ? one<type, change, QKOV_COLUMNS>(r, w, to, s)
                                           : one<type, change, 0>(r, w, to, s);
            w = w != nullptr ? w + runs.length : w;
        }
    }

    template <int type, int change, int known>
    float* one(int64_t r, const float* w, float* to, const V* s) const {
        const int64_t count = known > 0 ? known : samples;
        const int64_t n = runs.length;
        const int64_t whole = n - n % lanes;
        // Runs need not begin with a cache line: the first one, then that of each vector's last
        // byte.
        for (int64_t i = 0; i < count; ++i) {
            prefetch(sources[i] + r * runs.stride + ahead);
        }
        for (int64_t k = 0; k < whole; k += lanes) {
            const int64_t at = r * runs.stride + k * sizeOf(type);
            const V weight = w != nullptr ? loadAs<V>(w + k) : splat(1);
#pragma GCC unroll 8
            for (int64_t i = 0; i < count; ++i, to += lanes) {
                prefetch(sources[i] + at + ahead + (lanes * sizeOf(type) - 1));
                storeAs(to, changed<change>(load<type>(sources[i] + at, s[i], scales[i])) * weight);
            }
        }
        for (int64_t i = 0; i < count && whole < n; ++i, to += lanes) {
            Tail tail(sources[i] + r * runs.stride + whole * sizeOf(type), n - whole, sizeOf(type));
            V v = changed<change>(load<type>(tail.raw, s[i], scales[i]));
            if (w != nullptr) {
                tail.weights(w + whole, n - whole);
                v = v * loadAs<V>(tail.w);
            }
            storeAs(to, v);
        }
        return to;
    }
};

void pack(const void* const* sources, int64_t samples, int type, const Runs& runs,
          const double* scales, int change, const float* weights, float* target, int64_t ahead) {
    dispatch(type, change,
             Pack{reinterpret_cast<const char* const*>(sources), samples, runs, scales, weights,
                  target, ahead});
}

void weighted(const float* panel, int64_t samples, const float* weights, int64_t n, float* target) {
    const auto one = [&](int64_t k, V weight) {
        for (int64_t i = 0; i < samples; ++i) {
            const int64_t at = k * samples + i * lanes;
            storeAs(target + at, loadAs<V>(panel + at) * weight);
        }
    };
    const int64_t whole = n - n % lanes;
    for (int64_t k = 0; k < whole; k += lanes) {
        one(k, loadAs<V>(weights + k));
    }
    if (whole < n) {
        alignas(64) float rest[lanes] = {};
        __builtin_memcpy(rest, weights + whole, static_cast<size_t>(n - whole) * sizeof(float));
        one(whole, loadAs<V>(rest));
    }
}

struct Accumulate {
    const char* source;
    int64_t stride, samples;
    Runs runs;
    const double* scales;
    const float* weights;
    float* target;

    template <int type, int change>
    void run() const {
        V s[mostTogether];
        V w[mostTogether];
        for (int64_t i = 0; i < samples; ++i) {
            s[i] = splat(static_cast<float>(scales[i]));
            w[i] = splat(weights[i]);
        }
        for (int64_t r = 0; r < runs.count; ++r) {
            const char* from = source + r * runs.stride;
            float* to = target + r * runs.length;
            if (samples == mostTogether) {
                one<type, change, mostTogether>(from, to, s, w);
            } else {
                one<type, change, 0>(from, to, s, w);
            }
        }
    }

    template <int type, int change, int known>
    void one(const char* from, float* to, const V* s, const V* w) const {
        const int64_t count = known > 0 ? known : samples;
        const int64_t whole = runs.length - runs.length % lanes;
        for (int64_t k = 0; k < whole; k += lanes) {
            V sum = loadAs<V>(to + k);
            V other = V{};
#pragma GCC unroll 8
            for (int64_t i = 0; i < count; ++i) {
                const char* at = from + i * stride + k * sizeOf(type);
                V& into = i % 2 == 0 ? sum : other;
                into += changed<change>(load<type>(at, s[i], scales[i])) * w[i];
            }
            storeAs(to + k, sum + other);
        }
        for (int64_t i = 0; i < count && whole < runs.length; ++i) {
            const Tail tail(from + i * stride + whole * sizeOf(type), runs.length - whole,
                            sizeOf(type));
            const V v = changed<change>(load<type>(tail.raw, s[i], scales[i])) * w[i];
            for (int64_t k = whole; k < runs.length; ++k) {
                to[k] += v[k - whole];
            }
        }
    }
};

void accumulate(const void* source, int64_t stride, int64_t samples, int type, const Runs& runs,
                const double* scales, int change, const float* weights, float* target) {
    dispatch(type, change,
             Accumulate{static_cast<const char*>(source), stride, samples, runs, scales, weights,
                        target});
}

Extent extent(const double* values, int64_t n) {
    constexpr double inf = __builtin_inf();
    D sum0{};
    D sum1{};
    D least = D{} + inf;
    D nonzero = D{} + inf;
    D most = D{};
    const auto take = [&](D v, D& sum) {
        sum += v;
        least = v < least ? v : least;
        most = v > most ? v : most;
        const D unless = v > 0 ? v : D{} + inf;
        nonzero = unless < nonzero ? unless : nonzero;
    };
    int64_t k = 0;
    for (; k + 2 * lanes <= n; k += 2 * lanes) {
        take(loadAs<D>(values + k), sum0);
        take(loadAs<D>(values + k + lanes), sum1);
    }
    sum0 += sum1;
    Extent e{0, inf, 0, inf};
    const auto merge = [&e](double s, double low, double high, double low1) {
        e.sum += s;
        e.least = low < e.least ? low : e.least;
        e.most = high > e.most ? high : e.most;
        e.leastNonzero = low1 < e.leastNonzero ? low1 : e.leastNonzero;
    };
    for (int l = 0; l < lanes; ++l) {
        merge(sum0[l], least[l], most[l], nonzero[l]);
    }
    for (; k < n; ++k) {
        merge(values[k], values[k], values[k], values[k] > 0 ? values[k] : inf);
    }
    return e;
}

Between between(const double* values, int64_t n, double low, double high, double limit,
                double* kept, int64_t capacity) {
    Between b;
    int64_t k = 0;
    for (; k < n && b.kept + packAlign <= capacity; k += 8) {
#if QKOV_LANES == 16
        const __mmask8 there = static_cast<__mmask8>(n - k >= 8 ? 0xff : (1 << (n - k)) - 1);
        const __m512d v = _mm512_maskz_loadu_pd(there, values + k);
        const __mmask8 less = _mm512_mask_cmp_pd_mask(there, v, _mm512_set1_pd(low), _CMP_LT_OQ);
        const __mmask8 in =
            _mm512_mask_cmp_pd_mask(there & ~less, v, _mm512_set1_pd(high), _CMP_LE_OQ);
        // Compressed in a register: to memory it is slow on some machines.
        _mm512_storeu_pd(kept + b.kept, _mm512_maskz_compress_pd(in, v));
        b.kept += __builtin_popcount(in);
        b.below += __builtin_popcount(less);
        b.under += __builtin_popcount(
            _mm512_mask_cmp_pd_mask(there, v, _mm512_set1_pd(limit), _CMP_LT_OQ));
#else
        const int64_t end = n - k < 8 ? n : k + 8;
        for (int64_t i = k; i < end; ++i) {
            const double v = values[i];
            kept[b.kept] = v;
            b.kept += v >= low && v <= high ? 1 : 0;
            b.below += v < low ? 1 : 0;
            b.under += v < limit ? 1 : 0;
        }
#endif
    }
    b.complete = k >= n;
    return b;
}

inline D rootOf(D v) {
#if QKOV_LANES == 16
    const __m512d* half = reinterpret_cast<const __m512d*>(&v);
    const __m512d out[2] = {_mm512_maskz_sqrt_pd(0xff, half[0]),
                            _mm512_maskz_sqrt_pd(0xff, half[1])};
    return loadAs<D>(out);
#else
    D r;
    for (int i = 0; i < lanes; ++i) {
        r[i] = __builtin_sqrt(v[i]);
    }
    return r;
#endif
}

template <int quarters>
void weighAs(const double* fisher, int64_t n, double epsilon, double lambda, double scale,
             bool skipZero, float* weights) {
    const auto one = [&](D f) {
        const D d = (f > epsilon ? f : D{} + epsilon) + lambda;
        D power = d;
        if constexpr (quarters == 2) {
            power = rootOf(d);
        } else if constexpr (quarters == 3) {
            const D root = rootOf(d);
            power = root * rootOf(root);
        } else if constexpr (quarters == 6) {
            power = d * rootOf(d);
        }
        const D w = scale / power;
        return __builtin_convertvector(skipZero ? (f > 0 ? w : D{}) : w, V);
    };
    int64_t k = 0;
    for (; k + lanes <= n; k += lanes) {
        storeAs(weights + k, one(loadAs<D>(fisher + k)));
    }
    if (k < n) {
        double rest[lanes] = {};
        __builtin_memcpy(rest, fisher + k, static_cast<size_t>(n - k) * 8);
        float out[lanes];
        storeAs(out, one(loadAs<D>(rest)));
        __builtin_memcpy(weights + k, out, static_cast<size_t>(n - k) * 4);
    }
}

void weigh(const double* fisher, int64_t n, double epsilon, double lambda, int quarters,
           double scale, bool skipZero, float* weights) {
    switch (quarters) {
    case 2:
        return weighAs<2>(fisher, n, epsilon, lambda, scale, skipZero, weights);
    case 3:
        return weighAs<3>(fisher, n, epsilon, lambda, scale, skipZero, weights);
    case 6:
        return weighAs<6>(fisher, n, epsilon, lambda, scale, skipZero, weights);
    default:
        return weighAs<4>(fisher, n, epsilon, lambda, scale, skipZero, weights);
    }
}

void addScaled(const float* from, double factor, int64_t n, double* to) {
    int64_t k = 0;
    for (; k + lanes <= n; k += lanes) {
        storeAs(to + k,
                loadAs<D>(to + k) + __builtin_convertvector(loadAs<V>(from + k), D) * factor);
    }
    for (; k < n; ++k) {
        to[k] += double(from[k]) * factor;
    }
}

/// As unsigned integers without the sign bit, floats sort as their values; infinities and NaNs
/// come last. So the maximum also tells whether all are finite.
typedef uint16_t W16 __attribute__((vector_size(lanes * 4)));
typedef uint64_t W64 __attribute__((vector_size(lanes * 4)));
static_assert(sizeof(W16) <= extremeBytes);

template <class Word, class Wide>
void largestBits(const char* source, int64_t stride, int64_t samples, const Runs& runs, char* state,
                 int64_t ahead) {
    constexpr Word mask = static_cast<Word>(~(Word(1) << (sizeof(Word) * 8 - 1)));
    constexpr int64_t step = sizeof(Wide);
    const int64_t bytes = runs.length * int64_t(sizeof(Word));
    for (int64_t s = 0; s < samples; ++s, state += extremeBytes) {
        Wide best0 = loadAs<Wide>(state);
        Wide best1 = Wide{};
        Wide rest = Wide{};
        for (int64_t r = 0; r < runs.count; ++r) {
            const char* p = source + s * stride + r * runs.stride;
            int64_t i = 0;
            for (; i + 2 * step <= bytes; i += 2 * step) {
                prefetch(p + i + ahead);
                prefetch(p + i + step + ahead);
                const Wide v0 = loadAs<Wide>(p + i) & mask;
                const Wide v1 = loadAs<Wide>(p + i + step) & mask;
                best0 = v0 > best0 ? v0 : best0;
                best1 = v1 > best1 ? v1 : best1;
            }
            for (; i < bytes; i += step) {
                rest = Wide{};
                __builtin_memcpy(&rest, p + i,
                                 static_cast<size_t>(bytes - i < step ? bytes - i : step));
                rest = rest & mask;
                best1 = rest > best1 ? rest : best1;
            }
        }
        best0 = best1 > best0 ? best1 : best0;
        storeAs(state, best0);
    }
}

void largest(const void* source, int64_t stride, int64_t samples, int type, const Runs& runs,
             void* states, int64_t ahead) {
    const char* p = static_cast<const char*>(source);
    char* state = static_cast<char*>(states);
    if (type == f16 || type == bf16) {
        largestBits<uint16_t, W16>(p, stride, samples, runs, state, ahead);
    } else if (type == f32) {
        largestBits<uint32_t, U>(p, stride, samples, runs, state, ahead);
    } else {
        largestBits<uint64_t, W64>(p, stride, samples, runs, state, ahead);
    }
}

template <class Word>
Word most(const void* state) {
    Word best = 0;
    for (int64_t i = 0; i < extremeBytes; i += int64_t(sizeof(Word))) {
        const Word v = loadAs<Word>(static_cast<const char*>(state) + i);
        best = v > best ? v : best;
    }
    return best;
}

double largestOf(const void* state, int type) {
    if (type == f16) {
        return halfToFloat(most<uint16_t>(state));
    }
    if (type == bf16) {
        const uint32_t bits = uint32_t(most<uint16_t>(state)) << 16;
        return loadAs<float>(&bits);
    }
    if (type == f32) {
        const uint32_t bits = most<uint32_t>(state);
        return loadAs<float>(&bits);
    }
    const uint64_t bits = most<uint64_t>(state);
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

double weightedSquares(const float* x, int64_t stride, const float* w, int64_t n) {
    V acc{};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes, x += stride) {
        const V v = loadAs<V>(x);
        acc += w != nullptr ? v * v * loadAs<V>(w + i) : v * v;
    }
    double total = 0;
    for (int k = 0; k < lanes; ++k) {
        total += double(acc[k]);
    }
    for (int64_t k = 0; i + k < n; ++k) {
        total += double(x[k]) * double(x[k]) * (w != nullptr ? double(w[i + k]) : 1.0);
    }
    return total;
}

} // namespace
} // namespace qkov::engine::cpu
