// SPDX-License-Identifier: GPL-3.0-or-later
// What the scoring reaches of this machine, in one run: sgemm peak, raw read speed, a
// hand-vectorised ATen chain, ours, their ratios; growth with pairs, parameters and modes; peak
// memory against the budget. Tables on stdout, or JSON with --json FILE|-.
//
// The work is GPT-2 small's: slices of 64 × 768 parameters, float16 gradients, 100 samples a task.
#include "BenchDump.h"
#include "DiskBench.h"
#include "base/Numbers.h"
#include "base/Threads.h"
#include "dump/DumpReader.h"
#include "engine/Backend.h"
#include "engine/Compute.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <unistd.h>
#include <utility>

using namespace qkov;

namespace {

double timeOf(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double bestOf(int rounds, const std::function<void()>& work) {
    double best = 1e300;
    for (int i = 0; i < rounds; ++i) {
        best = std::min(best, timeOf(work));
    }
    return best;
}

constexpr std::int64_t rows = 64, columns = 768, perSlice = rows * columns;

std::vector<at::Half> randomHalves(std::int64_t n, unsigned seed) {
    // A repeated block of random numbers: filling must not take longer than measuring.
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, 1e-2f);
    std::vector<at::Half> block(1 << 16);
    for (auto& v : block) {
        v = normal(engine);
    }
    std::vector<at::Half> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = block[(i * 40503u) & 0xffff];
    }
    return out;
}

/// Slices in memory, scored by the backend alone: conversion, squares, weights, products.
struct Resident {
    std::int64_t slices, n;
    std::vector<at::Half> a, b;
    std::vector<float> weights;

    Resident(std::int64_t slices_, std::int64_t n_)
        : slices(slices_)
        , n(n_)
        , a(randomHalves(slices * n * perSlice, 1))
        , b(randomHalves(slices * n * perSlice, 2))
        , weights(static_cast<std::size_t>(3 * perSlice), 1.0f) {
        for (std::size_t k = 0; k < weights.size(); ++k) {
            weights[k] = 0.5f + float(k % 97) / 97;
        }
    }

    double flops(int modes) const { return 2.0 * double(slices * n * n * perSlice * modes); }

    double ours(engine::Backend& backend, int modes, int rounds) {
        Job job;
        std::vector<std::unique_ptr<engine::Tile>> tiles;
        std::vector<std::int32_t> samples(static_cast<std::size_t>(n));
        std::vector<double> ones(static_cast<std::size_t>(n), 64.0);
        for (std::int64_t i = 0; i < n; ++i) {
            samples[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i);
        }
        std::vector<std::vector<double>> scores(static_cast<std::size_t>(slices));
        std::vector<engine::ScoreCall> calls;
        for (std::int64_t s = 0; s < slices; ++s) {
            engine::ScoreCall call;
            const auto add = [&](const std::vector<at::Half>& v) {
                tiles.push_back(backend.load(
                    engine::DenseData{DType::f16, v.data() + s * n * perSlice, n, rows, columns},
                    job));
                return tiles.back().get();
            };
            call.a = add(a);
            call.b = add(b);
            call.partA = call.partB = {0, rows, 0, columns};
            call.samplesA = call.samplesB = samples;
            call.scaleA = call.scaleB = ones.data();
            for (int m = 0; m < modes; ++m) {
                call.weights.push_back(m == 0 ? weights.data() : weights.data() + m * perSlice);
            }
            auto& out = scores[static_cast<std::size_t>(s)];
            out.assign(static_cast<std::size_t>(modes * n * n), 0);
            call.scores = out.data();
            calls.push_back(call);
        }
        return bestOf(rounds, [&] { backend.score(calls, job); });
    }

    /// What a good PyTorch programmer writes: one product per slice, elementwise passes before it.
    double aten(int rounds) {
        const auto options = torch::TensorOptions().dtype(torch::kHalf);
        const auto ta = torch::from_blob(a.data(), {slices, n, perSlice}, options);
        const auto tb = torch::from_blob(b.data(), {slices, n, perSlice}, options);
        const auto w = torch::from_blob(weights.data(), {perSlice});
        torch::NoGradGuard guard;
        return bestOf(rounds, [&] {
            for (std::int64_t s = 0; s < slices; ++s) {
                const auto x = ta[s].to(torch::kFloat).square().mul(w);
                const auto y = tb[s].to(torch::kFloat).abs();
                const auto m = x.mm(y.t());
                if (m.numel() == 0) {
                    std::abort();
                }
            }
        });
    }
};

/// One product of 2048³, float32, all cores.
class Sgemm {
  public:
    Sgemm() { once(); }
    double once() const {
        torch::NoGradGuard guard;
        return timeOf([&] { m_a.mm(m_b); });
    }
    static double rate(double seconds) { return 2.0 * 2048 * 2048 * 2048 / seconds; }

