// SPDX-License-Identifier: GPL-3.0-or-later
// Reductions, against loops that look at everything.
#include "MakeScores.h"
#include "results/Summary.h"

#include <QtTest>

#include <algorithm>
#include <set>
#include <tuple>

using namespace qkov;
using namespace qkov::results;
using qkov::test::makeScores;
using qkov::test::same;
using qkov::test::Shape;

namespace {

/// kv heads already seen are skipped: the definition, without representative().
template <class Visit>
void distinctCells(const engine::Scores& s, Block b, Visit visit) {
    const auto& h = s.header();
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        std::set<std::int64_t> seen;
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            const bool kv = b == Block::K || b == Block::V;
            const std::int64_t slice =
                kv ? h.heads[c] / (h.model.numHeads / h.model.numKvHeads) : h.heads[c];
            if (seen.insert(slice).second) {
                visit(l, c);
            }
        }
    }
}

std::vector<Shape> shapes() {
    Shape gqa;
    Shape one;
    one.modelLayers = one.modelHeads = one.kvHeads = 1;
    one.layers = {0};
    one.heads = {0};
    one.nA = one.nB = 1;
    Shape isSigned = gqa;
    isSigned.variant = engine::Variant::signedProduct;
    Shape cosine = gqa;
    cosine.variant = engine::Variant::cosine;
    cosine.nA = 7;
    Shape partial = gqa;
    partial.lastLayerComputed = false;
    Shape multiHead = gqa;
    multiHead.kvHeads = 6;
    return {gqa, one, isSigned, cosine, partial, multiHead};
}

} // namespace

class TestSummary : public QObject {
    Q_OBJECT

  private slots:
    void reductions();
    void topConflictsAreTheSortedPairs();
    void oneCellsConflicts();
    void overviews();
    void ranks();
    void json();
};

void TestSummary::reductions() {
    for (const Shape& shape : shapes()) {
        for (unsigned seed = 0; seed < 20; ++seed) {
            const auto s = makeScores(shape, seed);
            const auto& h = s->header();
            for (const Block b : allBlocks) {
                const auto mean = reduce(*s, b, Reduction::mean);
                const auto max = reduce(*s, b, Reduction::max);
                const auto median = reduce(*s, b, Reduction::median);
                const auto p95 = reduce(*s, b, Reduction::percentile95);
                QCOMPARE(mean.size(), h.layers.size() * h.heads.size());
                for (std::size_t l = 0; l < h.layers.size(); ++l) {
                    for (std::size_t c = 0; c < h.heads.size(); ++c) {
                        const std::size_t at = l * h.heads.size() + c;
                        std::vector<double> v;
                        for (const float x : s->pairs(b, l, c)) {
                            if (!std::isnan(x)) {
                                v.push_back(x);
                            }
                        }
                        std::sort(v.begin(), v.end());
                        if (v.empty()) {
                            QVERIFY(std::isnan(mean[at]) && std::isnan(max[at]) &&
                                    std::isnan(median[at]) && std::isnan(p95[at]));
                            continue;
                        }
                        const auto quantile = [&](double q) {
                            const double x = q * double(v.size() - 1);
                            const auto i = std::size_t(std::floor(x));
                            const auto j = std::size_t(std::ceil(x));
                            return v[i] + (x - double(i)) * (v[j] - v[i]);
                        };
                        double sum = 0;
                        for (const double x : v) {
                            sum += x;
                        }
                        QVERIFY(std::abs(mean[at] - sum / double(v.size())) <= 1e-12);
                        QVERIFY(same(max[at], v.back()));
                        QVERIFY(std::abs(median[at] - quantile(0.5)) <= 1e-12);
                        QVERIFY(std::abs(p95[at] - quantile(0.95)) <= 1e-12);
                    }
                }
            }
        }
    }
}

