// SPDX-License-Identifier: GPL-3.0-or-later
// Number types of files, and their conversion. Half formats round to nearest, ties to even.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qkov {

enum class DType : std::uint8_t { f16, bf16, f32, f64 };

constexpr std::size_t dtypeSize(DType t) {
    return t == DType::f64 ? 8 : t == DType::f32 ? 4 : 2;
}
std::string_view dtypeName(DType t); ///< "float16", "bfloat16", "float32", "float64"

float halfToFloat(std::uint16_t bits);
std::uint16_t floatToHalf(float value); ///< overflow becomes infinity
inline float bfloatToFloat(std::uint16_t bits) {
    const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
    float f;
    __builtin_memcpy(&f, &wide, 4);
    return f;
}
std::uint16_t floatToBfloat(float value);

/// n numbers of `type`, native byte order, to float32 / float64. Vectorised where the CPU can
/// (F16C); source and target must not overlap. f64 → f32 rounds.
void convertToFloat(const void* source, DType type, std::size_t n, float* target);
void convertToDouble(const void* source, DType type, std::size_t n, double* target);
/// float32 to n numbers of `type`.
void convertFromFloat(const float* source, std::size_t n, DType type, void* target);

} // namespace qkov
