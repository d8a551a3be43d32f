// SPDX-License-Identifier: GPL-3.0-or-later
// What is said of a Fisher, against sorting it.
#include "engine/cpu/Kernels.h"
#include "fisher/Estimate.h"

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <random>

using namespace qkov;

class TestHealth : public QObject {
    Q_OBJECT

  private slots:
    void againstSorting();
    void kernelsAgree();
};

namespace {

/// n numbers ≥ 0 of one of several shapes.
std::vector<double> numbers(std::mt19937& random, std::size_t n, int shape) {
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> few(0, 3);
    std::vector<double> v(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double x = std::exp(3 * normal(random));
        switch (shape) {
        case 0: // spread over orders of magnitude
            v[i] = 1e-12 * x;
            break;
        case 1: // most are zero
            v[i] = few(random) == 0 ? x : 0;
            break;
        case 2: // a handful of values
            v[i] = few(random);
            break;
        case 3: // sorted: neighbours are alike
            v[i] = static_cast<double>(i);
            break;
        case 4: // the period of a row
            v[i] = static_cast<double>(i % 64);
            break;
        default: // the same
            v[i] = 0.25;
        }
    }
    return v;
}

} // namespace

void TestHealth::againstSorting() {
    std::mt19937 random(5);
    for (int shape = 0; shape < 6; ++shape) {
        for (const std::size_t n : {1, 2, 3, 17, 257, 8192, 8193, 49152, 65537}) {
            const std::vector<double> v = numbers(random, n, shape);
            std::vector<double> sorted = v;
            std::sort(sorted.begin(), sorted.end());
            const double lambda = sorted[n / 3];
            const auto h = fisher::health(v, 1e-30, lambda);
            QCOMPARE(h.min, sorted.front());
            QCOMPARE(h.max, sorted.back());
            const double low = sorted[(n - 1) / 2];
            const double high = sorted[n / 2];
            QCOMPARE(h.median, low + (high - low) / 2);
            const auto below =
                std::lower_bound(sorted.begin(), sorted.end(), std::max(1e-30, lambda)) -
                sorted.begin();
            QCOMPARE(h.shareBelow, double(below) / double(n));
            QCOMPARE(h.lambda, lambda);
        }
    }
}

void TestHealth::kernelsAgree() {
    const engine::cpu::Kernels* sets[3];
    const int count = engine::cpu::kernelSets(sets, 3);
    std::mt19937 random(6);
    for (int s = 0; s < count; ++s) {
        const auto& k = *sets[s];
        for (int shape = 0; shape < 6; ++shape) {
            for (const std::size_t n : {1, 5, 16, 31, 32, 33, 100, 1027}) {
                const auto size = static_cast<std::int64_t>(n);
                const std::vector<double> v = numbers(random, n, shape);
                const auto e = k.extent(v.data(), size);
                double sum = 0;
                double nonzero = std::numeric_limits<double>::infinity();
                for (const double x : v) {
                    sum += x;
                    nonzero = x > 0 ? std::min(nonzero, x) : nonzero;
                }
                QVERIFY(std::abs(e.sum - sum) <= 1e-13 * sum);
                QCOMPARE(e.least, *std::min_element(v.begin(), v.end()));
                QCOMPARE(e.most, *std::max_element(v.begin(), v.end()));
                QVERIFY(e.leastNonzero == nonzero);
                const double low = v[n / 2];
                std::vector<double> kept(n + engine::cpu::packAlign);
                const auto b = k.between(v.data(), size, low, 2 * low, 3 * low, kept.data(),
                                         static_cast<std::int64_t>(kept.size()));
                std::vector<double> inside;
                std::int64_t below = 0;
                std::int64_t under = 0;
                for (const double x : v) {
                    below += x < low ? 1 : 0;
                    under += x < 3 * low ? 1 : 0;
                    if (x >= low && x <= 2 * low) {
                        inside.push_back(x);
                    }
                }
                kept.resize(static_cast<std::size_t>(b.kept));
                QVERIFY(b.complete && kept == inside);
                QCOMPARE(b.below, below);
                QCOMPARE(b.under, under);
                for (const int quarters : {2, 3, 4, 6}) {
                    for (const bool skip : {false, true}) {
                        const double lambda = skip ? 0 : 1e-3;
                        std::vector<float> w(n);
                        k.weigh(v.data(), size, 1e-30, lambda, quarters, 0.5, skip, w.data());
                        for (std::size_t i = 0; i < n; ++i) {
                            const double d = std::max(v[i], 1e-30) + lambda;
                            const double want =
                                skip && v[i] == 0 ? 0 : 0.5 * std::pow(d, -quarters / 4.0);
                            QVERIFY(std::abs(double(w[i]) - want) <= 2e-7 * want);
                        }
                    }
                }
            }
        }
    }
    // Too little room: told, nothing written past it.
    std::vector<double> v(100, 1.0);
    for (int s = 0; s < count; ++s) {
        std::vector<double> kept(32, -1);
        QVERIFY(!sets[s]->between(v.data(), 100, 0, 2, 0, kept.data(), 32).complete);
    }
    // What is not finite shows in the sum.
    for (const double bad : {std::nan(""), double(INFINITY)}) {
        std::vector<double> w(37, 1.0);
        for (std::size_t at = 0; at < w.size(); ++at) {
            w.assign(37, 1.0);
            w[at] = bad;
            for (int s = 0; s < count; ++s) {
                QVERIFY(!std::isfinite(sets[s]->extent(w.data(), 37).sum));
            }
        }
    }
}

QTEST_APPLESS_MAIN(TestHealth)
#include "tst_health.moc"
