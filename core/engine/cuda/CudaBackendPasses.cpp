// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics and Fisher sums.
#include "base/Threads.h"
#include "engine/cuda/CudaBackend.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace qkov::engine::cuda {

namespace {

/// Rows of a part for one piece of a pass, at least one. `numberBytes`: scratch per number.
std::int64_t rowsPerPiece(std::int64_t columns, std::int64_t samples, std::size_t numberBytes,
                          std::size_t scratch) {
    const double perRow = static_cast<double>(std::max<std::int64_t>(columns, 1)) *
                          static_cast<double>(std::max<std::int64_t>(samples, 1));
    double rows = passWork / perRow;
    if (numberBytes > 0) {
        rows = std::min(rows,
                        static_cast<double>(scratch) / (perRow * static_cast<double>(numberBytes)));
    }
    rows = std::min(rows, static_cast<double>(passResults) /
                              static_cast<double>(std::max<std::int64_t>(columns, 1)));
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(rows));
}

/// Scratch memory for all samples of so many numbers of a part, with room for alignment.
std::size_t passScratch(const CudaTile& tile, std::int64_t numbers) {
    return tile.factored ? static_cast<std::size_t>(tile.samples * numbers) * sizeof(float) + 256
                         : 0;
}

} // namespace

/// Calls f(first call, number of calls, first row, rows): stretches of calls that one launch can
/// serve, or some rows of one call when it is too large for that.
template <class Call, class Alike, class F>
void CudaBackend::forStretches(std::span<const Call> calls, const Job& job, Alike&& alike, F&& f) {
    std::size_t at = 0;
    std::int64_t row = 0;
    while (at < calls.size()) {
        job.checkCancelled();
        std::size_t next = at + 1;
        std::int64_t rows = 0;
        withSmallerScratch([&] {
            const CudaTile& tile = cudaTile(calls[at].tile);
            const TilePart& part = calls[at].part;
            rows = std::min(part.rows - row,
                            rowsPerPiece(part.columns, tile.samples,
                                         tile.factored ? sizeof(float) : 0, m_scratchLimit));
            next = at + 1;
            if (row == 0 && rows == part.rows) {
                double work = static_cast<double>(tile.samples) * static_cast<double>(part.count());
                std::int64_t numbers = part.count();
                std::size_t scratch = passScratch(tile, numbers);
                for (; next < calls.size() && next - at < 4096; ++next) {
                    const CudaTile& other = cudaTile(calls[next].tile);
                    work += static_cast<double>(other.samples) *
                            static_cast<double>(calls[next].part.count());
                    numbers += calls[next].part.count();
                    scratch += passScratch(other, calls[next].part.count());
                    if (scratch > m_scratchLimit || other.dtype != tile.dtype ||
                        other.samples != tile.samples || work > passWork || numbers > passResults ||
                        !alike(calls[at], calls[next])) {
                        break;
                    }
                }
            }
            // All of it before any is used: growing would lose what is there.
            std::size_t scratch = 0;
            for (std::size_t c = at; c < next; ++c) {
                scratch += passScratch(cudaTile(calls[c].tile),
                                       (next - at > 1 ? calls[c].part.rows : rows) *
                                           calls[c].part.columns);
            }
            if (scratch > 0) {
                m_scratch.reserve(scratch);
            }
            f(at, next - at, row, rows);
        });
        row += rows;
        if (row >= calls[at].part.rows) {
            at = next;
            row = 0;
        }
    }
}

namespace {

/// Adds what a launch found to the calls' results; returns what follows in `got`.
template <class Call>
const Statistics* addStatistics(std::span<const Call> calls, std::int64_t samples,
                                SampleStatistics* Call::*target, const Statistics* got) {
    for (const Call& call : calls) {
        for (std::int64_t s = 0; s < samples; ++s, ++got) {
            SampleStatistics& out = (call.*target)[s];
            if (!(out.largest >= got->largest) && !std::isnan(out.largest)) {
                out.largest = got->largest; // NaN wins
            }
            out.sum += got->sum;
            out.squares += got->squares;
            out.roots += got->roots;
        }
    }
    return got;
}

/// Adds sums of `rows` rows from `row` on, or of whole parts where there are several calls.
template <class Call>
void addFisher(std::span<const Call> calls, std::int64_t row, std::int64_t rows,
               const double* got) {
    std::vector<std::int64_t> starts{0};
    for (const Call& call : calls) {
        starts.push_back(starts.back() +
                         (calls.size() > 1 ? call.part.rows : rows) * call.part.columns);
    }
    const int threads =
        starts.back() > (std::int64_t(1) << 18) ? std::min(defaultThreadCount(), 8) : 1;
    // In stretches: one call may be most of the work.
    constexpr std::int64_t stretch = std::int64_t(1) << 16;
    const auto pieces = static_cast<std::size_t>((starts.back() + stretch - 1) / stretch);
    parallelFor(pieces, threads, [&](std::size_t piece, int) {
        std::int64_t at = static_cast<std::int64_t>(piece) * stretch;
        const std::int64_t end = std::min(starts.back(), at + stretch);
        auto c = static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), at) -
                                          starts.begin() - 1);
        for (; at < end; ++c) {
            const Call& call = calls[c];
            double* target =
                call.fisher + (calls.size() > 1 ? 0 : row * call.part.columns) - starts[c];
            const std::int64_t last = std::min(end, starts[c + 1]);
            for (; at < last; ++at) {
                target[at] += got[at];
            }
        }
    });
}

} // namespace

