// SPDX-License-Identifier: GPL-3.0-or-later
// Vectors of QKOV_LANES numbers, and how stored numbers become them. For KernelsImpl.h alone.
#pragma once

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

} // namespace
} // namespace qkov::engine::cpu
