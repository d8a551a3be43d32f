// SPDX-License-Identifier: GPL-3.0-or-later
// Speed and accuracy of the CUDA score kernels on data resident on the device.
// Usage: bench_cuda [--json FILE] [--torch-ms MS] [--quick] [--check CASES]
// --quick: small and odd cases only, for memory checkers. --check: the backend against float64
// loops first, as tests/core/engine/cuda does; exit code 1 when one fails.
#include "BackendCheck.h"
#include "CudaBackendBench.h"
#include "CudaBenchData.h"

#include "engine/cuda/CudaLoader.h"
#include "engine/cuda/ScoreDense.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

using namespace qkov;
using namespace qkov::engine::cuda;

namespace {

struct Case {
    std::string name;
    DType dtype = DType::f16;
    int layers = 12;
    int hidden = 768;
    int heads = 12;
    int headDim = 64;
    int n = 100;
    int sets = 1;
    bool fast = false;
    bool general = false;
    bool signedProduct = false;
    int tilesPerItem = 0;
};

struct Result {
    double milliseconds = 0;
    double worst = 0;   ///< relative error, worst entry of the slices checked
    double typical = 0; ///< its median
    double gigabytes = 0;
};

double median(std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + std::ssize(v) / 2, v.end());
    return v[v.size() / 2];
}