void CudaBackend::statistics(std::span<const StatisticsCall> calls, const Job& job) {
    select();
    for (const StatisticsCall& call : calls) {
        std::fill(call.out, call.out + call.tile->samples, SampleStatistics{});
    }
    const auto alike = [](const StatisticsCall& x, const StatisticsCall& y) {
        return x.sums == y.sums;
    };
    forStretches(calls, job, alike,
                 [&](std::size_t at, std::size_t count, std::int64_t row, std::int64_t rows) {
                     const CudaTile& tile = cudaTile(calls[at].tile);
                     const std::int64_t n = tile.samples;
                     if (n == 0) {
                         return;
                     }
                     std::vector<StatisticsItem> items;
                     std::size_t scratch = 0;
                     for (std::size_t c = 0; c < count; ++c) {
                         const StatisticsCall& call = calls[at + c];
                         const std::int64_t own = count > 1 ? call.part.rows : rows;
                         const Source source =
                             materialize(cudaTile(call.tile), call.part, count > 1 ? 0 : row, own,
                                         0, n, tile.dtype, scratch);
                         Rectangle part = rectangle(source, own, call.part.columns, tile.dtype);
                         if (part.rowStride == part.columns) { // one long row
                             part.columns *= part.rows;
                             part.rows = 1;
                         }
                         items.push_back({part, static_cast<std::int64_t>(c) * n});
                     }
                     Tables tables;
                     const std::size_t itemsAt = tables.add(items);
                     const auto* device = m_tables->send(tables, m_stream);
                     const std::size_t bytes =
                         count * static_cast<std::size_t>(n) * sizeof(Statistics);
                     m_results.reserve(bytes);
                     launchStatistics(reinterpret_cast<const StatisticsItem*>(device + itemsAt),
                                      static_cast<int>(count), tile.dtype, static_cast<int>(n),
                                      calls[at].sums, m_results.as<Statistics>(), m_stream);
                     download(m_results, bytes);
                     addStatistics(calls.subspan(at, count), n, &StatisticsCall::out,
                                   m_hostResults.as<Statistics>());
                 });
}

void CudaBackend::fisher(std::span<const FisherCall> calls, const Job& job) {
    select();
    const auto alike = [](const FisherCall& x, const FisherCall& y) {
        return x.transform == y.transform;
    };
    forStretches(calls, job, alike,
                 [&](std::size_t at, std::size_t count, std::int64_t row, std::int64_t rows) {
                     const CudaTile& tile = cudaTile(calls[at].tile);
                     const std::int64_t n = tile.samples;
                     const Element element = elementOf(calls[at].transform);
                     std::vector<FisherItem> items;
                     std::size_t scratch = 0;
                     std::vector<double> scales;
                     std::vector<double> weights;
                     std::int64_t out = 0;
                     std::int64_t longest = 0;
                     for (std::size_t c = 0; c < count; ++c) {
                         const FisherCall& call = calls[at + c];
                         const std::int64_t own = count > 1 ? call.part.rows : rows;
                         const Source source =
                             materialize(cudaTile(call.tile), call.part, count > 1 ? 0 : row, own,
                                         0, n, tile.dtype, scratch);
                         items.push_back({rectangle(source, own, call.part.columns, tile.dtype),
                                          static_cast<std::int64_t>(scales.size()), out});
                         out += own * call.part.columns;
                         longest = std::max(longest, own * call.part.columns);
                         for (std::int64_t s = 0; s < n; ++s) {
                             scales.push_back(call.scales[s]);
                             weights.push_back(call.weights[s] == 0
                                                   ? 0
                                                   : call.weights[s] /
                                                         elementFactor(element, call.scales[s]));
                         }
                     }
                     Tables tables;
                     const std::size_t itemsAt = tables.add(items);
                     const std::size_t scalesAt = tables.add(scales);
                     const std::size_t weightsAt = tables.add(weights);
                     const auto* device = m_tables->send(tables, m_stream);
                     m_results.reserve(static_cast<std::size_t>(out) * sizeof(double));
                     launchFisher(reinterpret_cast<const FisherItem*>(device + itemsAt),
                                  static_cast<int>(count), longest, tile.dtype, static_cast<int>(n),
                                  element, reinterpret_cast<const double*>(device + scalesAt),
                                  reinterpret_cast<const double*>(device + weightsAt),
                                  m_results.as<double>(), m_stream);
                     download(m_results, static_cast<std::size_t>(out) * sizeof(double));
                     addFisher(calls.subspan(at, count), row, rows, m_hostResults.as<double>());
                 });
}

