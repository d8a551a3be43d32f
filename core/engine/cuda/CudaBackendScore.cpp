// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/CudaBackend.h"

#include "base/Threads.h"

#include <cstring>

namespace qkov::engine::cuda {

/// Some rows of one call.
struct CudaBackend::Piece {
    std::size_t call = 0;
    std::int64_t row = 0, rows = 0;
};

namespace {

struct SampleRange {
    std::int64_t first = 0, count = 0;
};
SampleRange rangeOf(std::span<const std::int32_t> samples) {
    const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
    return {*low, std::int64_t(*high) - *low + 1};
}

DType commonType(const CudaTile& a, const CudaTile& b) {
    return a.dtype == b.dtype                               ? a.dtype
           : a.dtype == DType::f64 || b.dtype == DType::f64 ? DType::f64
                                                            : DType::f32;
}

bool sameList(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

bool needsScratch(const CudaTile& tile, DType type) {
    return tile.factored || tile.dtype != type;
}

/// Scratch memory of `rows` rows of a call, with room for alignment.
std::size_t scratchBytes(const ScoreCall& c, std::int64_t rows) {
    const DType type = commonType(cudaTile(c.a), cudaTile(c.b));
    const std::int64_t samples =
        (needsScratch(cudaTile(c.a), type) ? rangeOf(c.samplesA).count : 0) +
        (needsScratch(cudaTile(c.b), type) ? rangeOf(c.samplesB).count : 0);
    return static_cast<std::size_t>(samples * rows * c.partA.columns) * dtypeSize(type) + 512;
}

/// What a piece may still take.
struct Budget {
    double work;
    std::size_t scratch, weights, results;

    static double rowWork(const ScoreCall& c) {
        return static_cast<double>(c.samplesA.size()) * static_cast<double>(c.samplesB.size()) *
               static_cast<double>(c.weights.size()) * static_cast<double>(c.partA.columns);
    }
    static std::size_t rowWeights(const ScoreCall& c) {
        return static_cast<std::size_t>(weightCount(1, c.partA.columns)) * c.weights.size() *
               sizeof(float);
    }
    static std::size_t resultsOf(const ScoreCall& c) {
        return c.weights.size() * sizeof(double) *
               (c.samplesA.size() * c.samplesB.size() + c.samplesA.size() + c.samplesB.size());
    }
    /// Rows of c that fit; 0 or less: none.
    std::int64_t rows(const ScoreCall& c) const {
        if (resultsOf(c) > results) {
            return 0;
        }
        const auto ratio = [](double have, double each) {
            return static_cast<std::int64_t>(std::min(have / std::max(each, 1.0), 1e15));
        };
        const auto perRow = static_cast<double>(scratchBytes(c, 1));
        return std::min({ratio(work, rowWork(c)), ratio(static_cast<double>(scratch), perRow),
                         ratio(static_cast<double>(weights), static_cast<double>(rowWeights(c)))});
    }
    void spend(const ScoreCall& c, std::int64_t count) {
        const auto take = [](std::size_t& from, std::size_t what) { from -= std::min(from, what); };
        work -= rowWork(c) * static_cast<double>(count);
        take(scratch, scratchBytes(c, count));
        take(weights, rowWeights(c) * static_cast<std::size_t>(count));
        take(results, resultsOf(c));
    }
};

/// One DenseRequest can serve both.
bool alike(const ScoreCall& x, const ScoreCall& y) {
    return x.transformA == y.transformA && x.transformB == y.transformB &&
           x.weights.size() == y.weights.size() && sameList(x.samplesA, y.samplesA) &&
           sameList(x.samplesB, y.samplesB) && (x.normsA != nullptr) == (y.normsA != nullptr) &&
           (x.normsB != nullptr) == (y.normsB != nullptr) &&
           cudaTile(x.a).factored == cudaTile(y.a).factored &&
           cudaTile(x.b).factored == cudaTile(y.b).factored && x.a->dtype == y.a->dtype &&
           x.b->dtype == y.b->dtype;
}

} // namespace

void CudaBackend::score(std::span<const ScoreCall> calls, const Job& job) {
    select();
    // Calls are cut and joined into batches of bounded work and memory.
    std::size_t call = 0;
    std::int64_t row = 0;
    const auto skipEmpty = [&] {
        while (call < calls.size() &&
               (row >= calls[call].partA.rows || calls[call].partA.columns == 0 ||
                calls[call].samplesA.empty() || calls[call].samplesB.empty() ||
                calls[call].weights.empty())) {
            ++call;
            row = 0;
        }
    };
    for (skipEmpty(); call < calls.size(); skipEmpty()) {
        job.checkCancelled();
        std::vector<Piece> pieces;
        std::size_t nextCall = call;
        std::int64_t nextRow = row;
        withSmallerScratch([&] {
            pieces.clear();
            nextCall = call;
            nextRow = row;
            Budget left{m_pieceWork, m_scratchLimit, pieceWeights, pieceResults};
            while (nextCall < calls.size() && alike(calls[call], calls[nextCall])) {
                const ScoreCall& c = calls[nextCall];
                std::int64_t rows = std::min(left.rows(c), c.partA.rows - nextRow);
                if (rows < 1) {
                    if (!pieces.empty()) {
                        break;
                    }
                    rows = 1;
                }
                pieces.push_back({nextCall, nextRow, rows});
                left.spend(c, rows);
                nextRow += rows;
                if (nextRow < c.partA.rows) {
                    break;
                }
                ++nextCall;
                nextRow = 0;
            }
            runScores(calls, pieces);
        });
        // Only now: a piece that failed half-way added nothing.
        const ScoreCall& first = calls[call];
        const std::size_t nA = first.samplesA.size();
        const std::size_t nB = first.samplesB.size();
        const std::size_t sets = first.weights.size();
        const double* got = m_hostResults.as<double>();
        const auto add = [&](double* target, std::size_t count) {
            if (target != nullptr) {
                for (std::size_t i = 0; i < count; ++i) {
                    target[i] += got[i];
                }
                got += count;
            }
        };
        for (const Piece& piece : pieces) {
            const ScoreCall& c = calls[piece.call];
            add(c.scores, sets * nA * nB);
            add(c.normsA, sets * nA);
            add(c.normsB, sets * nB);
        }
        call = nextCall;
        row = nextRow;
    }
}

void CudaBackend::runScores(std::span<const ScoreCall> calls, std::span<const Piece> pieces) {
    const ScoreCall& first = calls[pieces[0].call];
    const std::size_t nA = first.samplesA.size();
    const std::size_t nB = first.samplesB.size();
    const std::size_t sets = first.weights.size();
    const DType type = commonType(cudaTile(first.a), cudaTile(first.b));
    const SampleRange rangeA = rangeOf(first.samplesA);
    const SampleRange rangeB = rangeOf(first.samplesB);

    std::size_t scratch = 0;
    for (const Piece& piece : pieces) {
        scratch += scratchBytes(calls[piece.call], piece.rows);
    }
    const bool anyScratch =
        needsScratch(cudaTile(first.a), type) || needsScratch(cudaTile(first.b), type);
    if (anyScratch) {
        m_scratch.reserve(scratch);
    }
    // Results per piece: scores, then norms.
    const std::size_t perPiece =
        sets * (nA * nB + (first.normsA ? nA : 0) + (first.normsB ? nB : 0));
    m_results.reserve(pieces.size() * perPiece * sizeof(double));

    std::vector<DenseMatrix> a;
    std::vector<DenseMatrix> b;
    std::vector<DenseSlice> slices;
    std::vector<double> scalesA;
    std::vector<double> scalesB;
    std::int64_t weightFloats = 0;
    std::size_t used = 0;
    Source sourceA;
    Source sourceB;
    const auto matrixNumber = [](std::vector<DenseMatrix>& list, const DenseMatrix& m) {
        if (list.empty() || list.back().data != m.data) {
            list.push_back(m);
        }
        return static_cast<int>(list.size()) - 1;
    };
    for (const Piece& piece : pieces) {
        const ScoreCall& c = calls[piece.call];
        sourceA = materialize(cudaTile(c.a), c.partA, piece.row, piece.rows, rangeA.first,
                              rangeA.count, type, used);
        sourceB = materialize(cudaTile(c.b), c.partB, piece.row, piece.rows, rangeB.first,
                              rangeB.count, type, used);
        DenseSlice s;
        s.matrixA = matrixNumber(a, sourceA.matrix);
        s.matrixB = matrixNumber(b, sourceB.matrix);
        s.rowA = sourceA.row;
        s.columnA = sourceA.column;
        s.rowB = sourceB.row;
        s.columnB = sourceB.column;
        s.rows = piece.rows;
        s.columns = c.partA.columns;
        s = flattened(s, sourceA.matrix, sourceB.matrix);
        s.weights = weightFloats;
        s.scores = static_cast<std::int64_t>(slices.size() * perPiece);
        weightFloats += weightCount(s.rows, s.columns);
        slices.push_back(s);
        scalesA.insert(scalesA.end(), c.scaleA, c.scaleA + nA);
        scalesB.insert(scalesB.end(), c.scaleB, c.scaleB + nB);
    }

    // Weights, in the kernels' order.
    const std::size_t weightBytes = static_cast<std::size_t>(weightFloats) * sets * sizeof(float);
    m_weights.reserve(weightBytes);
    m_hostWeights.reserve(weightBytes);
    const int threads =
        weightBytes > (std::size_t(2) << 20) ? std::min(defaultThreadCount(), 4) : 1;
    parallelFor(sets * pieces.size(), threads, [&](std::size_t index, int) {
        const std::size_t set = index / pieces.size();
        const Piece& piece = pieces[index % pieces.size()];
        const DenseSlice& s = slices[index % pieces.size()];
        const ScoreCall& c = calls[piece.call];
        float* target =
            m_hostWeights.as<float>() + set * static_cast<std::size_t>(weightFloats) + s.weights;
        const float* source =
            c.weights[set] == nullptr ? nullptr : c.weights[set] + piece.row * c.partA.columns;
        const std::int64_t padded = weightCount(1, s.columns);
        for (std::int64_t r = 0; r < s.rows; ++r) {
            if (source != nullptr) {
                std::memcpy(target, source, static_cast<std::size_t>(s.columns) * sizeof(float));
                source += s.columns;
            } else {
                std::fill(target, target + s.columns, 1.0f);
            }
            std::fill(target + s.columns, target + padded, 0.0f);
            target += padded;
        }
    });
    check(cudaMemcpyAsync(m_weights.as<void>(), m_hostWeights.as<void>(), weightBytes,
                          cudaMemcpyHostToDevice, m_stream),
          "weights");

    const auto numbers = [](std::span<const std::int32_t> samples, std::int64_t shift) {
        std::vector<std::int32_t> shifted(samples.begin(), samples.end());
        for (std::int32_t& s : shifted) {
            s -= static_cast<std::int32_t>(shift);
        }
        return shifted;
    };
    const std::vector<std::int32_t> samplesA = numbers(first.samplesA, sourceA.firstSample);
    const std::vector<std::int32_t> samplesB = numbers(first.samplesB, sourceB.firstSample);
    DenseRequest request;
    request.a = a;
    request.b = b;
    request.dtype = type;
    request.slices = slices;
    request.samplesA = samplesA;
    request.samplesB = samplesB;
    request.scalesA = scalesA;
    request.scalesB = scalesB;
    request.weights = m_weights.as<float>();
    request.weightStride = weightFloats;
    request.sets = static_cast<int>(sets);
    request.scores = m_results.as<double>();
    request.elementA = elementOf(first.transformA);
    request.elementB = elementOf(first.transformB);
    request.fast = m_fast;
    m_scorer->score(request, m_stream);

    if (first.normsA != nullptr || first.normsB != nullptr) {
        Tables tables;
        const std::size_t listA = tables.add(samplesA);
        const std::size_t listB = tables.add(samplesB);
        const std::size_t scaleA = tables.add(scalesA);
        const std::size_t scaleB = tables.add(scalesB);
        std::vector<NormItem> itemsA;
        std::vector<NormItem> itemsB;
        for (std::size_t p = 0; p < pieces.size(); ++p) {
            const DenseSlice& s = slices[p];
            for (std::size_t set = 0; set < sets; ++set) {
                const std::int64_t weights =
                    s.weights + static_cast<std::int64_t>(set) * weightFloats;
                std::size_t out = p * perPiece + sets * nA * nB;
                if (first.normsA != nullptr) {
                    itemsA.push_back(
                        {rectangle({a[s.matrixA], s.rowA, s.columnA, 0}, s.rows, s.columns, type),
                         0, static_cast<std::int64_t>(p * nA), weights,
                         static_cast<std::int64_t>(out + set * nA)});
                    out += sets * nA;
                }
                if (first.normsB != nullptr) {
                    itemsB.push_back(
                        {rectangle({b[s.matrixB], s.rowB, s.columnB, 0}, s.rows, s.columns, type),
                         0, static_cast<std::int64_t>(p * nB), weights,
                         static_cast<std::int64_t>(out + set * nB)});
                }
            }
        }
        const std::size_t atA = tables.add(itemsA);
        const std::size_t atB = tables.add(itemsB);
        const auto* device = m_tables->send(tables, m_stream);
        launchNorms(reinterpret_cast<const NormItem*>(device + atA),
                    static_cast<int>(itemsA.size()), type, static_cast<int>(nA), request.elementA,
                    reinterpret_cast<const std::int32_t*>(device + listA),
                    reinterpret_cast<const double*>(device + scaleA), m_weights.as<float>(),
                    m_results.as<double>(), m_stream);
        launchNorms(reinterpret_cast<const NormItem*>(device + atB),
                    static_cast<int>(itemsB.size()), type, static_cast<int>(nB), request.elementB,
                    reinterpret_cast<const std::int32_t*>(device + listB),
                    reinterpret_cast<const double*>(device + scaleB), m_weights.as<float>(),
                    m_results.as<double>(), m_stream);
    }
    download(m_results, pieces.size() * perPiece * sizeof(double));
}

} // namespace qkov::engine::cuda
