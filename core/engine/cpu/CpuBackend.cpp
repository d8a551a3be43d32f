// SPDX-License-Identifier: GPL-3.0-or-later
// Works on chunks: a few hundred parameters of one part, all samples. A chunk is converted, scaled
// and packed into memory that stays in the second-level cache, then multiplied; threads take chunks
// from one list over all calls, so many heads and one large head are spread alike.
#include "base/Threads.h"
#include "engine/Backend.h"
#include "engine/cpu/Kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>

namespace qkov::engine {

namespace {

using cpu::Kernels;
using cpu::packAlign;

/// Packed samples of both sides should fit here beside the raw data on its way in.
constexpr std::int64_t packedBytes = std::int64_t(408) << 10;
constexpr std::int64_t longestChunk = 1024, shortestChunk = 128;
/// Parameters × samples that one item of work covers: long enough to be worth handing out, short
/// enough (some ms) for a cancellation.
constexpr std::int64_t passItem = std::int64_t(1) << 20;
/// Rectangles up to this size are rebuilt from factors in float64: in a short sum one parameter
/// whose tokens nearly cancel can dominate, and shows float32's rounding; in a long one it can't.
constexpr std::int64_t exactRebuild = 4096;

struct CpuTile final : Tile {
    const char* values = nullptr;
    std::vector<float> rebuilt; ///< of factors
    std::int64_t sampleBytes() const {
        return rows * columns * static_cast<std::int64_t>(dtypeSize(dtype));
    }
    const char* at(std::int64_t sample, std::int64_t row, std::int64_t column) const {
        return values + ((sample * rows + row) * columns + column) *
                            static_cast<std::int64_t>(dtypeSize(dtype));
    }
};

const CpuTile& cpuTile(const Tile* tile) {
    return static_cast<const CpuTile&>(*tile);
}
int typeNumber(DType t) {
    switch (t) {
    case DType::f16:
        return 0;
    case DType::bf16:
        return 1;
    case DType::f32:
        return 2;
    case DType::f64:
        return 3;
    }
    return 3;
}
int changeNumber(Transform t) {
    return static_cast<int>(t);
}

std::int64_t roundUp(std::int64_t n) {
    return (n + packAlign - 1) / packAlign * packAlign;
}

/// Numbers [begin, end) of a part, counted row-major, as runs that lie together in memory.
template <class F>
void forRuns(const CpuTile& tile, const TilePart& part, std::int64_t begin, std::int64_t end,
             F&& run) {
    // Whole rows of the tile follow each other without a gap.
    const std::int64_t width =
        part.columns == tile.columns ? part.columns * part.rows : part.columns;
    while (begin < end) {
        const std::int64_t row = begin / width;
        const std::int64_t column = begin % width;
        const std::int64_t n = std::min(width - column, end - begin);
        run(part.row + row, part.column + column, n, begin);
        begin += n;
    }
}

struct AlignedFloats {
    float* data = nullptr;
    std::int64_t size = 0;
    AlignedFloats() = default;
    AlignedFloats(const AlignedFloats&) = delete;
    AlignedFloats& operator=(const AlignedFloats&) = delete;
    ~AlignedFloats() { std::free(data); }
    float* reserve(std::int64_t n) {
        if (n > size) {
            std::free(data);
            data = static_cast<float*>(
                std::aligned_alloc(64, static_cast<std::size_t>((n * 4 + 63) / 64 * 64)));
            if (data == nullptr) {
                size = 0;
                throw std::bad_alloc();
            }
            size = n;
        }
        return data;
    }
};

/// A stretch of the parameters of one call.
struct Item {
    std::size_t call = 0;
    std::int64_t begin = 0, end = 0;
};

class CpuBackend final : public Backend {
  public:
    explicit CpuBackend(int threads)
        : m_threads(threads > 0 ? threads : defaultThreadCount())
        , m_kernels(cpu::kernels())
        , m_workers(static_cast<std::size_t>(m_threads)) {}

