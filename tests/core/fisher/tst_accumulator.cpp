// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "fisher/Accumulator.h"

#include <QtTest>

#include <cmath>
#include <random>

using namespace qkov;
using namespace qkov::fisher;

namespace {
constexpr double tolerance = 1e-12;

std::vector<std::vector<float>> gradients(std::size_t samples, std::size_t size) {
    std::mt19937 rng(7);
    std::normal_distribution<float> normal(0, 1e-3F);
    std::vector<std::vector<float>> g(samples, std::vector<float>(size));
    for (auto& one : g) {
        for (float& v : one) {
            v = normal(rng);
        }
    }
    return g;
}
} // namespace

class TestAccumulator : public QObject {
    Q_OBJECT

  private slots:
    void emaIsTheRecursion_data();
    void emaIsTheRecursion();
    void meanAndVariance();
    void names();
};

void TestAccumulator::emaIsTheRecursion_data() {
    QTest::addColumn<double>("decay");
    QTest::addColumn<int>("samples");
    for (const double decay : {0.0, 0.5, 0.99, 0.999999}) {
        for (const int samples : {1, 2, 37}) {
            QTest::addRow("%g, %d", decay, samples) << decay << samples;
        }
    }
}

void TestAccumulator::emaIsTheRecursion() {
    QFETCH(double, decay);
    QFETCH(int, samples);
    const std::size_t size = 70001; // more than a chunk, and odd
    const auto g = gradients(std::size_t(samples), size);
    std::vector<long double> f(size, 0);
    long double power = 1;
    for (const auto& one : g) {
        power *= (long double)decay;
        for (std::size_t k = 0; k < size; ++k) {
            f[k] = decay * f[k] + (1 - (long double)decay) * one[k] * (long double)one[k];
        }
    }
    const auto weights = sampleWeights(Estimator::ema, decay, samples);
    Accumulator sum(size);
    for (std::size_t i = g.size(); i-- > 0;) { // the order doesn't matter
        sum.add(g[i].data(), weights[i], 2);
    }
    double worst = 0;
    for (std::size_t k = 0; k < size; ++k) {
        const double exact = double(f[k] / (1 - power));
        worst = std::max(worst, std::abs(sum.fisher()[k] - exact) / exact);
    }
    // Close to 1 the recursion itself loses digits in 1 − β^n.
    QVERIFY2(worst < (decay > 0.9999 ? 1e-9 : tolerance), qPrintable(QString::number(worst)));
}

void TestAccumulator::meanAndVariance() {
    const auto g = gradients(11, 33);
    for (const Estimator e : {Estimator::mean, Estimator::oneshot}) {
        const auto weights = sampleWeights(e, 0.99, 11);
        Accumulator sum(33, true);
        for (std::size_t i = 0; i < g.size(); ++i) {
            sum.add(g[i].data(), weights[i]);
        }
        const auto variance = sum.variance();
        for (std::size_t k = 0; k < 33; ++k) {
            double mean = 0, spread = 0;
            for (const auto& one : g) {
                mean += double(one[k]) * one[k] / 11;
            }
            for (const auto& one : g) {
                spread += std::pow(double(one[k]) * one[k] - mean, 2) / 10;
            }
            QVERIFY(std::abs(sum.fisher()[k] - mean) <= tolerance * mean);
            QVERIFY(std::abs(variance[k] - spread) <= tolerance * spread);
        }
    }
}

void TestAccumulator::names() {
    for (const Estimator e : {Estimator::ema, Estimator::mean, Estimator::oneshot}) {
        QVERIFY(parseEstimatorName(estimatorName(e)) == e);
    }
    QVERIFY_EXCEPTION_THROWN(parseEstimatorName("median"), UsageError);
    QVERIFY_EXCEPTION_THROWN(sampleWeights(Estimator::ema, 1.0, 3), UsageError);
    QVERIFY_EXCEPTION_THROWN(sampleWeights(Estimator::ema, -0.1, 3), UsageError);
}

QTEST_APPLESS_MAIN(TestAccumulator)
#include "tst_accumulator.moc"
