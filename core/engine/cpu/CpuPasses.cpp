// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics and Fisher sums.
#include "base/Threads.h"
#include "engine/cpu/CpuBackend.h"

#include <cmath>
#include <mutex>

namespace qkov::engine {

namespace {

using cpu::extremeBytes;
using cpu::Runs;

/// Parameters × samples that one item of work covers: long enough to be worth handing out, short
/// enough (some ms) for a cancellation.
constexpr std::int64_t passItem = std::int64_t(1) << 21;
/// Parameters that are taken at once: their sums stay in the first-level cache.
constexpr std::int64_t longestStep = 4096;

/// Squares of float16 are far from float32's ends: such numbers need no scale.
bool scaled(const CpuTile& tile) {
    return tile.dtype != DType::f16;
}

double larger(double a, double b) {
    return std::isnan(a) || a >= b ? a : b; // NaN wins
}

} // namespace

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
            alignas(64) char state[extremeBytes] = {};
            const int type = typeNumber(tile.dtype);
            forRuns(tile, call.part, 0, call.part.count(),
                    [&](std::int64_t row, std::int64_t column, const Runs& runs, std::int64_t) {
                        const char* at = tile.at(pieces[p].sample, row, column);
                        m_kernels.largest(at, 0, 1, type, runs, state, 0);
                        for (std::int64_t r = 0; call.sums && r < runs.count; ++r) {
                            m_kernels.sums(at + r * runs.stride, type, runs.length, &out.sum,
                                           &out.squares, &out.roots);
                        }
                    });
            out.largest = m_kernels.largestOf(state, type);
            call.out[pieces[p].sample] = out;
        }
    });
}

/// Merges the largest numbers of some samples in [begin, end) of the part into `states`.
void CpuBackend::look(const CpuTile& tile, const TilePart& part, std::int64_t begin,
                      std::int64_t end, std::int64_t first, std::int64_t count,
                      char* states) const {
    forRuns(tile, part, begin, end,
            [&](std::int64_t row, std::int64_t column, const Runs& runs, std::int64_t) {
                m_kernels.largest(tile.at(first, row, column), tile.sampleBytes, count,
                                  typeNumber(tile.dtype), runs, states + first * extremeBytes,
                                  cpu::mostTogether * tile.sampleBytes);
            });
}

/// fisher[k] += Σ_s weights[s] · T(v_s[k]) for [begin, end) of the part. Float32 sums of some
/// samples, then float64: the error doesn't grow with their number. `states`: as in look(), or
/// null.
void CpuBackend::sumStretch(const CpuTile& tile, const TilePart& part, std::int64_t begin,
                            std::int64_t end, Transform transform, const double* scales,
                            const double* weights, double* fisher, char* states,
                            Worker& worker) const {
    constexpr std::int64_t together = 32;
    float* sum = worker.plain.reserve(end - begin);
    for (std::int64_t first = 0; first < tile.samples; first += together) {
        const std::int64_t last = std::min(tile.samples, first + together);
        // What a scaled number counts, undoing its scale: relative to the largest.
        double counts[together];
        double top = 0;
        for (std::int64_t s = first; s < last; ++s) {
            counts[s - first] = weights[s] * undo(scales[s], transform);
            top = std::max(top, counts[s - first]);
        }
        if (top <= 0) {
            if (states != nullptr) {
                look(tile, part, begin, end, first, last - first, states);
            }
            continue;
        }
        float relative[together];
        for (std::int64_t s = first; s < last; ++s) {
            relative[s - first] = static_cast<float>(counts[s - first] / top);
        }
        std::fill(sum, sum + (end - begin), 0.0f);
        for (std::int64_t s = first; s < last; s += cpu::mostTogether) {
            const std::int64_t n = std::min(cpu::mostTogether, last - s);
            if (states != nullptr) {
                look(tile, part, begin, end, s, n, states);
            }
            forRuns(tile, part, begin, end,
                    [&](std::int64_t row, std::int64_t column, const Runs& runs, std::int64_t at) {
                        m_kernels.accumulate(tile.at(s, row, column), tile.sampleBytes, n,
                                             typeNumber(tile.dtype), runs, scales + s,
                                             changeNumber(transform), relative + (s - first),
                                             sum + (at - begin));
                    });
        }
        m_kernels.addScaled(sum, top, end - begin, fisher + begin);
    }
}

