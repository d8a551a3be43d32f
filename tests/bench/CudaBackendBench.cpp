// SPDX-License-Identifier: GPL-3.0-or-later
#include "CudaBackendBench.h"

#include "BackendCheck.h"

#include "engine/cuda/CudaLoader.h"
#include "engine/cuda/DeviceBuffer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <thread>

namespace qkov::bench {

using namespace qkov::engine;

namespace {

constexpr std::int64_t hidden = 768;
constexpr std::int64_t heads = 12;
constexpr std::int64_t headDim = 64;
constexpr std::int64_t samples = 100;
constexpr std::int64_t tokens = 64;

double seconds(const std::chrono::steady_clock::time_point& since) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

/// Numbers of about 2^-8, as float16, without a slow generator.
std::vector<std::uint16_t> halves(std::size_t n, std::uint64_t seed) {
    std::vector<std::uint16_t> out(n);
    std::uint64_t x = seed * 2 + 1;
    for (std::uint16_t& h : out) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        // sign, exponent 4..11, mantissa
        h = static_cast<std::uint16_t>(((x & 1) << 15) | ((4 + ((x >> 1) & 7)) << 10) |
                                       ((x >> 8) & 1023));
    }
    return out;
}

struct Layer {
    std::vector<std::uint16_t> values, input, gradOutput;
    std::vector<std::int64_t> offsets;
};

void oneKind(Backend& backend, bool factored) {
    const Job job;
    Layer layers[2];
    std::unique_ptr<Tile> tiles[2];
    double loadSeconds = 0;
    double bytes = 0;
    for (int side = 0; side < 2; ++side) {
        Layer& layer = layers[side];
        if (factored) {
            layer.input = halves(samples * tokens * hidden, 1 + side);
            layer.gradOutput = halves(samples * tokens * 3 * hidden, 11 + side);
            for (std::int64_t s = 0; s <= samples; ++s) {
                layer.offsets.push_back(s * tokens);
            }
            bytes += 2.0 * static_cast<double>(layer.input.size() + layer.gradOutput.size());
        } else {
            layer.values = halves(samples * hidden * 3 * hidden, 1 + side);
            bytes += 2.0 * static_cast<double>(layer.values.size());
        }
    }
    for (int round = 0; round < 3; ++round) { // the last one counts: buffers are there
        loadSeconds = 0;
        for (int side = 0; side < 2; ++side) {
            tiles[side].reset();
            const auto start = std::chrono::steady_clock::now();
            if (factored) {
                FactorData data;
                data.inputDtype = data.gradOutputDtype = DType::f16;
                data.input = layers[side].input.data();
                data.gradOutput = layers[side].gradOutput.data();
                data.offsets = layers[side].offsets.data();
                data.samples = samples;
                data.rows = hidden;
                data.columns = 3 * hidden;
                data.inOut = true;
                tiles[side] = backend.load(data, job);
            } else {
                tiles[side] = backend.load(
                    DenseData{DType::f16, layers[side].values.data(), samples, hidden, 3 * hidden},
                    job);
            }
            loadSeconds += seconds(start);
        }
    }
    std::vector<SampleStatistics> statistics(2 * 3 * heads * samples);
    std::vector<StatisticsCall> statisticsCalls;
    std::vector<FisherCall> fisherCalls;
    std::vector<ScoreCall> scoreCalls;
    const std::vector<double> ones(samples, 1.0);
    std::vector<double> fisher(3 * heads * hidden * headDim);
    std::vector<float> weights(hidden * headDim, 0.5f);
    std::vector<double> scores(3 * heads * samples * samples);
    std::vector<std::int32_t> list(samples);
    for (std::int64_t s = 0; s < samples; ++s) {
        list[static_cast<std::size_t>(s)] = static_cast<std::int32_t>(s);
    }
    for (std::int64_t h = 0; h < 3 * heads; ++h) {
        const TilePart part{0, hidden, h * headDim, headDim};
        for (int side = 0; side < 2; ++side) {
            statisticsCalls.push_back(
                {tiles[side].get(), part, false, statistics.data() + (h * 2 + side) * samples});
        }
        fisherCalls.push_back({tiles[0].get(), part, Transform::square, ones.data(), ones.data(),
                               fisher.data() + h * hidden * headDim});
        ScoreCall call;
        call.a = tiles[0].get();
        call.b = tiles[1].get();
        call.partA = call.partB = part;
        call.samplesA = call.samplesB = list;
        call.scaleA = call.scaleB = ones.data();
        call.weights = {weights.data()};
        call.scores = scores.data() + h * samples * samples;
        scoreCalls.push_back(call);
    }
    const auto timed = [&](auto&& f) {
        f();
        const auto start = std::chrono::steady_clock::now();
        f();
        return seconds(start) * 1e3;
    };
    const double statisticsMs = timed([&] { backend.statistics(statisticsCalls, job); });
    const double fisherMs = timed([&] { backend.fisher(fisherCalls, job); });
    const double scoreMs = timed([&] { backend.score(scoreCalls, job); });
    std::printf("backend, one layer's q, k, v of 100 + 100 samples, %s: load %.1f ms (%.1f GB/s), "
                "statistics %.1f ms, Fisher %.1f ms, score %.1f ms\n",
                factored ? "factored f16, T = 64" : "dense f16", loadSeconds * 1e3,
                bytes / loadSeconds / 1e9, statisticsMs, fisherMs, scoreMs);

    // How soon does a cancellation end scoring that would go on for seconds?
    std::vector<ScoreCall> many;
    for (int repeat = 0; repeat < (factored ? 20 : 400); ++repeat) {
        many.insert(many.end(), scoreCalls.begin(), scoreCalls.end());
    }
    const CancelToken token;
    const Job cancelled(token);
    std::chrono::steady_clock::time_point asked;
    std::jthread canceller([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        asked = std::chrono::steady_clock::now();
        token.cancel();
    });
    try {
        backend.score(many, cancelled);
        canceller.join();
        std::printf("  scoring ended before it was cancelled\n");
    } catch (const Cancelled&) {
        const auto now = std::chrono::steady_clock::now();
        canceller.join();
        std::printf("  cancelled after %.1f ms\n",
                    std::chrono::duration<double, std::milli>(now - asked).count());
    }
}

} // namespace

