// SPDX-License-Identifier: GPL-3.0-or-later
// Products of all pairs of samples.
#include "base/Threads.h"
#include "engine/cpu/CpuBackend.h"

#include <algorithm>
#include <cstring>

namespace qkov::engine {

namespace {

using cpu::packAlign;
using cpu::Runs;

constexpr std::int64_t longestChunk = 1024, shortestChunk = 128;
/// Sums of pairs that all threads together keep for calls that are taken at once.
constexpr std::int64_t sumsBytes = std::int64_t(32) << 20;
/// Multiply-adds of one item: some milliseconds.
constexpr std::int64_t itemProducts = std::int64_t(1) << 27;

bool inARow(std::span<const std::int32_t> samples) {
    return std::adjacent_find(samples.begin(), samples.end(), [](std::int32_t a, std::int32_t b) {
               return b != a + 1;
           }) == samples.end();
}

std::int64_t sumsOf(const ScoreCall& call) {
    return static_cast<std::int64_t>(call.weights.size() * call.samplesA.size() *
                                     call.samplesB.size() * sizeof(double));
}

} // namespace

/// The right side of a chunk stays in the second-level cache, beside what is fetched for the next.
/// Half of it: samples lie multiples of a page apart, so they share few of its sets.
std::int64_t CpuBackend::scoreDepth(const ScoreCall& call) const {
    const CpuTile& a = cpuTile(call.a);
    const CpuTile& b = cpuTile(call.b);
    const auto nA = static_cast<std::int64_t>(call.samplesA.size());
    const auto nB = static_cast<std::int64_t>(call.samplesB.size());
    const std::int64_t perNumber =
        std::max<std::int64_t>(1, nB * 4 + nA * a.width() + nB * b.width());
    const std::int64_t fit = m_cache / 2 / perNumber;
    const std::int64_t most = std::clamp(fit / packAlign * packAlign, shortestChunk, longestChunk);
    const std::int64_t count = call.partA.count();
    const bool together = a.together(call.partA) && b.together(call.partB);
    // Whole rows, so that a chunk is one rectangle; chunks of equal length.
    const std::int64_t unit =
        !together && call.partA.columns <= most ? call.partA.columns : packAlign;
    const std::int64_t chunks = (count + most - 1) / std::max<std::int64_t>(1, most);
    return std::min(roundUp((count + chunks - 1) / chunks, unit), most / unit * unit);
}

std::int64_t CpuBackend::scoreBytes(std::int64_t calls, std::int64_t nA, std::int64_t nB,
                                    std::int64_t weightings) const {
    const std::int64_t packed = std::max(m_cache / 2, nB * shortestChunk * 4) + (64 << 10);
    const std::int64_t sums = weightings * nA * nB * static_cast<std::int64_t>(sizeof(double));
    return m_threads * (packed + std::min(calls * sums, std::max(sums, sumsBytes / m_threads)));
}

void CpuBackend::score(std::span<const ScoreCall> calls, const Job& job) {
    std::size_t first = 0;
    while (first < calls.size()) {
        std::size_t n = 0;
        std::int64_t bytes = 0;
        do {
            bytes += sumsOf(calls[first + n]) * m_threads;
            ++n;
        } while (first + n < calls.size() &&
                 bytes + sumsOf(calls[first + n]) * m_threads <= sumsBytes);
        scoreBatch(calls.subspan(first, n), job);
        first += n;
    }
}

void CpuBackend::scoreBatch(std::span<const ScoreCall> calls, const Job& job) {
    std::vector<Item> items;
    for (std::size_t c = 0; c < calls.size();) {
        const std::size_t n = sideBySide(
            calls, c, [](const ScoreCall& call) { return std::pair(call.a, call.partA); });
        const ScoreCall& call = calls[c];
        const std::int64_t step = scoreDepth(call);
        const std::int64_t pairs = std::max<std::int64_t>(
            1, static_cast<std::int64_t>(call.samplesA.size() * call.samplesB.size()));
        const auto each = static_cast<std::int64_t>(n);
        const auto sets = static_cast<std::int64_t>(call.weights.size());
        const std::int64_t length =
            step * std::max<std::int64_t>(1, itemProducts / (pairs * sets * step * each));
        for (std::int64_t k = 0; k < call.partA.count(); k += length) {
            items.push_back({c, n, k, std::min(call.partA.count(), k + length), step});
        }
        c += n;
    }
    for (Worker& worker : m_workers) {
        worker.sums.clear();
        worker.sums.resize(calls.size());
    }
    parallelFor(items.size(), m_threads, [&](std::size_t index, int w) {
        scoreItem(calls, items[index], m_workers[static_cast<std::size_t>(w)], job);
    });
    parallelFor(calls.size(), m_threads, [&](std::size_t c, int) {
        const auto add = [](const std::vector<double>& from, double* to) {
            for (std::size_t i = 0; i < from.size(); ++i) {
                to[i] += from[i];
            }
        };
        for (Worker& worker : m_workers) {
            add(worker.sums[c].scores, calls[c].scores);
            add(worker.sums[c].normsA, calls[c].normsA);
            add(worker.sums[c].normsB, calls[c].normsB);
            worker.sums[c] = {};
        }
    });
}

void CpuBackend::scoreItem(std::span<const ScoreCall> calls, const Item& item, Worker& worker,
                           const Job& job) const {
    const std::size_t steps =
        static_cast<std::size_t>((item.end - item.begin + item.step - 1) / item.step) * item.calls;
    const auto callOf = [&](std::size_t s) { return item.firstCall + s % item.calls; };
    const auto beginOf = [&](std::size_t s) {
        return item.begin + static_cast<std::int64_t>(s / item.calls) * item.step;
    };
    for (std::size_t s = 0; s < steps; ++s) {
        const ScoreCall& call = calls[callOf(s)];
        Sums& sums = worker.sums[callOf(s)];
        const std::size_t sets = call.weights.size();
        if (sums.scores.empty()) {
            sums.scores.assign(sets * call.samplesA.size() * call.samplesB.size(), 0);
            sums.normsA.assign(call.normsA != nullptr ? sets * call.samplesA.size() : 0, 0);
            sums.normsB.assign(call.normsB != nullptr ? sets * call.samplesB.size() : 0, 0);
        }
        // The next step's numbers are fetched during this one's products.
        cpu::Ahead ahead;
        if (s + 1 < steps) {
            const ScoreCall& next = calls[callOf(s + 1)];
            const std::int64_t k = beginOf(s + 1);
            const std::int64_t end = std::min(item.end, k + item.step);
            worker.ahead.clear();
            addFetches(cpuTile(next.b), next.partB, k, end, next.samplesB, worker.ahead);
            // Of samples in a row the first alone: packing some fetches the next ones.
            const CpuTile& left = cpuTile(next.a);
            const bool follow =
                (left.together(next.partA) || next.partA.columns % m_kernels.lanes == 0) &&
                inARow(next.samplesA);
            const auto rows =
                follow ? std::min(next.samplesA.size(), static_cast<std::size_t>(m_kernels.rows))
                       : next.samplesA.size();
            addFetches(left, next.partA, k, end, next.samplesA.first(rows), worker.ahead);
            for (const cpu::Fetch& f : worker.ahead) {
                ahead.lines += f.lines * f.count;
            }
            ahead.fetches = worker.ahead.data();
            ahead.count = static_cast<std::int64_t>(worker.ahead.size());
        }
        scoreChunk(call, beginOf(s), std::min(item.step, item.end - beginOf(s)), ahead, worker,
                   sums, job);
    }
}

void CpuBackend::packPanel(const CpuTile& tile, const TilePart& part,
                           std::span<const std::int32_t> samples, const double* scales,
                           Transform transform, const float* weights, std::int64_t k,
                           std::int64_t count, float* target, Worker& worker) const {
    const int type = typeNumber(tile.dtype);
    const int change = changeNumber(transform);
    const std::int64_t lanes = m_kernels.lanes;
    const auto n = static_cast<std::int64_t>(samples.size());
    const void* sources[cpu::mostTogether];
    if (tile.together(part) || part.columns % lanes == 0) {
        // The next panel's numbers come nearer while this one is filled.
        const std::int64_t ahead = n * tile.sampleBytes;
        forRuns(tile, part, k, k + count,
                [&](std::int64_t row, std::int64_t column, const Runs& runs, std::int64_t at) {
                    for (std::int64_t i = 0; i < n; ++i) {
                        sources[i] = tile.at(samples[static_cast<std::size_t>(i)], row, column);
                    }
                    m_kernels.pack(sources, n, type, runs, scales, change,
                                   weights != nullptr ? weights + at : nullptr,
                                   target + (at - k) * n, ahead);
                });
    } else {
        // Rows that end within a vector: first side by side, then into place.
        const std::int64_t size = roundUp(count) + packAlign;
        float* plain = worker.plain.reserve(size * n);
        for (std::int64_t i = 0; i < n; ++i) {
            float* to = plain + i * size;
            const std::int32_t sample = samples[static_cast<std::size_t>(i)];
            forRuns(tile, part, k, k + count,
                    [&](std::int64_t row, std::int64_t column, const Runs& runs, std::int64_t at) {
                        for (std::int64_t r = 0; r < runs.count; ++r) {
                            const void* from = tile.at(sample, row + r, column);
                            const std::int64_t first = at + r * runs.length;
                            m_kernels.pack(&from, 1, type, {1, runs.length, 0}, scales + i, change,
                                           weights != nullptr ? weights + first : nullptr,
                                           to + (first - k), 0);
                        }
                    });
            sources[i] = to;
        }
        double ones[cpu::mostTogether];
        std::fill(ones, ones + n, 1.0);
        m_kernels.pack(sources, n, typeNumber(DType::f32), {1, count, 0}, ones,
                       changeNumber(Transform::identity), nullptr, target, 0);
    }
    clearBehind(target, n, count);
}

/// A panel's zeros from its last vector on.
void CpuBackend::clearBehind(float* panel, std::int64_t samples, std::int64_t count) const {
    const std::int64_t filled = roundUp(count, m_kernels.lanes);
    std::memset(panel + filled * samples, 0,
                static_cast<std::size_t>((roundUp(count) - filled) * samples) * sizeof(float));
}

void CpuBackend::scoreChunk(const ScoreCall& call, std::int64_t k, std::int64_t count,
                            cpu::Ahead& ahead, Worker& worker, Sums& sums, const Job& job) const {
    const CpuTile& tileA = cpuTile(call.a);
    const CpuTile& tileB = cpuTile(call.b);
    const auto nA = static_cast<std::int64_t>(call.samplesA.size());
    const auto nB = static_cast<std::int64_t>(call.samplesB.size());
    const std::int64_t depth = roundUp(count);
    const std::int64_t lanes = m_kernels.lanes;
    const std::int64_t rows = m_kernels.rows;
    const std::int64_t columns = m_kernels.columns;
    float* b = worker.b.reserve(nB * depth);
    // Several weightings of the same rows: those are converted once.
    const std::int64_t sets = static_cast<std::int64_t>(call.weights.size());
    const bool once = sets > 1 || call.normsA != nullptr;
    float* a = worker.a.reserve(2 * rows * depth);
    float* unweighted = a + rows * depth;
    for (std::int64_t j = 0; j < nB; j += columns) {
        const auto n = static_cast<std::size_t>(std::min(columns, nB - j));
        packPanel(tileB, call.partB, call.samplesB.subspan(static_cast<std::size_t>(j), n),
                  call.scaleB + j, call.transformB, nullptr, k, count, b + j * depth, worker);
    }
    const auto packRows = [&](std::int64_t first, std::int64_t n, const float* weights,
                              float* target) {
        packPanel(
            tileA, call.partA,
            call.samplesA.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n)),
            call.scaleA + first, call.transformA, weights, k, count, target, worker);
    };
    const auto rowsOf = [&](std::int64_t first, std::int64_t n, const float* weights) {
        if (!once) {
            packRows(first, n, weights, a);
            return a;
        }
        if (weights == nullptr) {
            return unweighted;
        }
        m_kernels.weighted(unweighted, n, weights + k, count, a);
        clearBehind(a, n, count);
        return a;
    };
    const std::int64_t tiles = ((nA + rows - 1) / rows) * ((nB + columns - 1) / columns) * sets;
    ahead.perTile = (ahead.lines + tiles - 1) / std::max<std::int64_t>(1, tiles);
    // A few rows at a time: packed, they stay in the first-level cache.
    for (std::int64_t i = 0; i < nA; i += rows) {
        job.checkCancelled();
        const std::int64_t n = std::min(rows, nA - i);
        if (once) {
            packRows(i, n, nullptr, unweighted);
        }
        for (std::int64_t m = 0; m < sets; ++m) {
            const float* weights = call.weights[static_cast<std::size_t>(m)];
            m_kernels.products(rowsOf(i, n, weights), n, b, nB, depth,
                               sums.scores.data() + (m * nA + i) * nB, nB, &ahead);
        }
        for (std::int64_t m = 0; call.normsA != nullptr && m < sets; ++m) {
            const float* weights = call.weights[static_cast<std::size_t>(m)];
            for (std::int64_t r = 0; r < n; ++r) {
                sums.normsA[static_cast<std::size_t>(m * nA + i + r)] +=
                    m_kernels.weightedSquares(unweighted + r * lanes, n * lanes,
                                              weights != nullptr ? weights + k : nullptr, count);
            }
        }
    }
    for (std::int64_t j = 0; call.normsB != nullptr && j < nB; ++j) {
        const std::int64_t first = j / columns * columns;
        const std::int64_t stride = std::min(columns, nB - first) * lanes;
        for (std::int64_t m = 0; m < sets; ++m) {
            const float* weights = call.weights[static_cast<std::size_t>(m)];
            sums.normsB[static_cast<std::size_t>(m * nB + j)] +=
                m_kernels.weightedSquares(b + first * depth + (j - first) * lanes, stride,
                                          weights != nullptr ? weights + k : nullptr, count);
        }
    }
}

} // namespace qkov::engine
