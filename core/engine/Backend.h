// SPDX-License-Identifier: GPL-3.0-or-later
// Where the arithmetic happens: CPU or CUDA behind one narrow interface. The engine decides what is
// read, which Fisher and weights apply and how results are put together; a backend takes tiles of
// raw stored numbers and does the work that is proportional to samples × parameters.
//
// Calls of one operation come as a list (all heads of a matrix, usually), so that a backend can
// spread threads or launches over heads and parameters as it likes. Every operation is synchronous:
// on return its outputs are complete. One thread uses a backend at a time.
#pragma once

#include "base/DType.h"
#include "base/Job.h"
#include "engine/ScoreRequest.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qkov::engine {

/// What becomes of a stored number v (after scaling by a power of two) before products are taken.
enum class Transform : std::uint8_t {
    identity,   ///< v      signed variants; stored contributions as C
    absolute,   ///< |v|    |g| from gradients; √C from gradients
    square,     ///< v²     C from gradients
    squareRoot, ///< √v     √C (or |g|, up to a factor per sample) from stored contributions
};

/// A rectangle of one parameter for a number of samples, in host memory, row-major
/// [samples, rows, columns], native byte order. 1-D parameters: one column.
struct DenseData {
    DType dtype = DType::f32;
    const void* values = nullptr;
    std::int64_t samples = 0, rows = 0, columns = 0;
    /// From one sample to the next; 0: no gaps between them. Only for a backend that
    /// readsInPlace().
    std::int64_t sampleBytes = 0;
};

/// The same rectangle in factored form: g = Σ_t grad_output_t ⊗ input_t over a sample's tokens,
/// [d_out, d_in], or its transpose [d_in, d_out] when inOut. Only the features that the rectangle
/// needs, samples one after the other without padding: row-major input [Σ tokens, inputs] and
/// gradOutput [Σ tokens, outputs], where inputs is `columns` (`rows` when inOut) and outputs the
/// other one.
struct FactorData {
    DType inputDtype = DType::f32, gradOutputDtype = DType::f32;
    const void* input = nullptr;
    const void* gradOutput = nullptr;
    const std::int64_t* offsets =
        nullptr; ///< [samples + 1], first token of each sample, and the end
    std::int64_t samples = 0, rows = 0, columns = 0;
    bool inOut = false;
    /// Where the data lies in the memory of the backend's device (Backend::device()) with all
    /// features of its parameter: rows are `inputWidth` and `gradOutputWidth` numbers apart, the
    /// pointers are those of the rectangle's first feature, and sample s has the rows starts[s] …
    /// starts[s] + offsets[s + 1] − offsets[s]. It is read in place.
    bool onDevice = false;
    std::int64_t inputWidth = 0, gradOutputWidth = 0;
    const std::int64_t* starts = nullptr;
    std::int64_t inputs() const { return inOut ? rows : columns; }
    std::int64_t outputs() const { return inOut ? columns : rows; }
};

/// Data given to a backend. What it points to must outlive it (the CPU reads it in place).
class Tile {
  public:
    virtual ~Tile() = default;
    std::int64_t samples = 0, rows = 0, columns = 0;
    DType dtype = DType::f32; ///< of the numbers as the transforms see them
};

/// A rectangle inside a tile: one head's parameters, or some of them.
struct TilePart {
    std::int64_t row = 0, rows = 0;
    std::int64_t column = 0, columns = 0;
    std::int64_t count() const { return rows * columns; }
};

/// Of one sample over one part.
struct SampleStatistics {
    double largest = 0; ///< max |v|; NaN or infinite if any v is
    double sum = 0;     ///< Σ |v|, if asked for
    double squares = 0; ///< Σ v², if asked for
    double roots = 0;   ///< Σ √|v|, if asked for
};

struct StatisticsCall {
    const Tile* tile = nullptr;
    TilePart part;
    bool sums = false;
    SampleStatistics* out = nullptr; ///< [tile.samples], overwritten
};

/// fisher[k] += Σ_u weights[u] · transform(v_{u,k}): both estimators are such sums. The targets of
/// the calls in one list must not overlap.
/// All values ≥ 0; relative accuracy 1e-6.
struct FisherCall {
    const Tile* tile = nullptr;
    TilePart part;
    Transform transform = Transform::square;
    /// [tile.samples] powers of two that bring each sample's largest |v| to about 1: let float32
    /// square it safely. The result is that of the unscaled numbers.
    const double* scales = nullptr;
    const double* weights = nullptr; ///< [tile.samples]; 0: the sample is left out
    double* fisher = nullptr;        ///< [part.count()], row-major over the part
};

/// The largest numbers of a part and, if asked for, its share of a Fisher, in one pass over the
/// data. Numbers that are NaN or infinite show in the statistics; the Fisher is then of no use.
struct PrepareCall {
    const Tile* tile = nullptr;
    TilePart part;
    /// [tile.samples], overwritten; without the sums. Null: not asked for, of numbers that a
    /// backend takes unscaled().
    SampleStatistics* statistics = nullptr;
    Transform transform = Transform::square;
    const double* weights = nullptr; ///< as in FisherCall
    double* fisher = nullptr;        ///< as in FisherCall; null: statistics only
};