  private:
    torch::Tensor m_a = torch::rand({2048, 2048}), m_b = torch::rand({2048, 2048});
};

double median(std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
}

/// The machine's clock and its neighbours change from second to second: work and sgemm take turns,
/// each a few times with warm caches.
/// @param work returns its seconds
/// @return medians: of the work, and of sgemm beside it
std::pair<double, double> besideSgemm(const Sgemm& sgemm, const std::function<double()>& work) {
    constexpr int rounds = 9;
    std::vector<double> own, beside;
    for (int round = 0; round < rounds; ++round) {
        beside.push_back(std::min(sgemm.once(), sgemm.once()));
        std::this_thread::sleep_for(std::chrono::milliseconds(250)); // its threads spin on
        own.push_back(work());
    }
    return {median(own), median(beside)};
}

/// Bytes per second of plain sequential reads of the file (from the page cache on a second pass).
double readRate(const std::filesystem::path& file) {
    std::vector<char> buffer(std::size_t(8) << 20);
    double bytes = 0;
    const double seconds = bestOf(2, [&] {
        const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        bytes = 0;
        for (;;) {
            const ssize_t got = ::read(fd, buffer.data(), buffer.size());
            if (got <= 0) {
                break;
            }
            bytes += double(got);
        }
        ::close(fd);
    });
    return bytes / seconds;
}

double peakResident() {
    std::ifstream in("/proc/self/status");
    std::string word;
    while (in >> word) {
        if (word == "VmHWM:") {
            double kilobytes = 0;
            in >> kilobytes;
            return kilobytes * 1024;
        }
    }
    return 0;
}
double residentNow() {
    std::ifstream in("/proc/self/statm");
    double pages = 0;
    in >> pages >> pages;
    return pages * double(sysconf(_SC_PAGESIZE));
}
/// Forgets the peak so far, so that the next one is that of the next step.
void resetPeak() {
    std::ofstream("/proc/self/clear_refs") << 5;
}

nlohmann::json results;

void line(const char* key, const char* what, double value, const char* unit) {
    std::printf("%-44s %10.3f %s\n", what, value, unit);
    std::fflush(stdout);
    results[key] = value;
}

void wholeComputation(const std::filesystem::path& folder, const Sgemm& sgemm) {
    const bench::DumpSize size{1, 12, 64, 100};
    const std::filesystem::path file = folder / "bench_engine.h5";
    std::printf("\nA dump in the page cache (%s), 48 slices, 100 + 100 samples\n",
                formatBytes(double(bench::bytes(size))).c_str());
    bench::writeDump(file, size);
    const double raw = readRate(file);
    line("read_gb_s", "plain reads of the file", raw / 1e9, "GB/s");
    const dump::DumpReader reader(file);
    const auto source = engine::makeDumpSource(reader);
    engine::ScoreRequest q;
    q.taskA = "a";
    q.taskB = "b";
    q.device = "cpu";
    q.mode = engine::Mode::structural;
    Job job;
    const double flops = 2.0 * 48 * 1e4 * perSlice;
    std::vector<double> whole;
    const auto [products, beside] = besideSgemm(sgemm, [&] {
        double seconds = 1e30;
        whole.push_back(bestOf(2, [&] {
            seconds = std::min(seconds, engine::compute(*source, q, job)->header().stages.products);
        }));
        return seconds;
    });
    const double one = median(whole);
    const double peak = Sgemm::rate(beside);
    line("sgemm_beside_compute_gflops", "sgemm, taking turns with compute", peak / 1e9, "GFLOP/s");
    line("compute_products_s", "products: convert, square, scale, multiply", products, "s");
    line("compute_products_gflops", "  while nothing else runs", flops / products / 1e9, "GFLOP/s");
    line("compute_products_over_peak", "  ratio to sgemm peak", flops / products / peak, "");
    line("compute_one_mode_s", "compute, structural, Fisher computed", one, "s");
    line("compute_gflops", "  only its products counted as work", flops / one / 1e9, "GFLOP/s");
    line("compute_over_peak", "  ratio to sgemm peak", flops / one / peak, "");
    // One mode again: the two take turns, too.
    std::vector<double> single, three;
    for (int round = 0; round < 7; ++round) {
        single.push_back(bestOf(2, [&] { engine::compute(*source, q, job); }));
        three.push_back(bestOf(2, [&] {
            engine::computeModes(
                *source, q,
                {engine::Mode::behavioral, engine::Mode::structural, engine::Mode::hybrid}, job);
        }));
    }
    line("compute_three_modes_s", "compute, all three modes", median(three), "s");
    line("three_over_one", "  ratio to one", median(three) / median(single), "");

    std::printf("\nMemory: the same dump with a budget of a tenth of it\n");
    const double budget = double(bench::bytes(size)) / 10;
    q.memoryBudget = static_cast<std::int64_t>(budget);
    const engine::Explanation plan = engine::explain(*source, q);
    resetPeak();
    const double before = residentNow();
    const double small = timeOf([&] { engine::compute(*source, q, job); });
    line("budget_mb", "budget", budget / 1e6, "MB");
    line("planned_mb", "planned peak", double(plan.peakBytes) / 1e6, "MB");
    line("peak_mb", "peak above what was there before", (peakResident() - before) / 1e6, "MB");
    line("small_budget_s", "time", small, "s");
    std::filesystem::remove(file);
}

