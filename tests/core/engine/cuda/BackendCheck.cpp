// SPDX-License-Identifier: GPL-3.0-or-later
#include "BackendCheck.h"

#include "BackendSide.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkov::test {

using namespace qkov::engine;

namespace {

double apply(Transform t, double v) {
    switch (t) {
    case Transform::identity:
        return v;
    case Transform::absolute:
        return std::abs(v);
    case Transform::square:
        return v * v;
    case Transform::squareRoot:
        return std::sqrt(v);
    }
    return v;
}

double scaleFor(const Side& side, std::int64_t sample, const TilePart& part, Transform t) {
    double largest = 0;
    for (std::int64_t r = 0; r < part.rows; ++r) {
        for (std::int64_t c = 0; c < part.columns; ++c) {
            largest = std::max(largest, std::abs(side.at(sample, part.row + r, part.column + c)));
        }
    }
    if (largest == 0) {
        return 1;
    }
    int e = std::ilogb(largest);
    if (t == Transform::squareRoot) {
        e -= (e % 2 + 2) % 2;
    }
    return std::ldexp(1.0, -e);
}

/// Half of the time all samples from one on, else some in any order, repetitions included.
std::vector<std::int32_t> someSamples(Random& random, std::int64_t n) {
    std::vector<std::int32_t> list;
    if (pick(random, 0, 1) == 0) {
        for (std::int64_t s = pick(random, 0, std::min<std::int64_t>(2, n - 1)); s < n; ++s) {
            list.push_back(static_cast<std::int32_t>(s));
        }
    } else {
        for (std::int64_t i = pick(random, 1, n); i > 0; --i) {
            list.push_back(static_cast<std::int32_t>(pick(random, 0, n - 1)));
        }
    }
    return list;
}

/// NaN and infinity count as infinite error.
double errorOf(double got, double expected, double size) {
    if (got == expected) {
        return 0;
    }
    const double e = std::abs(got - expected) / size;
    return std::isfinite(e) ? e : std::numeric_limits<double>::infinity();
}

class Checker {
  public:
    Checker(Backend& backend, Precision precision, BackendReport& report)
        : m_backend(backend)
        , m_precision(precision)
        , m_report(report) {}
    void run(Random& random);

  private:
    void statistics(const Side& side, const TilePart& part);
    void fisher(Random& random, const Side& side, const TilePart& part, bool positive);
    void scores(Random& random, const Side& a, const Side& b, const TilePart& part, Transform ta,
                Transform tb);
    void note(double error, double tolerance, double& worst, const char* what) {
        worst = std::max(worst, error);
        if (error > tolerance) {
            m_report.failures.push_back(m_case + ": " + what + " off by " + std::to_string(error));
        }
    }