void CudaBackend::prepare(std::span<const PrepareCall> calls, const Job& job) {
    // Squares of float64 numbers need scales, which need the extremes first.
    if (std::any_of(calls.begin(), calls.end(),
                    [](const PrepareCall& c) { return c.tile->dtype == DType::f64; })) {
        Backend::prepare(calls, job);
        return;
    }
    select();
    for (const PrepareCall& call : calls) {
        std::fill(call.statistics, call.statistics + call.tile->samples, SampleStatistics{});
    }
    const auto alike = [](const PrepareCall& x, const PrepareCall& y) {
        return x.transform == y.transform && (x.fisher == nullptr) == (y.fisher == nullptr);
    };
    forStretches(
        calls, job, alike,
        [&](std::size_t at, std::size_t count, std::int64_t row, std::int64_t rows) {
            const CudaTile& tile = cudaTile(calls[at].tile);
            const std::int64_t n = tile.samples;
            if (n == 0) {
                return;
            }
            const bool sums = calls[at].fisher != nullptr;
            std::vector<StatisticsItem> extremes;
            std::vector<FisherItem> items;
            std::vector<double> weights;
            std::size_t scratch = 0;
            std::int64_t numbers = 0;
            std::int64_t longest = 0;
            for (std::size_t c = 0; c < count; ++c) {
                const PrepareCall& call = calls[at + c];
                const std::int64_t own = count > 1 ? call.part.rows : rows;
                const Source source =
                    materialize(cudaTile(call.tile), call.part, count > 1 ? 0 : row, own, 0, n,
                                tile.dtype, scratch);
                Rectangle part = rectangle(source, own, call.part.columns, tile.dtype);
                if (sums) {
                    items.push_back({part, static_cast<std::int64_t>(weights.size()), numbers});
                    weights.insert(weights.end(), call.weights, call.weights + n);
                }
                numbers += own * call.part.columns;
                longest = std::max(longest, own * call.part.columns);
                if (part.rowStride == part.columns) { // one long row
                    part.columns *= part.rows;
                    part.rows = 1;
                }
                extremes.push_back({part, static_cast<std::int64_t>(c) * n});
            }
            Tables tables;
            const std::vector<double> ones(weights.size(), 1.0);
            const std::size_t extremesAt = tables.add(extremes);
            const std::size_t itemsAt = tables.add(items);
            const std::size_t onesAt = tables.add(ones);
            const std::size_t weightsAt = tables.add(weights);
            const auto* device = m_tables->send(tables, m_stream);
            const std::size_t statisticsBytes =
                count * static_cast<std::size_t>(n) * sizeof(Statistics);
            const std::size_t bytes =
                statisticsBytes + (sums ? static_cast<std::size_t>(numbers) * sizeof(double) : 0);
            m_results.reserve(bytes);
            launchStatistics(reinterpret_cast<const StatisticsItem*>(device + extremesAt),
                             static_cast<int>(count), tile.dtype, static_cast<int>(n), false,
                             m_results.as<Statistics>(), m_stream);
            if (sums) {
                launchFisher(
                    reinterpret_cast<const FisherItem*>(device + itemsAt), static_cast<int>(count),
                    longest, tile.dtype, static_cast<int>(n), elementOf(calls[at].transform),
                    reinterpret_cast<const double*>(device + onesAt),
                    reinterpret_cast<const double*>(device + weightsAt),
                    reinterpret_cast<double*>(m_results.as<char>() + statisticsBytes), m_stream);
            }
            download(m_results, bytes);
            const std::span own = calls.subspan(at, count);
            addStatistics(own, n, &PrepareCall::statistics, m_hostResults.as<Statistics>());
            if (sums) {
                addFisher(
                    own, row, rows,
                    reinterpret_cast<const double*>(m_hostResults.as<char>() + statisticsBytes));
            }
        });
}

} // namespace qkov::engine::cuda
