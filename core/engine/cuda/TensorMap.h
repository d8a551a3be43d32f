// SPDX-License-Identifier: GPL-3.0-or-later
// Descriptions of arrays for the copy engine of NVIDIA's Hopper processors.
#pragma once

#include "engine/cuda/CudaError.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cudaTypedefs.h>
#include <string>

namespace qkov::engine::cuda {

/// @throws Error the driver knows no such descriptions
inline PFN_cuTensorMapEncodeTiled_v12000 tensorMapEncoder() {
    static const auto encoder = [] {
        void* function = nullptr;
        cudaDriverEntryPointQueryResult found{};
        check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                               cudaEnableDefault, &found),
              "look-up of the tensor map encoder");
        if (found != cudaDriverEntryPointSuccess || function == nullptr) {
            throw Error("the CUDA driver is too old: it has no tensor maps");
        }
        return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
    }();
    return encoder;
}

/// An array of `rank` axes, innermost first, that is copied in boxes with 128-byte swizzle.
template <std::size_t rank>
struct MapSpec {
    const char* what; ///< for messages
    CUtensorMapDataType type;
    const void* data;
    std::array<std::int64_t, rank> sizes;
    std::array<std::int64_t, rank - 1> strides; ///< bytes, of all axes but the innermost
    std::array<int, rank> box;
    CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
};

/// @throws Error with the sizes, if the driver refuses them
template <std::size_t rank>
CUtensorMap tensorMap(const MapSpec<rank>& spec) {
    cuuint64_t sizes[rank], strides[rank - 1];
    cuuint32_t box[rank], steps[rank];
    std::string shape;
    for (std::size_t i = 0; i < rank; ++i) {
        sizes[i] = static_cast<cuuint64_t>(spec.sizes[i]);
        box[i] = static_cast<cuuint32_t>(spec.box[i]);
        steps[i] = 1;
        shape = std::to_string(spec.sizes[i]) + (i > 0 ? " × " : "") + shape;
    }
    for (std::size_t i = 0; i + 1 < rank; ++i) {
        strides[i] = static_cast<cuuint64_t>(spec.strides[i]);
    }
    CUtensorMap map;
    const CUresult result = tensorMapEncoder()(
        &map, spec.type, static_cast<cuuint32_t>(rank), const_cast<void*>(spec.data), sizes,
        strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
        spec.promotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS) {
        throw Error(std::string("CUDA: tensor map of ") + spec.what + ", " + shape +
                    ", refused (driver error " + std::to_string(static_cast<int>(result)) + ")");
    }
    return map;
}

} // namespace qkov::engine::cuda
