// SPDX-License-Identifier: GPL-3.0-or-later
// Every set of CPU kernels that this machine runs, against plain float64 loops, at odd sizes.
#include "MemorySource.h"
#include "engine/cpu/Kernels.h"

#include <QtTest>

#include <cmath>
#include <limits>
#include <random>

using namespace qkov;
using engine::cpu::Kernels;

namespace {

constexpr DType types[] = {DType::f16, DType::bf16, DType::f32, DType::f64};
constexpr int sizes[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 257};

test::StoredNumbers numbers(int n, DType type, unsigned seed, bool positive = false) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v) {
        x = positive ? std::abs(normal(engine)) : normal(engine);
    }
    test::StoredNumbers out;
    out.assign(type, v);
    return out;
}

double changed(double v, int change) {
    return change == 1 ? std::abs(v) : change == 2 ? v * v : change == 3 ? std::sqrt(v) : v;
}

double largestOf(const Kernels& k, const test::StoredNumbers& x, int type, int n) {
    alignas(64) char state[engine::cpu::extremeBytes] = {};
    k.largest(x.bytes.data(), 0, 1, type, {1, n, 0}, state, 0);
    return k.largestOf(state, type);
}

/// [n, depth] as the kernels pack it.
std::vector<float> panels(const std::vector<double>& rows, int n, int depth, int lanes, int width) {
    std::vector<float> out(rows.size());
    for (int i = 0; i < n; ++i) {
        const int first = i / width * width;
        const int count = std::min(width, n - first);
        for (int k = 0; k < depth; ++k) {
            out[static_cast<std::size_t>(first * depth + (k / lanes * count + i - first) * lanes +
                                         k % lanes)] =
                static_cast<float>(rows[static_cast<std::size_t>(i * depth + k)]);
        }
    }
    return out;
}

std::vector<const Kernels*> sets() {
    const Kernels* found[3];
    const int count = engine::cpu::kernelSets(found, 3);
    return {found, found + count};
}

} // namespace

class TestKernels : public QObject {
    Q_OBJECT

  private slots:
    void packAndAccumulate();
    void largestAndSums();
    void products();
    void weighted();
    void outer();
    void halfSubnormals();
};

void TestKernels::packAndAccumulate() {
    for (const Kernels* k : sets()) {
        for (int type = 0; type < 4; ++type) {
            for (int change = 0; change < 4; ++change) {
                for (const int n : sizes) {
                    const auto x = numbers(n, types[type], unsigned(n), change == 3);
                    const auto w = numbers(n, DType::f32, 5, true);
                    std::vector<float> weights(w.values.begin(), w.values.end());
                    const int lanes = k->lanes;
                    const int padded = (n + lanes - 1) / lanes * lanes;
                    std::vector<float> out(static_cast<std::size_t>(padded) + 1, -7);
                    const double scale = 4;
                    const void* from = x.bytes.data();
                    k->pack(&from, 1, type, {1, n, 0}, &scale, change, weights.data(), out.data(),
                            64);
                    std::vector<float> quarters(static_cast<std::size_t>(n), 0);
                    const float quarter = 0.25f;
                    k->accumulate(x.bytes.data(), 0, 1, type, {1, n, 0}, &scale, change, &quarter,
                                  quarters.data());
                    std::vector<double> sums(static_cast<std::size_t>(n), 1);
                    k->addScaled(quarters.data(), 2, n, sums.data());
                    for (int i = 0; i < n; ++i) {
                        const auto at = static_cast<std::size_t>(i);
                        const double plain = changed(4 * x.values[at], change);
                        const double want = plain * w.values[at];
                        QVERIFY2(std::abs(double(out[at]) - want) <= 1e-6 * std::abs(want),
                                 k->name);
                        QVERIFY2(std::abs(sums[at] - 1 - 0.5 * plain) <=
                                     1e-6 * (1 + std::abs(plain)),
                                 k->name);
                    }
                    for (int i = n; i < padded; ++i) {
                        QCOMPARE(out[static_cast<std::size_t>(i)], 0.0f);
                    }
                    QCOMPARE(out.back(), -7.0f); // nothing past the end
                    const double one = 1;
                    k->pack(&from, 1, type, {1, n, 0}, &one, change, nullptr, out.data(), 0);
                    QVERIFY(std::abs(double(out[0]) - changed(x.values[0], change)) <=
                            1e-6 * std::abs(changed(x.values[0], change)));
                }
            }
        }
    }
}

