// SPDX-License-Identifier: GPL-3.0-or-later
// engine::Backend on a CUDA device. Tiles go to the device as they are stored; factored ones as
// factors, rebuilt piece by piece into scratch memory. Operations run in pieces of some ten
// milliseconds, so that a cancellation is seen soon; when the device has no room for a piece's
// scratch memory, pieces get smaller.
#pragma once

#include "engine/Backend.h"
#include "engine/cuda/Passes.h"
#include "engine/cuda/ScoreDense.h"
#include "engine/cuda/Upload.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace qkov::engine::cuda {

static_assert(static_cast<int>(Transform::identity) == static_cast<int>(Element::identity));
static_assert(static_cast<int>(Transform::absolute) == static_cast<int>(Element::absolute));
static_assert(static_cast<int>(Transform::square) == static_cast<int>(Element::square));
static_assert(static_cast<int>(Transform::squareRoot) == static_cast<int>(Element::squareRoot));
inline Element elementOf(Transform t) {
    return static_cast<Element>(t);
}

inline double elementFactor(Element e, double scale) {
    return e == Element::square       ? scale * scale
           : e == Element::squareRoot ? std::sqrt(scale)
                                      : scale;
}

/// Numbers read by one piece of a pass, and results it may have.
inline constexpr double passWork = 1e9;
inline constexpr std::int64_t passResults = std::int64_t(1) << 23;
/// Bytes of weights, and of scores, that one piece of scoring may have.
inline constexpr std::size_t pieceWeights = std::size_t(32) << 20;
inline constexpr std::size_t pieceResults = std::size_t(64) << 20;
inline constexpr std::size_t leastScratch = std::size_t(8) << 20;

/// Device memory that went out of use, kept for the next tile: an allocation stops the device.
class Pool {
  public:
    DeviceBuffer take(std::size_t bytes) {
        {
            const std::lock_guard lock(m_mutex);
            const auto at = std::find_if(m_free.begin(), m_free.end(), [&](const auto& b) {
                return b.size() >= bytes && b.size() <= 2 * bytes + 4096;
            });
            if (at != m_free.end()) {
                DeviceBuffer buffer = std::move(*at);
                m_free.erase(at);
                return buffer;
            }
        }
        DeviceBuffer buffer;
        try {
            buffer.reserve(std::max<std::size_t>(bytes, 1));
        } catch (const OutOfDeviceMemory&) {
            clear();
            buffer.reserve(std::max<std::size_t>(bytes, 1));
        }
        return buffer;
    }
    void give(DeviceBuffer buffer) {
        const std::lock_guard lock(m_mutex);
        m_free.push_back(std::move(buffer));
    }
    void clear() {
        const std::lock_guard lock(m_mutex);
        m_free.clear();
    }

  private:
    std::mutex m_mutex;
    std::vector<DeviceBuffer> m_free;
};

struct CudaTile final : Tile {
    explicit CudaTile(std::shared_ptr<Pool> p)
        : pool(std::move(p)) {}
    ~CudaTile() override {
        for (DeviceBuffer& buffer : buffers) {
            if (buffer.size() > 0) {
                pool->give(std::move(buffer));
            }
        }
    }
    std::shared_ptr<Pool> pool;
    std::vector<DeviceBuffer> buffers;
    bool factored = false;
    const void* values = nullptr; ///< dense: [samples, rows, columns]
    Factors factors;              ///< factored
};
inline const CudaTile& cudaTile(const Tile* tile) {
    return static_cast<const CudaTile&>(*tile);
}

/// Some rows of a part, where the kernels can read them: the tile itself, or scratch memory.
struct Source {
    DenseMatrix matrix;
    std::int64_t row = 0, column = 0; ///< where the rows lie in the matrix
    std::int64_t firstSample = 0;     ///< the matrix's sample 0 is the tile's sample so-and-so
};

inline Rectangle rectangle(const Source& s, std::int64_t rows, std::int64_t columns, DType type) {
    const auto size = static_cast<std::int64_t>(dtypeSize(type));
    return {static_cast<const char*>(s.matrix.data) +
                (s.row * s.matrix.rowStride + s.column) * size,
            s.matrix.rowStride, s.matrix.sampleStride, rows, columns};
}