/// Conv1D shapes: c_attn [hidden, 3 · heads · d] sliced by columns, c_proj [heads · d, hidden] by
/// rows.
Result run(const Case& c) {
    const std::int64_t inner = std::int64_t(c.heads) * c.headDim;
    const std::int64_t sizes[2] = {c.hidden * 3 * inner, inner * c.hidden};
    const std::size_t element = dtypeSize(c.dtype);
    std::vector<DeviceBuffer> buffers;
    std::vector<DenseMatrix> sides[2];
    for (int side = 0; side < 2; ++side) {
        for (int layer = 0; layer < c.layers; ++layer) {
            for (int kind = 0; kind < 2; ++kind) {
                DeviceBuffer& buffer = buffers.emplace_back();
                buffer.reserve(static_cast<std::size_t>(c.n * sizes[kind]) * element);
                bench::fillGradients(buffer.as<void>(), c.dtype, c.n, sizes[kind],
                                     1000 + layer * 2 + kind, 7 + side * 1000 + layer * 2 + kind,
                                     nullptr);
                DenseMatrix m;
                m.data = buffer.as<void>();
                m.samples = c.n;
                m.rows = kind == 0 ? c.hidden : inner;
                m.columns = kind == 0 ? 3 * inner : c.hidden;
                m.rowStride = m.columns;
                m.sampleStride = sizes[kind];
                sides[side].push_back(m);
            }
        }
    }
    std::vector<DenseSlice> slices;
    std::int64_t weights = 0;
    const std::int64_t pairs = std::int64_t(c.n) * c.n;
    for (int layer = 0; layer < c.layers; ++layer) {
        for (int h = 0; h < 4 * c.heads; ++h) {
            DenseSlice s;
            const bool column = h < 3 * c.heads;
            s.matrixA = s.matrixB = layer * 2 + (column ? 0 : 1);
            s.rowA = s.rowB = column ? 0 : std::int64_t(h - 3 * c.heads) * c.headDim;
            s.columnA = s.columnB = column ? std::int64_t(h) * c.headDim : 0;
            s.rows = column ? c.hidden : c.headDim;
            s.columns = column ? c.headDim : c.hidden;
            s = flattened(s, sides[0][s.matrixA], sides[1][s.matrixB]);
            s.weights = weights;
            s.scores = std::ssize(slices) * c.sets * pairs;
            weights += weightCount(s.rows, s.columns);
            slices.push_back(s);
        }
    }
    DeviceBuffer weightBuffer;
    DeviceBuffer scoreBuffer;
    weightBuffer.reserve(static_cast<std::size_t>(weights * c.sets) * 4);
    scoreBuffer.reserve(slices.size() * c.sets * pairs * 8);
    const auto view = [&](const DenseMatrix& m, std::int64_t row, std::int64_t column) {
        return bench::View{static_cast<const char*>(m.data) +
                               (row * m.rowStride + column) * std::int64_t(element),
                           c.dtype, m.rowStride, m.sampleStride};
    };
    for (const DenseSlice& s : slices) {
        for (int set = 0; set < c.sets; ++set) {
            bench::structuralWeights(view(sides[0][s.matrixA], s.rowA, s.columnA),
                                     view(sides[1][s.matrixB], s.rowB, s.columnB), c.n, c.n,
                                     static_cast<int>(s.rows), static_cast<int>(s.columns),
                                     set == 1, weightBuffer.as<float>() + s.weights + set * weights,
                                     nullptr);
        }
    }
    std::vector<std::int32_t> samples(c.n);
    for (int i = 0; i < c.n; ++i) {
        samples[i] = i;
    }
    DenseRequest request;
    request.a = sides[0];
    request.b = sides[1];
    request.dtype = c.dtype;
    request.slices = slices;
    request.samplesA = request.samplesB = samples;
    request.weights = weightBuffer.as<float>();
    request.weightStride = weights;
    request.sets = c.sets;
    request.scores = scoreBuffer.as<double>();
    request.elementA = c.signedProduct ? Element::identity : Element::square;
    request.elementB = c.signedProduct ? Element::identity : Element::absolute;
    request.fast = c.fast;
    check(cudaMemset(scoreBuffer.as<void>(), 0xFF, scoreBuffer.size()), "poison"); // NaN
    check(cudaDeviceSynchronize(), "set-up");

    DenseScorer scorer;
    scorer.generalOnly = c.general;
    scorer.tilesPerItem = c.tilesPerItem;
    scorer.partialLimit = std::size_t(4) << 30;
    cudaEvent_t begin{};
    cudaEvent_t end{};
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    std::vector<double> times;
    constexpr int warmUp = 25; // the clocks need some 100 ms to come up
    for (int repeat = 0; repeat < warmUp + 9; ++repeat) {
        check(cudaEventRecord(begin), "event");
        scorer.score(request, nullptr);
        check(cudaEventRecord(end), "event");
        check(cudaEventSynchronize(end), "score");
        float ms = 0;
        check(cudaEventElapsedTime(&ms, begin, end), "event");
        if (repeat >= warmUp) {
            times.push_back(ms);
        }
    }
    Result result;
    result.milliseconds = median(times);
    result.gigabytes = (2.0 * c.layers * c.n * double(sizes[0] + sizes[1]) * double(element) +
                        4.0 * double(weights)) /
                       1e9;

    std::vector<double> scores(slices.size() * c.sets * pairs);
    check(cudaMemcpy(scores.data(), scoreBuffer.as<void>(), scores.size() * 8,
                     cudaMemcpyDeviceToHost),
          "scores");
    DeviceBuffer referenceBuffer;
    referenceBuffer.reserve(static_cast<std::size_t>(pairs) * 8);
    std::vector<double> reference(static_cast<std::size_t>(pairs));
    std::vector<double> errors;
    const std::size_t step = std::max<std::size_t>(1, slices.size() / 7);
    for (std::size_t at = 0; at < slices.size(); at += step) {
        const DenseSlice& s = slices[at];
        for (int set = 0; set < c.sets; ++set) {
            bench::referenceScores(view(sides[0][s.matrixA], s.rowA, s.columnA),
                                   view(sides[1][s.matrixB], s.rowB, s.columnB), c.n, c.n,
                                   static_cast<int>(s.rows), static_cast<int>(s.columns),
                                   weightBuffer.as<float>() + s.weights + set * weights,
                                   c.signedProduct, referenceBuffer.as<double>(), nullptr);
            check(cudaMemcpy(reference.data(), referenceBuffer.as<void>(), reference.size() * 8,
                             cudaMemcpyDeviceToHost),
                  "reference");
            double size = 0; // signed sums cancel: relative to the slice's own magnitude
            for (const double v : reference) {
                size += std::abs(v) / double(pairs);
            }
            for (std::int64_t p = 0; p < pairs; ++p) {
                const double got = scores[static_cast<std::size_t>(s.scores + set * pairs + p)];
                const double e = std::abs(got - reference[p]) /
                                 (c.signedProduct ? size : std::abs(reference[p]));
                errors.push_back(std::isnan(e) ? std::numeric_limits<double>::infinity() : e);
            }
        }
    }
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (std::isnan(scores[i])) { // an entry that was never written
            errors.push_back(std::numeric_limits<double>::infinity());
            break;
        }
    }
    result.worst = *std::max_element(errors.begin(), errors.end());
    result.typical = median(errors);
    return result;
}

} // namespace

