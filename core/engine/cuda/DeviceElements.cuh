// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers as stored → float32, and the element functions of DeviceTypes.h.
#pragma once

#include "base/DType.h"
#include "engine/cuda/CudaError.h"
#include "engine/cuda/DeviceTypes.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace qkov::engine::cuda {

__device__ __forceinline__ float toFloat(__half v) {
    return __half2float(v);
}
__device__ __forceinline__ float toFloat(__nv_bfloat16 v) {
    return __bfloat162float(v);
}
__device__ __forceinline__ float toFloat(float v) {
    return v;
}
__device__ __forceinline__ float toFloat(double v) {
    return static_cast<float>(v);
}

/// A power of two as two factors, so that no number that a type can hold is out of its reach.
struct Scale {
    float first = 1;
    float second = 1;
    Scale() = default;
    __device__ __forceinline__ explicit Scale(double s) {
        const int exponent = ilogb(s);
        first = static_cast<float>(ldexp(1.0, exponent / 2));
        second = static_cast<float>(ldexp(s, -(exponent / 2)));
    }
};

template <class T>
__device__ __forceinline__ float scaled(T v, const Scale& s) {
    if constexpr (sizeof(T) == 8) {
        return static_cast<float>(v * double(s.first) * double(s.second));
    } else {
        return toFloat(v) * s.first * s.second;
    }
}

template <Element E>
__device__ __forceinline__ float element(float v) {
    if constexpr (E == Element::square) {
        return v * v;
    } else if constexpr (E == Element::absolute) {
        return fabsf(v);
    } else if constexpr (E == Element::squareRoot) {
        return sqrtf(v);
    } else {
        return v;
    }
}

/// Calls `f` with a value of the device type that stores `type`.
template <class F>
void withType(DType type, F&& f) {
    switch (type) {
    case DType::f16:
        return f(__half());
    case DType::bf16:
        return f(__nv_bfloat16());
    case DType::f32:
        return f(float());
    case DType::f64:
        return f(double());
    }
    throw Error("unknown number type");
}

} // namespace qkov::engine::cuda