    std::string description() const override {
        return "cpu (" + std::string(m_kernels.name) + ", " + std::to_string(m_threads) +
               (m_threads == 1 ? " thread)" : " threads)");
    }
    std::int64_t tileBytes(std::int64_t memoryBudget) const override { return memoryBudget; }
    std::int64_t factorTileBytes(const FactorData& data) const override {
        return data.samples * data.rows * data.columns * 4;
    }

    std::unique_ptr<Tile> load(const DenseData& data, const Job&) override {
        auto tile = std::make_unique<CpuTile>();
        tile->samples = data.samples;
        tile->rows = data.rows;
        tile->columns = data.columns;
        tile->dtype = data.dtype;
        tile->values = static_cast<const char*>(data.values);
        return tile;
    }
    std::unique_ptr<Tile> load(const FactorData& data, const Job& job) override;
    void statistics(std::span<const StatisticsCall> calls, const Job& job) override;
    void fisher(std::span<const FisherCall> calls, const Job& job) override;
    void score(std::span<const ScoreCall> calls, const Job& job) override;

  private:
    struct Worker {
        AlignedFloats a, b, plain;
        std::vector<double> scores, normsA, normsB;
        std::size_t call = static_cast<std::size_t>(-1); ///< whose sums these are
    };
    void scoreItem(const ScoreCall& call, const Item& item, std::int64_t depth, Worker& worker,
                   const Job& job) const;
    static void flush(std::span<const ScoreCall> calls, Worker& worker, std::mutex& mutex);