void TestKernels::largestAndSums() {
    for (const Kernels* k : sets()) {
        for (int type = 0; type < 4; ++type) {
            for (const int n : sizes) {
                auto x = numbers(n, types[type], unsigned(n) + 100);
                double largest = 0, sum = 0, squares = 0, roots = 0;
                for (const double v : x.values) {
                    largest = std::max(largest, std::abs(v));
                    sum += std::abs(v);
                    squares += v * v;
                    roots += std::sqrt(std::abs(v));
                }
                QCOMPARE(largestOf(*k, x, type, n), largest);
                double s = 0, q = 0, r = 0;
                k->sums(x.bytes.data(), type, n, &s, &q, &r);
                QVERIFY(std::abs(s - sum) <= 1e-6 * sum);
                QVERIFY(std::abs(q - squares) <= 1e-6 * squares);
                QVERIFY(std::abs(r - roots) <= 1e-6 * roots);
                // NaN and infinity are seen wherever they stand.
                for (const int at : {0, n / 2, n - 1}) {
                    for (const double bad : {std::nan(""), -HUGE_VAL, HUGE_VAL}) {
                        auto values = x.values;
                        values[static_cast<std::size_t>(at)] = bad;
                        test::StoredNumbers y;
                        y.assign(types[type], values);
                        QVERIFY(!std::isfinite(largestOf(*k, y, type, n)));
                    }
                }
            }
        }
    }
}

void TestKernels::products() {
    for (const Kernels* k : sets()) {
        for (const auto& [nA, nB, depth] : {std::tuple{1, 1, 16},
                                            {2, 7, 16},
                                            {5, 5, 64},
                                            {11, 13, 48},
                                            {1, 23, 256},
                                            {37, 3, 32},
                                            {6, 250, 512}}) {
            const auto a = numbers(nA * depth, DType::f32, 1);
            const auto b = numbers(nB * depth, DType::f32, 2);
            const std::vector<float> fa = panels(a.values, nA, depth, k->lanes, k->rows);
            const std::vector<float> fb = panels(b.values, nB, depth, k->lanes, k->columns);
            std::vector<double> c(static_cast<std::size_t>(nA * (nB + 2)), 3);
            k->products(fa.data(), nA, fb.data(), nB, depth, c.data(), nB + 2, nullptr);
            for (int i = 0; i < nA; ++i) {
                for (int j = 0; j < nB; ++j) {
                    double want = 3, size = 3;
                    for (int t = 0; t < depth; ++t) {
                        const double p = a.values[static_cast<std::size_t>(i * depth + t)] *
                                         b.values[static_cast<std::size_t>(j * depth + t)];
                        want += p;
                        size += std::abs(p);
                    }
                    const double got = c[static_cast<std::size_t>(i * (nB + 2) + j)];
                    QVERIFY2(std::abs(got - want) <= 1e-6 * size, k->name);
                }
                QCOMPARE(c[static_cast<std::size_t>(i * (nB + 2) + nB)], 3.0);
            }
            const std::vector<float> plain(a.values.begin(), a.values.end());
            const double squares =
                k->weightedSquares(plain.data(), k->lanes, nullptr, nA * depth - 3);
            double want = 0;
            for (int t = 0; t < nA * depth - 3; ++t) {
                want +=
                    a.values[static_cast<std::size_t>(t)] * a.values[static_cast<std::size_t>(t)];
            }
            QVERIFY(std::abs(squares - want) <= 1e-5 * want);
        }
    }
}

