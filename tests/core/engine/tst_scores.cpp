// SPDX-License-Identifier: GPL-3.0-or-later
// compute, computeModes, computePooled and scorePair against the float64 reference.
#include "Reference.h"
#include "base/Error.h"
#include "engine/Compute.h"

#include <QtTest>

#include <cmath>
#include <limits>

using namespace qkov;
using namespace qkov::test;
using engine::Mode;

namespace {

/// Against a float64 loop: of the score itself, or of the sum of the terms' sizes.
struct Tolerance {
    double relative, ofTerms;
};
constexpr double tolerance = 1e-5; ///< of the float32 engine
constexpr Tolerance float32{tolerance, tolerance};
/// Little work is done in float64; scores are kept in float32.
constexpr Tolerance float64{1e-7, 1e-13};
/// scorePair is float64 throughout.
constexpr double pairTolerance = 1e-10;
/// Below it float32, in which scores are kept, loses digits.
constexpr double smallestFloat = 1e-36;

bool close(double got, double want, double size, const Tolerance& t) {
    if (std::isnan(want)) {
        return std::isnan(got);
    }
    if (std::abs(want) > double(std::numeric_limits<float>::max())) {
        return std::isinf(got); // scores are kept in float32
    }
    return std::abs(got - want) <=
           std::max(t.relative * std::abs(want), t.ofTerms * size) + smallestFloat;
}

/// Empty, or what differs.
std::string compare(const Case& c, const engine::Scores& scores, Mode mode,
                    const Tolerance& t = float32) {
    const Reference reference(c, mode);
    const engine::ScoreHeader& h = scores.header();
    for (std::size_t row = 0; row < h.layers.size(); ++row) {
        for (const Block block : allBlocks) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                const std::string where = c.text + " mode " + engine::name(mode) + " layer " +
                                          std::to_string(h.layers[row]) + " head " +
                                          std::to_string(h.heads[column]) + " " + blockName(block);
                const auto pairs = scores.pairs(block, row, column);
                if (!h.blocks[blockIndex(block)]) {
                    if (!pairs.empty()) {
                        return where + ": not asked for, but there";
                    }
                    continue;
                }
                const ReferenceCell want = reference.cell(block, h.layers[row], h.heads[column]);
                bool any = false;
                for (const double v : want.score) {
                    any = any || !std::isnan(v);
                }
                if (want.missing || !any) {
                    if (!pairs.empty() || !std::isnan(scores.mean(block, row, column))) {
                        return where + ": should be missing";
                    }
                    continue;
                }
                if (pairs.size() != want.score.size()) {
                    return where + ": has " + std::to_string(pairs.size()) + " pairs, expected " +
                           std::to_string(want.score.size());
                }
                double sum = 0;
                double rounded = 0; // pairs are float32, whatever they were computed in
                double size = 0;
                double count = 0;
                for (std::size_t k = 0; k < pairs.size(); ++k) {
                    if (!close(double(pairs[k]), want.score[k], want.size[k], t)) {
                        return where + " pair " + std::to_string(k) + ": " +
                               std::to_string(pairs[k]) + " instead of " +
                               std::to_string(want.score[k]) + ", ratio " +
                               std::to_string(double(pairs[k]) / want.score[k]);
                    }
                    if (!std::isnan(want.score[k])) {
                        sum += want.score[k];
                        rounded += t.relative * std::abs(want.score[k]);
                        size += want.size[k];
                        count += 1;
                    }
                }
                const double mean = scores.mean(block, row, column);
                if (size < double(std::numeric_limits<float>::max()) &&
                    std::abs(mean - sum / count) > rounded / count &&
                    !close(mean, sum / count, size / count, t)) {
                    return where + ": mean " + std::to_string(mean) + " instead of " +
                           std::to_string(sum / count);
                }
                if (c.request.variant != engine::Variant::profile) {
                    const engine::CellHealth f = scores.health(block, row, column);
                    if (!close(f.lambda, want.lambda, 0, t) ||
                        !close(f.min, want.fisherMin, want.fisherMax, t) ||
                        !close(f.max, want.fisherMax, 0, t) ||
                        !close(f.median, want.fisherMedian, want.fisherMax, t) ||
                        std::abs(f.shareBelow - want.below) > 1e-9) {
                        return where + ": health differs";
                    }
                }
            }
        }
    }
    return {};
}