    int m_threads;
    const Kernels& m_kernels;
    std::vector<Worker> m_workers;
};

std::unique_ptr<Tile> CpuBackend::load(const FactorData& data, const Job& job) {
    auto tile = std::make_unique<CpuTile>();
    tile->samples = data.samples;
    tile->rows = data.rows;
    tile->columns = data.columns;
    tile->dtype = DType::f32;
    const std::int64_t size = data.rows * data.columns;
    tile->rebuilt.assign(static_cast<std::size_t>(data.samples * size), 0.0f);
    tile->values = reinterpret_cast<const char*>(tile->rebuilt.data());
    // Rows follow grad_output for Linear and input for Conv1D.
    struct Factor {
        const char* values;
        int type;
        std::int64_t width, features;
        const char* at(std::int64_t token) const { return values + token * features * width; }
    };
    const Factor input{static_cast<const char*>(data.input), typeNumber(data.inputDtype),
                       static_cast<std::int64_t>(dtypeSize(data.inputDtype)), data.inputs()};
    const Factor output{static_cast<const char*>(data.gradOutput), typeNumber(data.gradOutputDtype),
                        static_cast<std::int64_t>(dtypeSize(data.gradOutputDtype)), data.outputs()};
    const Factor& rowFactor = data.inOut ? input : output;
    const Factor& columnFactor = data.inOut ? output : input;
    parallelFor(static_cast<std::size_t>(data.samples), m_threads, [&](std::size_t s, int w) {
        Worker& worker = m_workers[static_cast<std::size_t>(w)];
        // A few tokens at a time: their rows and the target's rows stay close, and long sequences
        // are cancelled soon.
        constexpr std::int64_t step = 128;
        float* rows = worker.a.reserve(step * data.rows);
        float* columns = worker.b.reserve(step * data.columns);
        const int identity = changeNumber(Transform::identity);
        std::vector<double> exact(static_cast<std::size_t>(size <= exactRebuild ? size : 0));
        float* target = tile->rebuilt.data() + static_cast<std::int64_t>(s) * size;
        for (std::int64_t t = data.offsets[s]; t < data.offsets[s + 1]; t += step) {
            job.checkCancelled();
            const std::int64_t n = std::min(step, data.offsets[s + 1] - t);
            m_kernels.pack(rowFactor.at(t), rowFactor.type, n * data.rows, 1, identity, nullptr,
                           rows, 0);
            m_kernels.pack(columnFactor.at(t), columnFactor.type, n * data.columns, 1, identity,
                           nullptr, columns, 0);
            if (exact.empty()) {
                m_kernels.outer(rows, data.rows, data.rows, columns, data.columns, data.columns, n,
                                target, data.columns);
                continue;
            }
            for (std::int64_t token = 0; token < n; ++token) {
                for (std::int64_t r = 0; r < data.rows; ++r) {
                    const double value = double(rows[token * data.rows + r]);
                    double* row = exact.data() + r * data.columns;
                    for (std::int64_t c = 0; c < data.columns; ++c) {
                        row[c] += value * double(columns[token * data.columns + c]);
                    }
                }
            }
        }
        for (std::size_t k = 0; k < exact.size(); ++k) {
            target[k] = static_cast<float>(exact[k]);
        }
    });
    return tile;
}

void CpuBackend::statistics(std::span<const StatisticsCall> calls, const Job& job) {
    struct Piece {
        std::size_t call;
        std::int64_t sample;
    };
    std::vector<Piece> pieces;
    for (std::size_t c = 0; c < calls.size(); ++c) {
        for (std::int64_t s = 0; s < calls[c].tile->samples; ++s) {
            pieces.push_back({c, s});
        }
    }
    // Neighbouring samples together: a call to the scheduler per sample would cost more than it.
    constexpr std::size_t group = 8;
    parallelFor((pieces.size() + group - 1) / group, m_threads, [&](std::size_t g, int) {
        for (std::size_t p = g * group; p < std::min(pieces.size(), (g + 1) * group); ++p) {
            job.checkCancelled();
            const StatisticsCall& call = calls[pieces[p].call];
            const CpuTile& tile = cpuTile(call.tile);
            SampleStatistics out;
            const int type = typeNumber(tile.dtype);
            forRuns(tile, call.part, 0, call.part.count(),
                    [&](std::int64_t row, std::int64_t column, std::int64_t n, std::int64_t) {
                        const char* at = tile.at(pieces[p].sample, row, column);
                        const double v = m_kernels.largest(at, type, n);
                        // A NaN stays, whatever the runs behind it hold.
                        if (!(out.largest >= v) && !std::isnan(out.largest)) {
                            out.largest = v;
                        }
                        if (call.sums) {
                            m_kernels.sums(at, type, n, &out.sum, &out.squares, &out.roots);
                        }
                    });
            call.out[pieces[p].sample] = out;
        }
    });
}

void CpuBackend::fisher(std::span<const FisherCall> calls, const Job& job) {
    std::vector<Item> items;
    for (std::size_t c = 0; c < calls.size(); ++c) {
        const std::int64_t count = calls[c].part.count();
        const std::int64_t samples = std::max<std::int64_t>(1, calls[c].tile->samples);
        const std::int64_t step = std::max(shortestChunk, roundUp(passItem / samples));
        for (std::int64_t k = 0; k < count; k += step) {
            items.push_back({c, k, std::min(count, k + step)});
        }
    }
    parallelFor(items.size(), m_threads, [&](std::size_t index, int w) {
        const Item& item = items[index];
        const FisherCall& call = calls[item.call];
        const CpuTile& tile = cpuTile(call.tile);
        const std::int64_t n = tile.samples;
        // What a sample's scaled numbers count, undoing its scale.
        std::vector<double> weights(static_cast<std::size_t>(n));
        double top = 0;
        for (std::int64_t s = 0; s < n; ++s) {
            double undo = 1 / call.scales[s];
            if (call.transform == Transform::square) {
                undo *= undo;
            } else if (call.transform == Transform::squareRoot) {
                undo = std::sqrt(undo);
            }
            weights[static_cast<std::size_t>(s)] = call.weights[s] * undo;
            top = std::max(top, call.weights[s] * undo);
        }
        if (top <= 0) {
            return;
        }
        const int type = typeNumber(tile.dtype);
        constexpr std::int64_t piece = 1024;
        // Float32 sums of a few samples, then float64: the error doesn't grow with their number.
        constexpr std::int64_t together = 32;
        float* sum = m_workers[static_cast<std::size_t>(w)].plain.reserve(piece);
        for (std::int64_t k = item.begin; k < item.end; k += piece) {
            job.checkCancelled();
            const std::int64_t count = std::min(piece, item.end - k);
            for (std::int64_t s0 = 0; s0 < n; s0 += together) {
                std::memset(sum, 0, static_cast<std::size_t>(count) * sizeof(float));
                for (std::int64_t s = s0; s < std::min(n, s0 + together); ++s) {
                    const auto weight =
                        static_cast<float>(weights[static_cast<std::size_t>(s)] / top);
                    if (weight <= 0) {
                        continue;
                    }
                    forRuns(tile, call.part, k, k + count,
                            [&](std::int64_t row, std::int64_t column, std::int64_t m,
                                std::int64_t at) {
                                m_kernels.accumulate(tile.at(s, row, column), type, m,
                                                     call.scales[s], changeNumber(call.transform),
                                                     weight, sum + (at - k),
                                                     2 * tile.sampleBytes());
                            });
                }
                for (std::int64_t i = 0; i < count; ++i) {
                    call.fisher[k + i] += top * double(sum[i]);
                }
            }
        }
    });
}

void CpuBackend::score(std::span<const ScoreCall> calls, const Job& job) {
    std::vector<Item> items;
    std::vector<std::int64_t> depths;
    for (std::size_t c = 0; c < calls.size(); ++c) {
        const std::int64_t count = calls[c].partA.count();
        const auto nA = static_cast<std::int64_t>(calls[c].samplesA.size());
        const auto nB = static_cast<std::int64_t>(calls[c].samplesB.size());
        const std::int64_t fit = packedBytes / 4 / std::max<std::int64_t>(1, nA + nB);
        const std::int64_t depth = std::min(
            roundUp(count), std::clamp(fit / packAlign * packAlign, shortestChunk, longestChunk));
        depths.push_back(depth);
        // Several chunks per item, as many as make some milliseconds of products.
        const std::int64_t pairs = std::max<std::int64_t>(1, nA * nB);
        const std::int64_t chunks = std::max<std::int64_t>(
            1, (std::int64_t(1) << 28) / std::max<std::int64_t>(1, pairs * depth));
        for (std::int64_t k = 0; k < count; k += chunks * depth) {
            items.push_back({c, k, std::min(count, k + chunks * depth)});
        }
    }
    std::mutex mutex;
    for (Worker& worker : m_workers) {
        worker.call = static_cast<std::size_t>(-1);
    }
    parallelFor(items.size(), m_threads, [&](std::size_t index, int w) {
        Worker& worker = m_workers[static_cast<std::size_t>(w)];
        const Item& item = items[index];
        if (worker.call != item.call) {
            flush(calls, worker, mutex);
            const ScoreCall& call = calls[item.call];
            const std::size_t sets = call.weights.size();
            worker.call = item.call;
            worker.scores.assign(sets * call.samplesA.size() * call.samplesB.size(), 0);
            worker.normsA.assign(call.normsA != nullptr ? sets * call.samplesA.size() : 0, 0);
            worker.normsB.assign(call.normsB != nullptr ? sets * call.samplesB.size() : 0, 0);
        }
        scoreItem(calls[item.call], item, depths[item.call], worker, job);
    });
    for (Worker& worker : m_workers) {
        flush(calls, worker, mutex);
    }
}

void CpuBackend::flush(std::span<const ScoreCall> calls, Worker& worker, std::mutex& mutex) {
    if (worker.call >= calls.size()) {
        return;
    }
    const ScoreCall& call = calls[worker.call];
    const std::lock_guard lock(mutex);
    const auto add = [](const std::vector<double>& from, double* to) {
        for (std::size_t i = 0; i < from.size(); ++i) {
            to[i] += from[i];
        }
    };
    add(worker.scores, call.scores);
    add(worker.normsA, call.normsA);
    add(worker.normsB, call.normsB);
    worker.call = static_cast<std::size_t>(-1);
}

void CpuBackend::scoreItem(const ScoreCall& call, const Item& item, std::int64_t depth,
                           Worker& worker, const Job& job) const {
    const CpuTile& tileA = cpuTile(call.a);
    const CpuTile& tileB = cpuTile(call.b);
    const auto nA = static_cast<std::int64_t>(call.samplesA.size());
    const auto nB = static_cast<std::int64_t>(call.samplesB.size());
    float* a = worker.a.reserve(nA * depth);
    float* b = worker.b.reserve(nB * depth);
    // Where a part's numbers lie together, the next chunk is fetched during this one's products.
    const bool together =
        call.partA.columns == tileA.columns && call.partB.columns == tileB.columns;
    bool fetched = false;
    std::vector<const char*> next;

    const auto packSide = [&](const CpuTile& tile, const TilePart& part,
                              std::span<const std::int32_t> samples, const double* scales,
                              Transform transform, const float* weights, std::int64_t k,
                              std::int64_t count, float* target) {
        const std::int64_t padded = roundUp(count);
        const int type = typeNumber(tile.dtype);
        for (std::size_t i = 0; i < samples.size(); ++i) {
            float* row = target + static_cast<std::int64_t>(i) * padded;
            forRuns(tile, part, k, k + count,
                    [&](std::int64_t r, std::int64_t column, std::int64_t n, std::int64_t at) {
                        m_kernels.pack(tile.at(samples[i], r, column), type, n, scales[i],
                                       changeNumber(transform),
                                       weights != nullptr ? weights + at : nullptr, row + (at - k),
                                       fetched ? 0 : 2 * tile.sampleBytes());
                    });
            std::fill(row + count, row + padded, 0.0f);
        }
    };

    for (std::int64_t k = item.begin; k < item.end; k += depth) {
        job.checkCancelled();
        const std::int64_t count = std::min(depth, item.end - k);
        const std::int64_t padded = roundUp(count);
        packSide(tileB, call.partB, call.samplesB, call.scaleB, call.transformB, nullptr, k, count,
                 b);
        for (std::size_t m = 0; m < call.weights.size(); ++m) {
            const float* weights = call.weights[m];
            packSide(tileA, call.partA, call.samplesA, call.scaleA, call.transformA, weights, k,
                     count, a);
            cpu::Ahead ahead;
            if (together && m + 1 == call.weights.size() && k + depth < item.end) {
                next.clear();
                const auto add = [&](const CpuTile& tile, const TilePart& part,
                                     std::span<const std::int32_t> samples) {
                    for (const std::int32_t s : samples) {
                        next.push_back(tile.at(s, part.row, k + depth));
                    }
                    const auto width = static_cast<std::int64_t>(dtypeSize(tile.dtype));
                    const std::int64_t bytes = std::min(depth, item.end - k - depth) * width;
                    ahead.lines = std::max(ahead.lines, (bytes + 63) / 64);
                };
                add(tileB, call.partB, call.samplesB);
                add(tileA, call.partA, call.samplesA);
                ahead.runs = next.data();
                ahead.count = static_cast<std::int64_t>(next.size());
            }
            m_kernels.products(a, nA, b, nB, padded,
                               worker.scores.data() + static_cast<std::int64_t>(m) * nA * nB, nB,
                               ahead);
            fetched = ahead.count > 0;
            const float* here = weights != nullptr ? weights + k : nullptr;
            if (call.normsB != nullptr) {
                for (std::int64_t j = 0; j < nB; ++j) {
                    worker.normsB[m * static_cast<std::size_t>(nB) + static_cast<std::size_t>(j)] +=
                        m_kernels.weightedSquares(b + j * padded, here, count);
                }
            }
            if (call.normsA != nullptr) {
                packSide(tileA, call.partA, call.samplesA, call.scaleA, call.transformA, nullptr, k,
                         count, a);
                for (std::int64_t i = 0; i < nA; ++i) {
                    worker.normsA[m * static_cast<std::size_t>(nA) + static_cast<std::size_t>(i)] +=
                        m_kernels.weightedSquares(a + i * padded, here, count);
                }
            }
        }
    }
}

} // namespace

std::unique_ptr<Backend> makeCpuBackend(int threads) {
    return std::make_unique<CpuBackend>(threads);
}

} // namespace qkov::engine
