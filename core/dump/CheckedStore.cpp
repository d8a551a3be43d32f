// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/CheckedStore.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qkov::dump {
namespace {

constexpr float halfOverflow = 65520.0f; // rounds to infinity from here on

#if defined(__x86_64__)
/// Multiples of 8; returns how many were converted before a block that overflows.
__attribute__((target("avx2,f16c"))) std::size_t
storeHalves(const float* source, std::size_t n, std::uint16_t* target, StorageLoss& loss) {
    const __m256 signBit = _mm256_set1_ps(-0.0f);
    const __m256 limit = _mm256_set1_ps(halfOverflow);
    const __m256 infinity = _mm256_set1_ps(std::numeric_limits<float>::infinity());
    const __m256 zero = _mm256_setzero_ps();
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 x = _mm256_loadu_ps(source + i);
        const __m256 a = _mm256_andnot_ps(signBit, x);
        const __m256 over = _mm256_and_ps(_mm256_cmp_ps(a, limit, _CMP_GE_OQ),
                                          _mm256_cmp_ps(a, infinity, _CMP_LT_OQ));
        if (_mm256_movemask_ps(over) != 0) {
            break;
        }
        const __m128i h = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target + i), h);
        const auto nonZero =
            static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, zero, _CMP_NEQ_UQ)));
        const __m128i magnitude = _mm_and_si128(h, _mm_set1_epi16(0x7fff));
        const __m128i isZero = _mm_cmpeq_epi16(magnitude, _mm_setzero_si128());
        const auto zeros =
            static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(isZero, isZero))) & 0xffu;
        loss.written += static_cast<unsigned>(std::popcount(nonZero));
        loss.underflowed += static_cast<unsigned>(std::popcount(nonZero & zeros));
    }
    return i;
}
#endif

} // namespace

std::size_t storeChecked(const float* source, std::size_t n, DType type, void* target,
                         StorageLoss& loss) {
    std::size_t i = 0;
#if defined(__x86_64__)
    static const bool fast = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
    if (type == DType::f16 && fast) {
        i = storeHalves(source, n, static_cast<std::uint16_t*>(target), loss);
    }
#endif
    if (type == DType::f32) {
        std::memcpy(target, source, n * sizeof(float));
        loss.written += n - static_cast<std::size_t>(std::count(source, source + n, 0.0f));
        return n;
    }
    for (; i < n; ++i) {
        const float x = source[i];
        bool infinite = false;
        bool zero = false;
        if (type == DType::f64) {
            static_cast<double*>(target)[i] = x;
            zero = x == 0;
        } else {
            const std::uint16_t bits = type == DType::f16 ? floatToHalf(x) : floatToBfloat(x);
            const std::uint16_t infinityBits = type == DType::f16 ? 0x7c00 : 0x7f80;
            static_cast<std::uint16_t*>(target)[i] = bits;
            infinite = (bits & 0x7fff) == infinityBits;
            zero = (bits & 0x7fff) == 0;
        }
        if (infinite && std::isfinite(x)) {
            return i;
        }
        loss.written += x != 0;
        loss.underflowed += x != 0 && zero;
    }
    return n;
}

float largestFinite(const float* values, std::size_t n) {
    // On bit patterns: |x| of finite floats compares like its integer, and infinities are above.
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, values + i, 4);
        bits &= 0x7fffffffu;
        bits = bits < 0x7f800000u ? bits : 0u;
        largest = bits > largest ? bits : largest;
    }
    return std::bit_cast<float>(largest);
}

} // namespace qkov::dump
