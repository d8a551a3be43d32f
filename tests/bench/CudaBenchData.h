// SPDX-License-Identifier: GPL-3.0-or-later
// Synthetic gradients made on the device, and an obvious float64 score to compare with.
#pragma once

#include "base/DType.h"
#include "engine/cuda/DeviceTypes.h"

#include <cstdint>
#include <cuda_runtime_api.h>

namespace qkov::bench {

/// Gaussian numbers whose size varies over three decades between parameters and one between
/// samples, as real gradients do. The per-parameter sizes depend on `parameterSeed` only.
void fillGradients(void* data, DType type, std::int64_t samples, std::int64_t parameters,
                   std::uint64_t parameterSeed, std::uint64_t seed, cudaStream_t stream);

/// Rectangle of [samples, rows, columns] matrices.
struct View {
    const void* data;
    DType type;
    std::int64_t rowStride, sampleStride;
};

/// weights[k] = scale / (F_k + 1e-3 mean F), F the mean square over all samples of both matrices;
/// laid out as weightCount says. `root`: its square root (a second kind of weight).
void structuralWeights(View a, View b, int nA, int nB, int rows, int columns, bool root,
                       float* weights, cudaStream_t stream);

/// scores[i][j] = Σ a² w |b| (or a w b) in float64, one block per pair.
void referenceScores(View a, View b, int nA, int nB, int rows, int columns, const float* weights,
                     bool signedProduct, double* scores, cudaStream_t stream);

} // namespace qkov::bench