int main(int argc, char** argv) {
    double torchMs = 0;
    std::string json;
    bool quick = false;
    int checks = 0;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = argv[++i];
        } else if (std::strcmp(argv[i], "--torch-ms") == 0 && i + 1 < argc) {
            torchMs = std::stod(argv[++i]);
        } else if (std::strcmp(argv[i], "--quick") == 0) {
            quick = true;
        } else if (std::strcmp(argv[i], "--check") == 0 && i + 1 < argc) {
            checks = std::stoi(argv[++i]);
        }
    }
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        std::printf("no CUDA device here\n");
        return 0;
    }
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "device");
    std::printf("%s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);

    bool failed = false;
    for (const engine::Precision precision : {engine::Precision::fp32, engine::Precision::fast}) {
        if (checks > 0) {
            const auto backend = engine::makeCudaBackend(0, precision);
            const test::BackendReport report = test::checkBackend(*backend, precision, checks, 5);
            std::printf("%s, %s: %d cases, %zu failures; worst errors: score %.1e, norm %.1e, "
                        "Fisher %.1e, statistics %.1e\n",
                        backend->description().c_str(), engine::name(precision).c_str(),
                        report.cases, report.failures.size(), report.worstScore, report.worstNorm,
                        report.worstFisher, report.worstStatistics);
            for (std::size_t i = 0; i < std::min<std::size_t>(report.failures.size(), 20); ++i) {
                std::printf("  %s\n", report.failures[i].c_str());
            }
            std::fflush(stdout);
            failed = failed || !report.failures.empty();
        }
    }
    if (checks > 0) {
        try {
            failed = !bench::checkLittleMemory(600) || failed;
        } catch (const Error& e) {
            std::printf("with little device memory: %s\n", e.what());
            failed = true;
        }
    }
    if (!quick) {
        bench::benchBackend();
    }

    std::vector<Case> cases;
    const auto add = [&](Case c) { cases.push_back(std::move(c)); };
    if (quick) { // small and odd: for memory checkers
        for (const DType t : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
            for (const int sets : {1, 2, 3}) {
                add({"odd", t, 1, 72, 3, 40, 13, sets});
            }
            add({"odd unaligned", t, 1, 37, 2, 35, 5});
            add({"odd two blocks", t, 1, 64, 1, 64, 131});
            add({"odd signed", t, 1, 128, 2, 64, 7, 1, false, false, true});
        }
    } else {
        add({"gpt2-small f16", DType::f16});
        for (const int tiles : {128, 192}) {
            Case c{"  tiles per item " + std::to_string(tiles), DType::f16};
            c.tilesPerItem = tiles;
            add(c);
        }
        add({"gpt2-small f16 fast", DType::f16, 12, 768, 12, 64, 100, 1, true});
        add({"gpt2-small f16 signed", DType::f16, 12, 768, 12, 64, 100, 1, false, false, true});
        add({"gpt2-small f16 three modes", DType::f16, 12, 768, 12, 64, 100, 3});
        add({"gpt2-small bf16", DType::bf16});
        add({"gpt2-small bf16 fast", DType::bf16, 12, 768, 12, 64, 100, 1, true});
        add({"4 layers f16, n = 257", DType::f16, 4, 768, 12, 64, 257});
        add({"n = 64", DType::f16, 12, 768, 12, 64, 64});
        add({"n = 128", DType::f16, 12, 768, 12, 64, 128});
        add({"one layer f16", DType::f16, 1});
        add({"general kernel f16", DType::f16, 12, 768, 12, 64, 100, 1, false, true});
        add({"general kernel f32", DType::f32, 12, 768, 12, 64, 100});
        add({"general kernel f32 fast", DType::f32, 12, 768, 12, 64, 100, 1, true});
        add({"general kernel f64", DType::f64, 4, 768, 12, 64, 100});
        add({"4 layers, 769 wide, d = 65, f16", DType::f16, 4, 769, 11, 65, 99});
        add({"4 layers, 800 wide, d = 80, f16", DType::f16, 4, 800, 10, 80, 99});
    }
    std::string text = "[";
    double main = 0;
    for (const Case& c : cases) {
        Result r;
        try {
            r = run(c);
        } catch (const Error& e) {
            std::printf("%-34s failed: %s\n", c.name.c_str(), e.what());
            continue;
        }
        if (c.name == "gpt2-small f16") {
            main = r.milliseconds;
        }
        std::printf("%-34s %-8s sets %d n %3d  %8.3f ms  %6.2f GB  %6.2f TB/s  error typical %.1e "
                    "worst %.1e\n",
                    c.name.c_str(), std::string(dtypeName(c.dtype)).c_str(), c.sets, c.n,
                    r.milliseconds, r.gigabytes, r.gigabytes / r.milliseconds, r.typical, r.worst);
        std::fflush(stdout);
        char line[512];
        std::snprintf(
            line, sizeof line,
            "%s\n{\"case\": \"%s\", \"dtype\": \"%s\", \"sets\": %d, \"n\": %d, \"ms\": %.4f, "
            "\"gb\": %.4f, \"error_typical\": %.3e, \"error_worst\": %.3e}",
            text.size() > 1 ? "," : "", c.name.c_str(), std::string(dtypeName(c.dtype)).c_str(),
            c.sets, c.n, r.milliseconds, r.gigabytes, r.typical, r.worst);
        text += line;
    }
    if (torchMs > 0 && main > 0) {
        std::printf("torch.compile %.3f ms / ours %.3f ms = %.2f\n", torchMs, main, torchMs / main);
    }
    if (!json.empty()) {
        std::ofstream(json) << text << "\n]\n";
    }
    return failed ? 1 : 0;
}