void CpuBackend::fisher(std::span<const FisherCall> calls, const Job& job) {
    std::vector<Item> items;
    for (std::size_t c = 0; c < calls.size(); ++c) {
        const std::int64_t count = calls[c].part.count();
        const std::int64_t samples = std::max<std::int64_t>(1, calls[c].tile->samples);
        const std::int64_t length = std::max(longestStep, roundUp(passItem / samples));
        for (std::int64_t k = 0; k < count; k += length) {
            items.push_back({c, 1, k, std::min(count, k + length), longestStep});
        }
    }
    parallelFor(items.size(), m_threads, [&](std::size_t index, int w) {
        const Item& item = items[index];
        const FisherCall& call = calls[item.firstCall];
        for (std::int64_t k = item.begin; k < item.end; k += item.step) {
            job.checkCancelled();
            sumStretch(cpuTile(call.tile), call.part, k, std::min(item.end, k + item.step),
                       call.transform, call.scales, call.weights, call.fisher, nullptr,
                       m_workers[static_cast<std::size_t>(w)]);
        }
    });
}

void CpuBackend::prepare(std::span<const PrepareCall> calls, const Job& job) {
    std::vector<Item> items;
    for (std::size_t c = 0; c < calls.size();) {
        const CpuTile& tile = cpuTile(calls[c].tile);
        const TilePart& part = calls[c].part;
        const std::size_t n = sideBySide(
            calls, c, [](const PrepareCall& call) { return std::pair(call.tile, call.part); });
        const std::int64_t samples = std::max<std::int64_t>(1, tile.samples);
        std::int64_t step = longestStep;
        if (!tile.together(part)) {
            // Rows are shared by the calls: taken while they are near.
            const std::int64_t width = part.columns * (scaled(tile) ? 1 : std::int64_t(n));
            step = std::max<std::int64_t>(1, step / width) * part.columns;
        }
        const std::int64_t length =
            std::max(step, passItem / (samples * static_cast<std::int64_t>(n)) / step * step);
        for (std::int64_t k = 0; k < part.count(); k += length) {
            items.push_back({c, n, k, std::min(part.count(), k + length), step});
        }
        c += n;
    }
    for (Worker& worker : m_workers) {
        worker.largest.assign(calls.size(), {});
    }
    parallelFor(items.size(), m_threads, [&](std::size_t index, int w) {
        prepareItem(calls, items[index], m_workers[static_cast<std::size_t>(w)], job);
    });
    for (std::size_t c = 0; c < calls.size(); ++c) {
        for (std::int64_t s = 0; s < calls[c].tile->samples; ++s) {
            if (calls[c].statistics == nullptr) {
                break;
            }
            SampleStatistics& out = calls[c].statistics[s];
            out = {};
            for (const Worker& worker : m_workers) {
                if (!worker.largest[c].empty()) {
                    out.largest =
                        larger(out.largest, worker.largest[c][static_cast<std::size_t>(s)]);
                }
            }
        }
    }
}

void CpuBackend::prepareItem(std::span<const PrepareCall> calls, const Item& item, Worker& worker,
                             const Job& job) const {
    const CpuTile& tile = cpuTile(calls[item.firstCall].tile);
    const auto n = static_cast<std::size_t>(tile.samples);
    const int type = typeNumber(tile.dtype);
    const std::size_t stateBytes = n * static_cast<std::size_t>(extremeBytes);
    std::vector<char>& states = worker.states;
    states.assign(stateBytes * item.calls, 0);
    std::vector<double>& scales = worker.scales;
    scales.assign(n, 1);
    const auto merge = [&](std::size_t call, const char* from) {
        std::vector<double>& largest = worker.largest[item.firstCall + call];
        largest.resize(n);
        for (std::size_t s = 0; s < n; ++s) {
            const double v =
                m_kernels.largestOf(from + s * static_cast<std::size_t>(extremeBytes), type);
            largest[s] = larger(largest[s], v);
            if (scaled(tile)) {
                scales[s] = scaleFor(v, tile.dtype, calls[item.firstCall + call].transform);
            }
        }
    };
    for (std::int64_t k = item.begin; k < item.end; k += item.step) {
        const std::int64_t end = std::min(item.end, k + item.step);
        for (std::size_t c = 0; c < item.calls; ++c) {
            job.checkCancelled();
            const PrepareCall& call = calls[item.firstCall + c];
            char* state = states.data() + c * stateBytes;
            const bool looks = call.statistics != nullptr;
            const bool first = looks && (scaled(tile) || call.fisher == nullptr);
            if (first) {
                look(tile, call.part, k, end, 0, tile.samples, state);
            }
            if (first && scaled(tile)) {
                merge(c, state);
                std::fill_n(state, stateBytes, char(0));
            }
            if (call.fisher != nullptr) {
                sumStretch(tile, call.part, k, end, call.transform, scales.data(), call.weights,
                           call.fisher, first || !looks ? nullptr : state, worker);
            }
        }
    }
    for (std::size_t c = 0; c < item.calls && !scaled(tile); ++c) {
        merge(c, states.data() + c * stateBytes);
    }
}

} // namespace qkov::engine