    Backend& m_backend;
    Precision m_precision;
    BackendReport& m_report;
    std::string m_case;
    Job m_job;
};

void Checker::run(Random& random) {
    const bool hopperShape = pick(random, 0, 1) == 0; // what fast kernels are made for
    const std::int64_t d = hopperShape ? 64 : pick(random, 1, 50);
    const std::int64_t heads = pick(random, 1, 3);
    const std::int64_t other = hopperShape ? 8 * pick(random, 1, 12) : pick(random, 1, 70);
    const bool byColumns = pick(random, 0, 1) == 0;
    const std::int64_t rows = byColumns ? other : heads * d;
    const std::int64_t columns = byColumns ? heads * d : other;
    const std::int64_t nA = pick(random, 0, 5) == 0 ? pick(random, 100, 140) : pick(random, 1, 20);
    const std::int64_t nB = pick(random, 0, 5) == 0 ? pick(random, 100, 140) : pick(random, 1, 20);
    static constexpr Transform pairs[][2] = {{Transform::square, Transform::absolute},
                                             {Transform::square, Transform::absolute},
                                             {Transform::identity, Transform::identity},
                                             {Transform::absolute, Transform::absolute},
                                             {Transform::identity, Transform::absolute},
                                             {Transform::identity, Transform::squareRoot},
                                             {Transform::squareRoot, Transform::squareRoot},
                                             {Transform::square, Transform::squareRoot},
                                             {Transform::squareRoot, Transform::absolute}};
    const auto& pair = pairs[pick(random, 0, 8)];
    const bool positiveA = pair[0] == Transform::squareRoot;
    const bool positiveB = pair[1] == Transform::squareRoot;
    const Side a = makeSide(m_backend, random, nA, rows, columns, positiveA);
    const Side b = makeSide(m_backend, random, nB, rows, columns, positiveB);
    const auto typeOf = [](const Side& s) {
        return s.factored ? "factored " + std::string(dtypeName(s.input.dtype)) + "·" +
                                std::string(dtypeName(s.gradOutput.dtype))
                          : std::string(dtypeName(s.dense.dtype));
    };
    m_case = "case " + std::to_string(m_report.cases) + " [" + std::to_string(rows) + " × " +
             std::to_string(columns) + "], " + typeOf(a) + " × " + typeOf(b) + ", transforms " +
             std::to_string(static_cast<int>(pair[0])) + " " +
             std::to_string(static_cast<int>(pair[1])) + ", samples " + std::to_string(nA) + " × " +
             std::to_string(nB);
    const std::int64_t h = pick(random, 0, heads - 1);
    const TilePart part = byColumns ? TilePart{0, rows, h * d, d} : TilePart{h * d, d, 0, columns};
    statistics(a, part);
    fisher(random, a, part, positiveA);
    scores(random, a, b, part, pair[0], pair[1]);
}

void Checker::statistics(const Side& side, const TilePart& part) {
    std::vector<SampleStatistics> got(static_cast<std::size_t>(side.samples));
    const StatisticsCall call{side.tile.get(), part, true, got.data()};
    m_backend.statistics(std::span(&call, 1), m_job);
    const double tolerance = side.factored ? rebuiltTolerance : passTolerance;
    for (std::int64_t s = 0; s < side.samples; ++s) {
        SampleStatistics want;
        for (std::int64_t r = 0; r < part.rows; ++r) {
            for (std::int64_t c = 0; c < part.columns; ++c) {
                const double v = std::abs(side.at(s, part.row + r, part.column + c));
                want.largest = std::max(want.largest, v);
                want.sum += v;
                want.squares += v * v;
                want.roots += std::sqrt(v);
            }
        }
        const SampleStatistics& g = got[static_cast<std::size_t>(s)];
        // Cancellation within a rebuilt number is measured against the largest one.
        const double size = side.factored ? want.largest * static_cast<double>(part.count()) : 0;
        double& worst = m_report.worstStatistics;
        note(errorOf(g.largest, want.largest, want.largest), tolerance, worst, "largest");
        note(errorOf(g.sum, want.sum, std::max(want.sum, size)), tolerance, worst, "sum");
        note(errorOf(g.squares, want.squares, std::max(want.squares, size * want.largest)),
             tolerance, worst, "squares");
        if (!side.factored) {
            note(errorOf(g.roots, want.roots, want.roots), tolerance, worst, "roots");
        }
    }
}

void Checker::fisher(Random& random, const Side& side, const TilePart& part, bool positive) {
    const Transform t = positive ? Transform::identity : Transform::square;
    std::vector<double> scales;
    std::vector<double> weights;
    for (std::int64_t s = 0; s < side.samples; ++s) {
        scales.push_back(scaleFor(side, s, part, t));
        weights.push_back(pick(random, 0, 4) == 0 ? 0 : std::exp(normal(random)));
    }
    std::vector<double> got(static_cast<std::size_t>(part.count()), 0);
    const FisherCall call{side.tile.get(), part, t, scales.data(), weights.data(), got.data()};
    m_backend.fisher(std::span(&call, 1), m_job);
    // The same together with the extremes, the part as two.
    std::vector<double> prepared(got.size(), 0);
    std::vector<std::vector<SampleStatistics>> extremes(
        2, std::vector<SampleStatistics>(static_cast<std::size_t>(side.samples)));
    const std::int64_t cut = pick(random, 0, part.rows - 1);
    std::vector<PrepareCall> calls;
    for (const auto& [row, rows] :
         {std::pair(std::int64_t(0), cut), std::pair(cut, part.rows - cut)}) {
        if (rows > 0) {
            PrepareCall both;
            both.tile = side.tile.get();
            both.part = {part.row + row, rows, part.column, part.columns};
            both.statistics = extremes[calls.size()].data();
            both.transform = t;
            both.weights = weights.data();
            both.fisher = prepared.data() + row * part.columns;
            calls.push_back(both);
        }
    }
    m_backend.prepare(calls, m_job);
    for (std::int64_t s = 0; s < side.samples; ++s) {
        double most = 0;
        for (std::int64_t r = 0; r < part.rows; ++r) {
            for (std::int64_t c = 0; c < part.columns; ++c) {
                most = std::max(most, std::abs(side.at(s, part.row + r, part.column + c)));
            }
        }
        const auto at = static_cast<std::size_t>(s);
        note(errorOf(std::max(extremes[0][at].largest, extremes[1][at].largest), most, most),
             side.factored ? rebuiltTolerance : passTolerance, m_report.worstStatistics,
             "largest beside the Fisher sum");
    }
    double largest = 0;
    std::vector<double> want(got.size(), 0);
    for (std::int64_t r = 0; r < part.rows; ++r) {
        for (std::int64_t c = 0; c < part.columns; ++c) {
            double& w = want[static_cast<std::size_t>(r * part.columns + c)];
            for (std::int64_t s = 0; s < side.samples; ++s) {
                w += weights[static_cast<std::size_t>(s)] *
                     apply(t, side.at(s, part.row + r, part.column + c));
            }
            largest = std::max(largest, w);
        }
    }
    for (std::size_t k = 0; k < got.size(); ++k) {
        // Numbers 2^63 below the sample's largest may vanish in float32 when squared.
        const double size = std::max(want[k], largest * (side.factored ? 1e-2 : 1e-30));
        const double tolerance = side.factored ? rebuiltTolerance : passTolerance;
        note(errorOf(got[k], want[k], size), tolerance, m_report.worstFisher, "Fisher sum");
        note(errorOf(prepared[k], want[k], size), tolerance, m_report.worstFisher,
             "Fisher sum beside the extremes");
    }
}

void Checker::scores(Random& random, const Side& a, const Side& b, const TilePart& part,
                     Transform ta, Transform tb) {
    const std::vector<std::int32_t> listA = someSamples(random, a.samples);
    const std::vector<std::int32_t> listB = someSamples(random, b.samples);
    const std::size_t nA = listA.size();
    const std::size_t nB = listB.size();
    std::vector<double> scalesA;
    std::vector<double> scalesB;
    for (const std::int32_t s : listA) {
        scalesA.push_back(scaleFor(a, s, part, ta));
    }
    for (const std::int32_t s : listB) {
        scalesB.push_back(scaleFor(b, s, part, tb));
    }
    const std::size_t sets = static_cast<std::size_t>(pick(random, 1, 3));
    const std::size_t count = static_cast<std::size_t>(part.count());
    std::vector<std::vector<float>> weights(sets);
    ScoreCall call;
    for (auto& w : weights) {
        if (pick(random, 0, 3) > 0) {
            w.resize(count);
            for (float& v : w) {
                v = static_cast<float>(std::exp(2 * normal(random)));
            }
        }
        call.weights.push_back(w.empty() ? nullptr : w.data());
    }
    const bool norms = pick(random, 0, 1) == 0;
    std::vector<double> scores(sets * nA * nB, 0.5); // accumulated: not overwritten
    std::vector<double> normsA(sets * nA, 0.25);
    std::vector<double> normsB(sets * nB, 0.25);
    call.a = a.tile.get();
    call.b = b.tile.get();
    call.partA = call.partB = part;
    call.samplesA = listA;
    call.samplesB = listB;
    call.transformA = ta;
    call.transformB = tb;
    call.scaleA = scalesA.data();
    call.scaleB = scalesB.data();
    call.scores = scores.data();
    call.normsA = norms ? normsA.data() : nullptr;
    call.normsB = norms ? normsB.data() : nullptr;
    m_backend.score(std::span(&call, 1), m_job);

    const auto transformed = [&](const Side& side, const std::vector<std::int32_t>& list,
                                 const std::vector<double>& scales, Transform t) {
        std::vector<double> out;
        for (std::size_t i = 0; i < list.size(); ++i) {
            for (std::int64_t r = 0; r < part.rows; ++r) {
                for (std::int64_t c = 0; c < part.columns; ++c) {
                    out.push_back(
                        apply(t, scales[i] * side.at(list[i], part.row + r, part.column + c)));
                }
            }
        }
        return out;
    };
    const std::vector<double> x = transformed(a, listA, scalesA, ta);
    const std::vector<double> y = transformed(b, listB, scalesB, tb);
    const double tolerance = m_precision == Precision::fast ? fastTolerance : fp32Tolerance;
    for (std::size_t m = 0; m < sets; ++m) {
        const auto weight = [&](std::size_t k) {
            return weights[m].empty() ? 1.0 : double(weights[m][k]);
        };
        std::vector<double> squaresA(nA, 0);
        std::vector<double> squaresB(nB, 0);
        for (std::size_t k = 0; k < count; ++k) {
            for (std::size_t i = 0; i < nA; ++i) {
                squaresA[i] += weight(k) * x[i * count + k] * x[i * count + k];
            }
            for (std::size_t j = 0; j < nB; ++j) {
                squaresB[j] += weight(k) * y[j * count + k] * y[j * count + k];
            }
        }
        for (std::size_t i = 0; i < nA; ++i) {
            for (std::size_t j = 0; j < nB; ++j) {
                double want = 0.5;
                double size = 0.5;
                for (std::size_t k = 0; k < count; ++k) {
                    const double v = x[i * count + k] * weight(k) * y[j * count + k];
                    want += v;
                    size += std::abs(v);
                }
                note(errorOf(scores[(m * nA + i) * nB + j], want, size), tolerance,
                     m_report.worstScore, "score");
            }
        }
        if (norms) {
            for (std::size_t i = 0; i < nA; ++i) {
                note(errorOf(normsA[m * nA + i], 0.25 + squaresA[i], 0.25 + squaresA[i]),
                     fp32Tolerance, m_report.worstNorm, "norm of A");
            }
            for (std::size_t j = 0; j < nB; ++j) {
                note(errorOf(normsB[m * nB + j], 0.25 + squaresB[j], 0.25 + squaresB[j]),
                     fp32Tolerance, m_report.worstNorm, "norm of B");
            }
        }
    }
}

/// NaN and infinity must be seen, wherever they are.
void checkNonFinite(Backend& backend, BackendReport& report) {
    for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
        for (const double bad :
             {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
            std::vector<double> values(3 * 5 * 7, 0.25);
            values[1 * 35 + 3 * 7 + 2] = bad;
            const Numbers n = stored(values, type);
            const Job job;
            const auto tile = backend.load(DenseData{type, n.bytes.data(), 3, 5, 7}, job);
            std::vector<SampleStatistics> got(3);
            const StatisticsCall call{tile.get(), {0, 5, 0, 7}, false, got.data()};
            backend.statistics(std::span(&call, 1), job);
            if (std::isfinite(got[1].largest) || got[0].largest != 0.25 || got[2].largest != 0.25) {
                report.failures.push_back("a number that isn't finite was not seen in " +
                                          std::string(dtypeName(type)));
            }
        }
    }
}

} // namespace

BackendReport checkBackend(Backend& backend, Precision precision, int cases, std::uint64_t seed) {
    BackendReport report;
    Random random(seed);
    Checker checker(backend, precision, report);
    for (; report.cases < cases; ++report.cases) {
        checker.run(random);
    }
    checkNonFinite(backend, report);
    return report;
}

} // namespace qkov::test