class CudaBackend final : public Backend {
  public:
    CudaBackend(int device, bool fast);
    ~CudaBackend() override;
    std::string description() const override { return m_description; }
    int device() const override { return m_device; }
    std::int64_t tileBytes(std::int64_t memoryBudget) const override;
    /// Launches and copies cost the same for small tiles; and rows of a factored matrix share the
    /// factors of its columns.
    std::int64_t comfortableTileBytes() const override { return std::int64_t(512) << 20; }
    bool keepsFactors() const override { return true; }
    std::int64_t factorTileBytes(const FactorData& data) const override;
    std::unique_ptr<Tile> load(const DenseData& data, const Job& job) override;
    std::unique_ptr<Tile> load(const FactorData& data, const Job& job) override;
    void statistics(std::span<const StatisticsCall> calls, const Job& job) override;
    void fisher(std::span<const FisherCall> calls, const Job& job) override;
    /// Gradients in factors are rebuilt once for both.
    void prepare(std::span<const PrepareCall> calls, const Job& job) override;
    void score(std::span<const ScoreCall> calls, const Job& job) override;

  private:
    struct Piece; // of a ScoreCall
    void select() const { check(cudaSetDevice(m_device), "device selection"); }
    template <class F>
    auto withTileMemory(F&& f);
    template <class F>
    void withSmallerScratch(F&& f);
    /// Samples [first, first + count) of `rows` rows of the part from `row` on, as numbers of
    /// `type`.
    Source materialize(const CudaTile& tile, const TilePart& part, std::int64_t row,
                       std::int64_t rows, std::int64_t first, std::int64_t count, DType type,
                       std::size_t& scratchUsed);
    template <class Call, class Alike, class F>
    void forStretches(std::span<const Call> calls, const Job& job, Alike&& alike, F&& f);
    void runScores(std::span<const ScoreCall> calls, std::span<const Piece> pieces);
    void download(const DeviceBuffer& from, std::size_t bytes);

    int m_device;
    bool m_fast;
    double m_pieceWork; ///< multiply-adds of one piece of scoring: some ten milliseconds
    std::string m_description;
    cudaStream_t m_stream = nullptr;
    std::shared_ptr<Pool> m_pool = std::make_shared<Pool>();
    std::unique_ptr<Uploader> m_uploader;
    std::unique_ptr<DenseScorer> m_scorer;
    std::unique_ptr<TableStore> m_tables;
    DeviceBuffer m_scratch; ///< rebuilt or converted gradients
    DeviceBuffer m_staging; ///< float32 before float64
    DeviceBuffer m_weights;
    PinnedBuffer m_hostWeights;
    DeviceBuffer m_results;
    PinnedBuffer m_hostResults;
    std::size_t m_scratchLimit = std::size_t(512) << 20;
};

template <class F>
auto CudaBackend::withTileMemory(F&& f) {
    try {
        try {
            return f();
        } catch (const OutOfDeviceMemory&) {
            // Give up what only saves time, then once more.
            check(cudaStreamSynchronize(m_stream), "waiting for the device");
            m_pool->clear();
            m_scratch.release();
            m_staging.release();
            m_weights.release();
            return f();
        }
    } catch (const OutOfDeviceMemory& e) {
        throw OutOfTileMemory(e.what());
    }
}

template <class F>
void CudaBackend::withSmallerScratch(F&& f) {
    for (;;) {
        try {
            return f();
        } catch (const OutOfDeviceMemory& e) {
            check(cudaStreamSynchronize(m_stream), "waiting for the device");
            m_pool->clear();
            if (m_scratchLimit <= leastScratch) {
                throw OutOfTileMemory(e.what());
            }
            m_scratchLimit /= 4;
            m_scorer->partialLimit /= 4;
            m_scratch.release();
            m_staging.release();
            m_weights.release();
            m_results.release();
        }
    }
}

} // namespace qkov::engine::cuda