std::string comparePair(const Case& c, Mode mode, const engine::Scores& scores, unsigned seed) {
    const Reference reference(c, mode);
    const engine::ScoreHeader& h = scores.header();
    Random r(seed);
    const std::size_t i = static_cast<std::size_t>(r.below(int(h.nA())));
    const std::size_t j = static_cast<std::size_t>(r.below(int(h.nB())));
    const std::size_t row = static_cast<std::size_t>(r.below(int(h.layers.size())));
    const std::size_t column = static_cast<std::size_t>(r.below(int(h.heads.size())));
    engine::ScoreRequest q = c.request;
    q.mode = mode;
    Job job;
    const engine::PairResult pair =
        engine::scorePair(c.source, q, h.samplesA[i].id, h.samplesB[j].id,
                          LayerIndex(h.layers[row]), HeadIndex(h.heads[column]), job);
    for (const Block block : allBlocks) {
        const auto& got = pair.blocks[blockIndex(block)];
        const ReferenceCell want = reference.cell(block, h.layers[row], h.heads[column]);
        if (!h.blocks[blockIndex(block)] || want.missing) {
            continue;
        }
        const std::size_t k = i * h.nB() + j;
        if (std::isnan(got.score) && std::isnan(want.score[k])) {
            continue;
        }
        if (!(std::abs(got.score - want.score[k]) <=
              pairTolerance * std::max(want.size[k], std::abs(want.score[k])))) {
            return c.text + " pair " + blockName(block) + ": " + std::to_string(got.score) +
                   " instead of " + std::to_string(want.score[k]);
        }
    }
    return {};
}

} // namespace

class TestScores : public QObject {
    Q_OBJECT

  private slots:
    void randomConfigurations();
    void littleWork();
    void manySamples();
    void extremeScales_data();
    void extremeScales();
    void pooledPairs();
    void threadsAndTilesDoNotMatter();
    void cancelled();
};

void TestScores::randomConfigurations() {
    int compared = 0;
    for (unsigned seed = 1; seed <= 520; ++seed) {
        const auto c = randomCase(seed);
        Job job;
        std::vector<Mode> modes{Mode::structural};
        if (Reference::canGroup(*c)) {
            modes = {Mode::behavioral, Mode::structural, Mode::hybrid};
        } else if (c->request.variant != engine::Variant::profile) {
            engine::ScoreRequest q = c->request;
            q.mode = Mode::hybrid;
            QVERIFY_EXCEPTION_THROWN(engine::compute(c->source, q, job), InputError);
        }
        if (c->request.variant == engine::Variant::profile) {
            modes = {Mode::structural};
        }
        const auto scores = engine::computeModes(c->source, c->request, modes, job);
        QCOMPARE(scores.size(), modes.size());
        for (std::size_t m = 0; m < modes.size(); ++m) {
            const std::string difference = compare(*c, *scores[m], modes[m]);
            QVERIFY2(difference.empty(), difference.c_str());
            const std::string pair = comparePair(*c, modes[m], *scores[m], seed);
            QVERIFY2(pair.empty(), pair.c_str());
            ++compared;
        }
        // Mode left open: behavioral where the dump can.
        const auto alone = engine::compute(c->source, c->request, job);
        QVERIFY(alone->complete());
        QCOMPARE(*alone->header().request.mode, modes.front());
        const std::string difference = compare(*c, *alone, modes.front());
        QVERIFY2(difference.empty(), difference.c_str());
    }
    QVERIFY(compared > 800);
}

/// In float64: scores are right to the last digit, however their terms cancel.
void TestScores::littleWork() {
    int cancelled = 0;
    for (unsigned seed = 5000; seed < 5260; ++seed) {
        const auto c = randomCase(seed);
        if (c->request.variant == engine::Variant::profile) {
            continue;
        }
        c->request.exactBelow = std::int64_t(1) << 40;
        const bool groups = Reference::canGroup(*c);
        std::vector<Mode> modes{Mode::structural};
        if (groups) {
            modes = {Mode::behavioral, Mode::structural, Mode::hybrid};
        }
        Job job;
        const auto scores = engine::computeModes(c->source, c->request, modes, job);
        for (std::size_t m = 0; m < modes.size(); ++m) {
            const std::string difference = compare(*c, *scores[m], modes[m], float64);
            QVERIFY2(difference.empty(), difference.c_str());
        }
        const Reference reference(*c, modes[0]);
        const auto& h = scores[0]->header();
        const ReferenceCell cell = reference.cell(Block::O, h.layers[0], h.heads[0]);
        for (std::size_t k = 0; k < cell.score.size(); ++k) {
            cancelled += std::abs(cell.score[k]) < 0.01 * cell.size[k] ? 1 : 0;
        }
    }
    QVERIFY(cancelled > 20);
}