/// scores[m][i][j] += Σ_k x_{i,k} · weights[m][k] · y_{j,k}  over the part's parameters k, with
///   x_{i,k} = transformA(scaleA[i] · a_{i,k}),  y_{j,k} = transformB(scaleB[j] · b_{j,k}).
/// The scales are powers of two that keep float32 products away from overflow and underflow; the
/// engine undoes them, so they stay in the result here.
struct ScoreCall {
    const Tile* a = nullptr;
    const Tile* b = nullptr;
    TilePart partA, partB; ///< same rows and columns counts; origin within each tile
    std::span<const std::int32_t> samplesA, samplesB; ///< of the tiles; their order is the result's
    Transform transformA = Transform::square;
    Transform transformB = Transform::absolute;
    const double* scaleA = nullptr; ///< [nA]
    const double* scaleB = nullptr; ///< [nB]
    /// One per requested weighting (1 to 3, usually one per normalization mode), ≥ 0, row-major
    /// over the part; null: weight 1 everywhere.
    std::vector<const float*> weights;
    double* scores = nullptr; ///< [weights][nA][nB], accumulated
    /// Optional Σ_k weights[m][k] · x² and y² (for `cosine`): [weights][nA], [weights][nB],
    /// accumulated.
    double* normsA = nullptr;
    double* normsB = nullptr;
};

/// The power of two that brings `largest` to [1, 2), or [1, 4) where a root needs an even exponent;
/// 1 for what is 0 or not finite.
double scaleFor(double largest, DType type, Transform transform);
/// What the transformed number has to be multiplied with to undo the scale.
double undo(double scale, Transform transform);

class Backend {
  public:
    virtual ~Backend() = default;
    /// "cpu (AVX-512, 2 threads)", "cuda:0 (NVIDIA H200)"
    virtual std::string description() const = 0;
    /// The CUDA device that it works on; −1: none.
    virtual int device() const { return -1; }
    /// Bytes of tile data (as loaded) that may live at once, given what the user allows.
    virtual std::int64_t tileBytes(std::int64_t memoryBudget) const = 0;
    /// A tile's size that is large enough for efficient reads and products, and small enough for
    /// the reader to keep ahead and for results to appear early.
    virtual std::int64_t comfortableTileBytes() const { return std::int64_t(64) << 20; }
    /// True when factored data stays factored once loaded: then a tile takes what its factors take.
    virtual bool keepsFactors() const { return false; }
    /// True when dense data is used where it lies, so that a file can be mapped instead of read.
    virtual bool readsInPlace() const { return false; }
    /// True when numbers of this type need no scales: their products stay within float32.
    virtual bool unscaled(DType) const { return false; }
    /// Host memory that score() takes beside its arguments for so many calls.
    virtual std::int64_t scoreBytes(std::int64_t /*calls*/, std::int64_t /*nA*/,
                                    std::int64_t /*nB*/, std::int64_t /*weightings*/) const {
        return 0;
    }
    /// Bytes that factored data of this size takes once loaded.
    virtual std::int64_t factorTileBytes(const FactorData& data) const = 0;

    /// @throws Error when the device has no room; the engine then retries with smaller tiles
    virtual std::unique_ptr<Tile> load(const DenseData& data, const Job& job) = 0;
    virtual std::unique_ptr<Tile> load(const FactorData& data, const Job& job) = 0;

    /// All poll job.checkCancelled() at least every 50 ms. @throws Cancelled
    virtual void statistics(std::span<const StatisticsCall> calls, const Job& job) = 0;
    virtual void fisher(std::span<const FisherCall> calls, const Job& job) = 0;
    virtual void prepare(std::span<const PrepareCall> calls, const Job& job);
    virtual void score(std::span<const ScoreCall> calls, const Job& job) = 0;
};

/// Thrown by load() when a device is out of memory.
class OutOfTileMemory : public Error {
  public:
    using Error::Error;
};

/// @param threads 0: all cores
std::unique_ptr<Backend> makeCpuBackend(int threads);

/// What a CUDA device has free now; nothing where there is no such device.
struct DeviceMemory {
    std::int64_t available = 0, total = 0; ///< bytes
};
DeviceMemory deviceMemory(int device);
/// Uses the device for the first time, which takes it a second that later calls then save. For
/// "auto" and "cuda…"; does nothing where they mean the CPU. Never throws.
void warmUp(const std::string& device) noexcept;

/// The device names of ScoreRequest: "cpu", "cuda", "cuda:1", "auto" (CUDA when it works, else
/// CPU).
/// @throws UsageError unknown name, or a device this machine or build lacks
std::unique_ptr<Backend> makeBackend(const std::string& device, int threads, Precision precision);

} // namespace qkov::engine