void TestSummary::topConflictsAreTheSortedPairs() {
    for (const Shape& shape : shapes()) {
        for (unsigned seed = 0; seed < 20; ++seed) {
            const auto s = makeScores(shape, seed);
            const auto& h = s->header();
            const bool low = lowIsConflict(h.request.variant);
            const std::vector<std::vector<Block>> choices{
                {Block::Q}, {Block::K}, {Block::V}, {allBlocks.begin(), allBlocks.end()}};
            for (const auto& blocks : choices) {
                std::vector<Conflict> all;
                for (const Block b : blocks) {
                    distinctCells(*s, b, [&](std::size_t l, std::size_t c) {
                        const auto pairs = s->pairs(b, l, c);
                        for (std::size_t k = 0; k < pairs.size(); ++k) {
                            if (!std::isnan(pairs[k])) {
                                all.push_back({{b, LayerIndex(h.layers[l]), HeadIndex(h.heads[c])},
                                               k / h.nB(),
                                               k % h.nB(),
                                               pairs[k]});
                            }
                        }
                    });
                }
                std::sort(all.begin(), all.end(), [low](const Conflict& x, const Conflict& y) {
                    const auto key = [low](const Conflict& c) {
                        return std::tuple(low ? c.score : -c.score, c.cell.layer, c.cell.head, c.i,
                                          c.j, c.cell.block);
                    };
                    return key(x) < key(y);
                });
                for (const std::size_t count : {0u, 1u, 7u, 100000u}) {
                    const auto top = topConflicts(*s, blocks, count);
                    QCOMPARE(top.size(), std::min<std::size_t>(count, all.size()));
                    for (std::size_t k = 0; k < top.size(); ++k) {
                        QVERIFY(top[k].cell == all[k].cell);
                        QCOMPARE(top[k].i, all[k].i);
                        QCOMPARE(top[k].j, all[k].j);
                        QCOMPARE(top[k].score, all[k].score);
                    }
                }
            }
        }
    }
}

void TestSummary::oneCellsConflicts() {
    unsigned seed = 0;
    while (makeScores(Shape{}, seed)->pairs(Block::K, 1, 1).empty()) {
        ++seed;
    }
    const auto s = makeScores(Shape{}, seed);
    const auto& h = s->header();
    // Head 1 shares head 0's kv slice; asked for by name it is answered.
    const Cell cell{Block::K, LayerIndex(2), HeadIndex(1)};
    const auto top = topConflicts(*s, {Block::Q, Block::K}, 5, cell);
    const auto pairs = s->pairs(Block::K, 1, 1);
    QVERIFY(!pairs.empty());
    const auto direct = topConflictsOfPairs(h, cell, pairs, 5);
    QCOMPARE(top.size(), std::size_t(5));
    QCOMPARE(direct.size(), top.size());
    for (std::size_t k = 0; k < top.size(); ++k) {
        QVERIFY(top[k].cell == cell && direct[k].cell == cell);
        QVERIFY(top[k].i == direct[k].i && top[k].j == direct[k].j);
        QCOMPARE(top[k].score, pairs[top[k].i * h.nB() + top[k].j]);
    }
}

void TestSummary::overviews() {
    for (const Shape& shape : shapes()) {
        for (unsigned seed = 0; seed < 20; ++seed) {
            const auto s = makeScores(shape, seed);
            const auto& h = s->header();
            const double sign = lowIsConflict(h.request.variant) ? -1 : 1;
            double peak = -1e300;
            double bestMean = -1e300;
            std::optional<Block> best;
            std::vector<double> peakBlock;
            for (const Block b : allBlocks) {
                std::vector<double> means;
                distinctCells(*s, b, [&](std::size_t l, std::size_t c) {
                    const double m = s->mean(b, l, c);
                    if (!std::isnan(m)) {
                        means.push_back(m);
                    }
                });
                double sum = 0;
                for (const double m : means) {
                    sum += m;
                }
                const double mean = sum / double(means.size());
                QVERIFY(same(overview(*s).blockMean[blockIndex(b)], mean));
                if (means.empty()) {
                    continue;
                }
                if (sign * mean > bestMean) {
                    bestMean = sign * mean;
                    best = b;
                }
                for (const double m : means) {
                    if (sign * m > peak) {
                        peak = sign * m;
                        peakBlock = means;
                    }
                }
            }
            const Overview o = overview(*s);
            QVERIFY(o.mostConflicted == best);
            QCOMPARE(o.peak.has_value(), best.has_value());
            if (best) {
                QCOMPARE(o.maxInterference, sign * peak);
                std::sort(peakBlock.begin(), peakBlock.end());
                const std::size_t n = peakBlock.size();
                const double median = (peakBlock[n / 2] + peakBlock[(n - 1) / 2]) / 2;
                QVERIFY(median == 0 ? std::isnan(o.peakRatio)
                                    : qFuzzyCompare(o.peakRatio, o.maxInterference / median));
            }
        }
    }
}