void TestScores::manySamples() {
    for (const int n : {257, 33}) {
        CaseOptions options;
        options.fixedSamples = n;
        options.scale = 1e-3;
        options.onlyDense = true;
        const auto c = randomCase(static_cast<unsigned>(n), options);
        c->request.maxSamples = 1000;
        c->request.layers = {0};
        c->request.heads = {0};
        c->request.memoryBudget = std::int64_t(1) << 30;
        Job job;
        const auto scores = engine::compute(c->source, c->request, job);
        const std::string difference = compare(*c, *scores, *scores->header().request.mode);
        QVERIFY2(difference.empty(), difference.c_str());
    }
}

void TestScores::extremeScales_data() {
    QTest::addColumn<double>("scale");
    QTest::newRow("tiny") << 1e-18;
    QTest::newRow("huge") << 1e8;
}

void TestScores::extremeScales() {
    QFETCH(double, scale);
    int nonzero = 0;
    for (unsigned seed = 1000; seed < 1060; ++seed) {
        CaseOptions options;
        options.scale = scale;
        const auto c = randomCase(seed, options);
        c->request.regularization = {};
        Job job;
        const auto scores = engine::compute(c->source, c->request, job);
        const std::string difference = compare(*c, *scores, *scores->header().request.mode);
        QVERIFY2(difference.empty(), difference.c_str());
        for (const float v : scores->pairs(Block::Q, 0, 0)) {
            nonzero += v != 0 && std::isfinite(v) ? 1 : 0;
        }
    }
    QVERIFY(nonzero > 100);
}

void TestScores::pooledPairs() {
    for (unsigned seed = 2000; seed < 2030; ++seed) {
        const auto c = randomCase(seed);
        c->request.variant = engine::Variant::profile;
        Job job;
        const auto scores = engine::computePooled(c->source, c->request, job);
        const Reference reference(*c, Mode::structural);
        const auto& h = scores->header();
        QCOMPARE(h.nA(), reference.samplesA.size() + reference.samplesB.size());
        QCOMPARE(h.nB(), h.nA());
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                const auto want = reference.pooledProfile(Block::O, h.layers[row], h.heads[column]);
                const auto got = scores->pairs(Block::O, row, column);
                if (!h.blocks[blockIndex(Block::O)] || want.missing || got.empty()) {
                    continue;
                }
                QCOMPARE(got.size(), want.score.size());
                for (std::size_t k = 0; k < got.size(); ++k) {
                    QVERIFY2(close(double(got[k]), want.score[k], want.size[k], float32),
                             c->text.c_str());
                }
            }
        }
    }
}

void TestScores::threadsAndTilesDoNotMatter() {
    for (unsigned seed = 3000; seed < 3020; ++seed) {
        const auto c = randomCase(seed);
        Job job;
        c->request.threads = 1;
        c->request.memoryBudget = std::int64_t(1) << 30;
        const auto one = engine::compute(c->source, c->request, job);
        c->request.threads = 4;
        c->request.memoryBudget = engine::explain(c->source, c->request).resultBytes * 4 + 3000;
        const auto many = engine::compute(c->source, c->request, job);
        const auto& h = one->header();
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (const Block b : allBlocks) {
                const auto x = one->pairs(b, row, 0);
                const auto y = many->pairs(b, row, 0);
                QCOMPARE(x.size(), y.size());
                double largest = 0;
                for (const float v : x) {
                    largest = std::max(largest, std::abs(double(v)));
                }
                for (std::size_t k = 0; k < x.size(); ++k) {
                    QVERIFY(std::isnan(x[k]) == std::isnan(y[k]));
                    QVERIFY(std::isnan(x[k]) ||
                            std::abs(double(x[k]) - double(y[k])) <= 1e-6 * largest);
                }
            }
        }
    }
}

void TestScores::cancelled() {
    const auto c = randomCase(17);
    CancelToken token;
    token.cancel();
    Job job(token);
    QVERIFY_EXCEPTION_THROWN(engine::compute(c->source, c->request, job), Cancelled);
}

QTEST_APPLESS_MAIN(TestScores)
#include "tst_scores.moc"