void inMemory(engine::Backend& backend, const Sgemm& sgemm) {
    std::printf("\nIn memory: 100 x 100 pairs, slices of %lld parameters, float16\n",
                static_cast<long long>(perSlice));
    {
        Resident work(8, 100);
        const auto [ours, beside] = besideSgemm(sgemm, [&] { return work.ours(backend, 1, 3); });
        const double peak = Sgemm::rate(beside);
        const double aten = work.aten(2);
        line("sgemm_gflops", "sgemm 2048^3, float32, all cores, taking turns", peak / 1e9,
             "GFLOP/s");
        line("ours_gflops", "ours", work.flops(1) / ours / 1e9, "GFLOP/s");
        line("ours_over_peak", "  ratio to sgemm peak", work.flops(1) / ours / peak, "");
        line("aten_gflops", "ATen chain", work.flops(1) / aten / 1e9, "GFLOP/s");
        line("ours_over_aten", "  ours is faster by", aten / ours, "x");
        for (const int modes : {2, 3}) {
            const double t = work.ours(backend, modes, 3);
            line(modes == 2 ? "two_sets_over_one" : "three_sets_over_one",
                 modes == 2 ? "two sets of weights, ratio to one"
                            : "three sets of weights, ratio to one",
                 t / ours, "");
        }
    }
    std::printf("\nGrowth\n");
    for (const std::int64_t n : {25, 50, 100, 200}) {
        Resident work(2, n);
        const double t = work.ours(backend, 1, 3);
        char what[64];
        std::snprintf(what, sizeof what, "%lld x %lld pairs", static_cast<long long>(n),
                      static_cast<long long>(n));
        line(("pairs_" + std::to_string(n) + "_gflops").c_str(), what, work.flops(1) / t / 1e9,
             "GFLOP/s");
    }
    for (const std::int64_t slices : {1, 4}) {
        Resident work(slices, 100);
        const double t = work.ours(backend, 1, 3);
        char what[64];
        std::snprintf(what, sizeof what, "%lld parameters",
                      static_cast<long long>(slices * perSlice));
        line(("parameters_" + std::to_string(slices * perSlice) + "_ms").c_str(), what, t * 1e3,
             "ms");
    }
}

} // namespace

int main(int argc, char** argv) {
    // OpenBLAS reads this before main: without it, it takes the best kernel for this machine.
    if (std::getenv("OPENBLAS_CORETYPE") != nullptr) {
        unsetenv("OPENBLAS_CORETYPE");
        execv("/proc/self/exe", argv);
    }
    std::string json;
    std::filesystem::path folder = std::filesystem::temp_directory_path();
    bool quick = false;
    bool diskOnly = false;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = argv[++i];
        } else if (std::strcmp(argv[i], "--folder") == 0 && i + 1 < argc) {
            folder = argv[++i];
        } else if (std::strcmp(argv[i], "--quick") == 0) {
            quick = true;
        } else if (std::strcmp(argv[i], "--disk") == 0) {
            diskOnly = true;
        } else {
            std::fprintf(stderr,
                         "bench_engine [--json FILE|-] [--folder DIR] [--quick | --disk]\n");
            return 2;
        }
    }
    const int threads = defaultThreadCount();
    torch::set_num_threads(threads);
    const auto backend = engine::makeCpuBackend(0);
    std::printf("%s\n\n", backend->description().c_str());
    results["device"] = backend->description();

    if (diskOnly) {
        bench::fromDisk(folder, line);
        bench::compressed(folder, line);
    } else {
        const Sgemm sgemm;
        inMemory(*backend, sgemm);
        if (!quick) {
            wholeComputation(folder, sgemm);
            bench::fromDisk(folder, line);
            bench::compressed(folder, line);
        }
    }
    if (json == "-") {
        std::printf("%s\n", results.dump(2).c_str());
    } else if (!json.empty()) {
        std::ofstream(json) << results.dump(2) << "\n";
    }
    return 0;
}
