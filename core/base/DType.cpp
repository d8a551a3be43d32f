// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/DType.h"

#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qkov {

std::string_view dtypeName(DType t) {
    switch (t) {
    case DType::f16:
        return "float16";
    case DType::bf16:
        return "bfloat16";
    case DType::f32:
        return "float32";
    case DType::f64:
        return "float64";
    }
    return "?";
}

float halfToFloat(std::uint16_t h) {
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
    const std::uint32_t exponent = (h >> 10) & 0x1fu;
    const std::uint32_t mantissa = h & 0x3ffu;
    if (exponent == 0) {
        const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
        return sign ? -magnitude : magnitude;
    }
    const std::uint32_t bits = exponent == 31 ? sign | 0x7f800000u | mantissa << 13
                                              : sign | (exponent + 112) << 23 | mantissa << 13;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

std::uint16_t floatToHalf(float value) {
    std::uint32_t x;
    std::memcpy(&x, &value, 4);
    const auto sign = static_cast<std::uint16_t>((x >> 16) & 0x8000u);
    const std::uint32_t a = x & 0x7fffffffu;
    if (a > 0x7f800000u) { // NaN stays NaN
        return static_cast<std::uint16_t>(sign | 0x7e00u);
    }
    if (a >= 0x477ff000u) { // 65520 and above round to infinity
        return static_cast<std::uint16_t>(sign | 0x7c00u);
    }
    if (a < 0x38800000u) { // subnormal or zero: round |v| * 2^24 to an integer, ties to even
        float f;
        std::memcpy(&f, &a, 4);
        const float scaled = std::nearbyint(std::ldexp(f, 24));
        return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(scaled));
    }
    const std::uint32_t rounded = a + 0xfffu + ((a >> 13) & 1u);
    return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

std::uint16_t floatToBfloat(float value) {
    std::uint32_t x;
    std::memcpy(&x, &value, 4);
    if ((x & 0x7fffffffu) > 0x7f800000u) {
        return static_cast<std::uint16_t>((x >> 16) | 0x40u);
    }
    return static_cast<std::uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

namespace {

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) void halvesToFloats(const std::uint16_t* s, std::size_t n,
                                                        float* t) {
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(t + i,
                         _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(s + i))));
    }
    for (; i < n; ++i) {
        t[i] = halfToFloat(s[i]);
    }
}
bool haveF16c() {
    static const bool have = __builtin_cpu_supports("f16c") && __builtin_cpu_supports("avx");
    return have;
}
#endif

template <class T>
void convert(const void* source, DType type, std::size_t n, T* target) {
    switch (type) {
    case DType::f16: {
        const auto* s = static_cast<const std::uint16_t*>(source);
        for (std::size_t i = 0; i < n; ++i) {
            target[i] = halfToFloat(s[i]);
        }
        break;
    }
    case DType::bf16: {
        const auto* s = static_cast<const std::uint16_t*>(source);
        for (std::size_t i = 0; i < n; ++i) {
            target[i] = bfloatToFloat(s[i]);
        }
        break;
    }
    case DType::f32: {
        const auto* s = static_cast<const float*>(source);
        for (std::size_t i = 0; i < n; ++i) {
            target[i] = s[i];
        }
        break;
    }
    case DType::f64: {
        const auto* s = static_cast<const double*>(source);
        for (std::size_t i = 0; i < n; ++i) {
            target[i] = static_cast<T>(s[i]);
        }
        break;
    }
    }
}

} // namespace

void convertToFloat(const void* source, DType type, std::size_t n, float* target) {
#if defined(__x86_64__)
    if (type == DType::f16 && haveF16c()) {
        halvesToFloats(static_cast<const std::uint16_t*>(source), n, target);
        return;
    }
#endif
    convert(source, type, n, target);
}

void convertToDouble(const void* source, DType type, std::size_t n, double* target) {
    convert(source, type, n, target);
}

void convertFromFloat(const float* source, std::size_t n, DType type, void* target) {
    for (std::size_t i = 0; i < n; ++i) {
        switch (type) {
        case DType::f16:
            static_cast<std::uint16_t*>(target)[i] = floatToHalf(source[i]);
            break;
        case DType::bf16:
            static_cast<std::uint16_t*>(target)[i] = floatToBfloat(source[i]);
            break;
        case DType::f32:
            static_cast<float*>(target)[i] = source[i];
            break;
        case DType::f64:
            static_cast<double*>(target)[i] = source[i];
            break;
        }
    }
}

} // namespace qkov
