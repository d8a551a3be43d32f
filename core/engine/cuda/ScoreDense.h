// SPDX-License-Identifier: GPL-3.0-or-later
// Scores of many slices from dense gradients on the device: chooses the kernel, cuts the work into
// items, and adds their partial sums.
#pragma once

#include "base/DType.h"
#include "engine/cuda/DeviceBuffer.h"
#include "engine/cuda/ScoreSm90.h"
#include "engine/cuda/Upload.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qkov::engine::cuda {

/// Per-sample matrices on the device, strides in elements, columns consecutive:
/// element (sample, row, column) is data[sample · sampleStride + row · rowStride + column].
struct DenseMatrix {
    const void* data = nullptr;
    std::int64_t samples = 0, rows = 0, columns = 0;
    std::int64_t rowStride = 0, sampleStride = 0;
};

/// One slice: a rectangle of a matrix of task A and one of the same size of task B.
struct DenseSlice {
    int matrixA = 0, matrixB = 0; ///< indices into DenseRequest's lists
    std::int64_t rowA = 0, columnA = 0, rowB = 0, columnB = 0;
    std::int64_t rows = 0, columns = 0;
    std::int64_t weights = 0; ///< where its weights start, in floats; see weightCount
    std::int64_t scores = 0;  ///< where its scores [sets, nA, nB] start, in doubles
};

/// Whole rows without gaps are one long row: no padding at row ends, no narrow tiles. A slice is
/// given to the scorer in this form, its weights laid out accordingly.
DenseSlice flattened(const DenseSlice& slice, const DenseMatrix& a, const DenseMatrix& b);

/// scores[set][i][j] = Σ_k elementA(scaleA_i · a_ik) · w_set,k · elementB(scaleB_j · b_jk)
struct DenseRequest {
    std::span<const DenseMatrix> a;
    std::span<const DenseMatrix> b;
    DType dtype = DType::f32; ///< of both
    std::span<const DenseSlice> slices;
    std::span<const std::int32_t> samplesA, samplesB; ///< of the matrices, in the scores' order
    /// Powers of two per slice: [slices][nA], [slices][nB]; empty: 1.
    std::span<const double> scalesA, scalesB;
    const float* weights = nullptr; ///< on the device
    std::int64_t weightStride = 0;  ///< floats between weight sets
    int sets = 1;
    double* scores = nullptr; ///< on the device; overwritten
    Element elementA = Element::square;
    Element elementB = Element::absolute;
    bool fast = false;
};

/// Holds reusable scratch memory of the current device. Asynchronous on the given stream; all calls
/// on one stream.
class DenseScorer {
  public:
    DenseScorer();

    /// @throws OutOfDeviceMemory, Error
    void score(const DenseRequest& request, cudaStream_t stream);

    std::size_t partialLimit = std::size_t(256) << 20; ///< bytes of partial sums kept at once
    bool generalOnly = false; ///< leave the Hopper kernel out (tests and benchmarks compare both)
    int tilesPerItem = 0;     ///< 0: chosen

  private:
    bool hopperServes(const DenseRequest& request, const DenseSlice& slice) const;
    void runHopper(const DenseRequest&, std::span<const std::size_t> slices, cudaStream_t);
    void runGeneral(const DenseRequest&, std::span<const std::size_t> slices, cudaStream_t);
    int chunksFor(std::int64_t blocks, int tiles) const;

    int m_multiprocessors = 0;
    bool m_hopper = false;
    DeviceBuffer m_partials;
    TableStore m_tables;
};

} // namespace qkov::engine::cuda