void TestKernels::weighted() {
    for (const Kernels* k : sets()) {
        for (const auto& [samples, n] : {std::tuple{1, 1}, {5, 16}, {3, 37}, {5, 640}, {8, 101}}) {
            const int depth = (n + k->lanes - 1) / k->lanes * k->lanes;
            const auto x = numbers(samples * n, DType::f32, 1);
            const auto w = numbers(n, DType::f32, 2);
            const std::vector<float> weights(w.values.begin(), w.values.end());
            std::vector<double> padded(static_cast<std::size_t>(samples * depth));
            for (int s = 0; s < samples; ++s) {
                std::copy_n(x.values.begin() + s * n, n, padded.begin() + s * depth);
            }
            const std::vector<float> panel = panels(padded, samples, depth, k->lanes, samples);
            std::vector<float> got(panel.size() + 1, 7);
            k->weighted(panel.data(), samples, weights.data(), n, got.data());
            for (int s = 0; s < samples; ++s) {
                for (int i = 0; i < depth; ++i) {
                    const int at = i / k->lanes * k->lanes * samples + s * k->lanes + i % k->lanes;
                    const float want = i < n
                                           ? float(x.values[static_cast<std::size_t>(s * n + i)]) *
                                                 weights[static_cast<std::size_t>(i)]
                                           : 0;
                    QCOMPARE(got[static_cast<std::size_t>(at)], want);
                }
            }
            QCOMPARE(got.back(), 7.0f);
        }
    }
}

void TestKernels::outer() {
    for (const Kernels* k : sets()) {
        for (const auto& [rows, columns, depth] :
             {std::tuple{1, 1, 1}, {3, 5, 2}, {8, 32, 4}, {17, 77, 9}, {64, 100, 33}}) {
            const auto a = numbers(rows * depth, DType::f32, 1);
            const auto b = numbers(columns * depth, DType::f32, 2);
            const std::vector<float> fa(a.values.begin(), a.values.end());
            const std::vector<float> fb(b.values.begin(), b.values.end());
            std::vector<float> c(static_cast<std::size_t>(rows * columns), 0.5f);
            k->outer(fa.data(), rows, rows, fb.data(), columns, columns, depth, c.data(), columns);
            for (int i = 0; i < rows; ++i) {
                for (int j = 0; j < columns; ++j) {
                    double want = 0.5, size = 0.5;
                    for (int t = 0; t < depth; ++t) {
                        const double p = a.values[static_cast<std::size_t>(t * rows + i)] *
                                         b.values[static_cast<std::size_t>(t * columns + j)];
                        want += p;
                        size += std::abs(p);
                    }
                    QVERIFY2(std::abs(double(c[static_cast<std::size_t>(i * columns + j)]) -
                                      want) <= 1e-6 * size,
                             k->name);
                }
            }
        }
    }
}

void TestKernels::halfSubnormals() {
    // The smallest float16 numbers survive scaling, squaring and weighting.
    std::vector<std::uint16_t> bits(33);
    for (std::size_t i = 0; i < bits.size(); ++i) {
        bits[i] = static_cast<std::uint16_t>(i + 1);
    }
    for (const Kernels* k : sets()) {
        std::vector<float> out(bits.size() + 16);
        const double scale = 1024;
        const void* from = bits.data();
        k->pack(&from, 1, 0, {1, std::int64_t(bits.size()), 0}, &scale, 2, nullptr, out.data(), 0);
        for (std::size_t i = 0; i < bits.size(); ++i) {
            const double v = std::ldexp(double(i + 1), -24) * 1024;
            QCOMPARE(out[i], float(v * v));
        }
    }
}

QTEST_APPLESS_MAIN(TestKernels)
#include "tst_kernels.moc"