void TestSummary::ranks() {
    const auto s = makeScores(Shape{}, 5);
    const auto& h = s->header();
    std::vector<double> all;
    for (const Block b : allBlocks) {
        distinctCells(*s, b, [&](std::size_t l, std::size_t c) {
            if (!std::isnan(s->mean(b, l, c))) {
                all.push_back(s->mean(b, l, c));
            }
        });
    }
    std::sort(all.rbegin(), all.rend());
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            const double m = s->mean(Block::K, l, c);
            const Rank r = rankOf(*s, Block::K, l, c);
            QCOMPARE(r.of, all.size());
            const auto first = std::find(all.begin(), all.end(), m);
            QCOMPARE(r.rank, std::isnan(m) ? 0 : std::size_t(first - all.begin()) + 1);
        }
    }
}

void TestSummary::json() {
    Shape shape;
    shape.lastLayerComputed = false;
    const auto s = makeScores(shape, 1);
    const auto& h = s->header();
    const auto j = nlohmann::json::parse(jsonText(toJson(*s, 4)));
    QCOMPARE(j["config"]["mode"].get<std::string>(), std::string("structural"));
    QCOMPARE(j["config"]["task_b"].get<std::string>(), h.taskB);
    QVERIFY(j["layers"].get<std::vector<int>>() == std::vector<int>({0, 2, 3}));
    QVERIFY(j["heads"].get<std::vector<int>>() == std::vector<int>({0, 1, 2, 4, 5}));
    QCOMPARE(j["samples_a"][1].get<std::string>(), h.samplesA[1].id);
    QCOMPARE(j["samples_b"].size(), h.nB());
    QVERIFY(!j["blocks"].contains("V"));
    for (const Block b : {Block::Q, Block::K, Block::O}) {
        const auto& block = j["blocks"][std::string(1, blockName(b))];
        QCOMPARE(block["layer_head_mean"].size(), h.layers.size());
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                const auto& v = block["layer_head_mean"][l][c];
                const double m = s->mean(b, l, c);
                QVERIFY(std::isnan(m) ? v.is_null() : v.get<double>() == m);
            }
        }
        const auto top = topConflicts(*s, {b}, 4);
        QCOMPARE(block["top_conflicts"].size(), top.size());
        for (std::size_t k = 0; k < top.size(); ++k) {
            const auto& c = block["top_conflicts"][k];
            QCOMPARE(c["sample_i"].get<std::string>(), h.samplesA[top[k].i].id);
            QCOMPARE(c["sample_j"].get<std::string>(), h.samplesB[top[k].j].id);
            QCOMPARE(c["layer"].get<std::int64_t>(), top[k].cell.layer.value);
            QCOMPARE(c["head"].get<std::int64_t>(), top[k].cell.head.value);
            QCOMPARE(c["score"].get<float>(), top[k].score);
        }
    }
    const Overview o = overview(*s);
    QCOMPARE(j["most_conflicted_block"].get<std::string>(),
             std::string(1, blockName(*o.mostConflicted)));
    QCOMPARE(j["max_interference"].get<double>(), o.maxInterference);
    QCOMPARE(j["missing"].size(), std::size_t(1));
    QCOMPARE(j["timing"]["total_s"].get<double>(), 2.0);
}

QTEST_APPLESS_MAIN(TestSummary)
#include "tst_summary.moc"