void benchBackend() {
    const auto backend = makeCudaBackend(0, Precision::fp32);
    oneKind(*backend, false);
    oneKind(*backend, true);
}

bool checkLittleMemory(int megabytes) {
    const auto backend = makeCudaBackend(0, Precision::fp32);
    std::size_t available = 0;
    std::size_t total = 0;
    cuda::check(cudaMemGetInfo(&available, &total), "free memory");
    cuda::DeviceBuffer others;
    others.reserve(available - (static_cast<std::size_t>(megabytes) << 20));
    test::BackendReport report = test::checkBackend(*backend, Precision::fp32, 30, 9);

    // A slice whose rebuilt gradients alone need more than there is.
    const std::int64_t n = 200;
    const std::int64_t rows = 512;
    const std::int64_t columns = 2048;
    const std::vector<std::uint16_t> row = halves(n * rows, 5);
    const std::vector<std::uint16_t> column = halves(n * columns, 6);
    std::vector<std::int64_t> offsets;
    for (std::int64_t s = 0; s <= n; ++s) {
        offsets.push_back(s); // one token: g = row ⊗ column
    }
    FactorData data;
    data.inputDtype = data.gradOutputDtype = DType::f16;
    data.input = column.data();
    data.gradOutput = row.data();
    data.offsets = offsets.data();
    data.samples = n;
    data.rows = rows;
    data.columns = columns;
    const Job job;
    const auto tile = backend->load(data, job);
    const std::vector<std::int32_t> list{0, 7, 199};
    const std::vector<double> ones(3, 1.0);
    std::vector<double> scores(9, 0.0);
    ScoreCall call;
    call.a = call.b = tile.get();
    call.partA = call.partB = {0, rows, 0, columns};
    call.samplesA = call.samplesB = list;
    call.scaleA = call.scaleB = ones.data();
    call.weights = {nullptr};
    call.scores = scores.data();
    backend->score(std::span(&call, 1), job);
    // Σ (r_i c_i)² |r_j c_j| = (Σ r_i² |r_j|) (Σ c_i² |c_j|)
    const auto sum = [](const std::vector<std::uint16_t>& v, std::int64_t width, std::int64_t i,
                        std::int64_t j) {
        double s = 0;
        for (std::int64_t k = 0; k < width; ++k) {
            const double x = halfToFloat(v[static_cast<std::size_t>(i * width + k)]);
            s += x * x * std::abs(halfToFloat(v[static_cast<std::size_t>(j * width + k)]));
        }
        return s;
    };
    double worst = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
            const double want =
                sum(row, rows, list[i], list[j]) * sum(column, columns, list[i], list[j]);
            const double e = std::abs(scores[i * 3 + j] - want) / want;
            worst = e <= worst ? worst : e; // NaN stays
        }
    }
    const bool right = worst <= test::fp32Tolerance && report.failures.empty();
    std::printf(
        "with %d MB of device memory left: %d cases, %zu failures; a slice of 839 MB: error %.1e\n",
        megabytes, report.cases, report.failures.size(), worst);
    for (const std::string& line : report.failures) {
        std::printf("  %s\n", line.c_str());
    }
    return right;
}

} // namespace qkov::bench
