// SPDX-License-Identifier: GPL-3.0-or-later
// The CPU behind engine::Backend. Internal to core/engine.
//
// Works on chunks: some hundred parameters of one part, all samples. A chunk is converted, scaled
// and packed into memory that stays in the second-level cache, then multiplied; threads take chunks
// from one list over all calls, so many heads and one large head are spread alike.
#pragma once

#include "engine/cpu/CpuTile.h"

#include <vector>

namespace qkov::engine {

class CpuBackend final : public Backend {
  public:
    explicit CpuBackend(int threads);

    std::string description() const override;
    std::int64_t tileBytes(std::int64_t memoryBudget) const override { return memoryBudget; }
    bool readsInPlace() const override { return true; }
    /// float16 lies between 2⁻²⁴ and 2¹⁶: with weights over some 100 octaves, x · w · y stays
    /// within float32 as it is.
    bool unscaled(DType type) const override { return type == DType::f16; }
    std::int64_t comfortableTileBytes() const override { return std::int64_t(128) << 20; }
    std::int64_t scoreBytes(std::int64_t calls, std::int64_t nA, std::int64_t nB,
                            std::int64_t weightings) const override;
    std::int64_t factorTileBytes(const FactorData& data) const override {
        return static_cast<std::int64_t>(LargeMemory::sizeFor(
            static_cast<std::size_t>(data.samples * data.rows * data.columns * 4)));
    }

    std::unique_ptr<Tile> load(const DenseData& data, const Job& job) override;
    std::unique_ptr<Tile> load(const FactorData& data, const Job& job) override;
    void statistics(std::span<const StatisticsCall> calls, const Job& job) override;
    void fisher(std::span<const FisherCall> calls, const Job& job) override;
    void prepare(std::span<const PrepareCall> calls, const Job& job) override;
    void score(std::span<const ScoreCall> calls, const Job& job) override;

  private:
    /// A stretch of the parameters of some calls whose parts lie side by side, taken in steps:
    /// the same step of each call in turn, then the next one.
    struct Item {
        std::size_t firstCall = 0, calls = 1;
        std::int64_t begin = 0, end = 0, step = 0;
    };
    struct Sums {
        std::vector<double> scores, normsA, normsB;
    };
    struct Worker {
        AlignedFloats a, b, plain;
        std::vector<Sums> sums; ///< of the calls of a batch; empty: none yet
        std::vector<cpu::Fetch> ahead;
        std::vector<std::vector<double>> largest; ///< of the calls: max |v| of each sample
        std::vector<double> scales;
        std::vector<float> weights;
        std::vector<char> states;
    };

    /// Which calls are taken together, from `first` on.
    template <class Call, class Part>
    static std::size_t sideBySide(std::span<const Call> calls, std::size_t first, Part&& part);

    void prepareItem(std::span<const PrepareCall> calls, const Item& item, Worker& worker,
                     const Job& job) const;
    std::int64_t scoreDepth(const ScoreCall& call) const;
    void scoreBatch(std::span<const ScoreCall> calls, const Job& job);
    void scoreItem(std::span<const ScoreCall> calls, const Item& item, Worker& worker,
                   const Job& job) const;
    void scoreChunk(const ScoreCall& call, std::int64_t k, std::int64_t count, cpu::Ahead& ahead,
                    Worker& worker, Sums& sums, const Job& job) const;
    void packPanel(const CpuTile& tile, const TilePart& part, std::span<const std::int32_t> samples,
                   const double* scales, Transform transform, const float* weights, std::int64_t k,
                   std::int64_t count, float* target, Worker& worker) const;
    void clearBehind(float* panel, std::int64_t samples, std::int64_t count) const;
    void sumStretch(const CpuTile& tile, const TilePart& part, std::int64_t begin, std::int64_t end,
                    Transform transform, const double* scales, const double* weights,
                    double* fisher, char* states, Worker& worker) const;
    void look(const CpuTile& tile, const TilePart& part, std::int64_t begin, std::int64_t end,
              std::int64_t first, std::int64_t count, char* states) const;

    int m_threads;
    const cpu::Kernels& m_kernels;
    std::int64_t m_cache; ///< bytes of a core's second-level cache
    std::vector<Worker> m_workers;
};

template <class Call, class Part>
std::size_t CpuBackend::sideBySide(std::span<const Call> calls, std::size_t first, Part&& part) {
    const auto& [tile, p] = part(calls[first]);
    std::size_t n = 1;
    if (cpuTile(tile).together(p)) {
        return n;
    }
    for (; first + n < calls.size(); ++n) {
        const auto& [otherTile, q] = part(calls[first + n]);
        if (otherTile != tile || q.row != p.row || q.rows != p.rows || q.columns != p.columns) {
            break;
        }
    }
    return n;
}

} // namespace qkov::engine
