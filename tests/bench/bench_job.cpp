// SPDX-License-Identifier: GPL-3.0-or-later
// A whole job without a dump: checkpoint → gradients in memory → scores, on the CPU and on the
// device, and how far the two differ.
// Usage: bench_job MODEL A.jsonl B.jsonl [DEVICE…]      (default devices: cpu cuda)
//        bench_job --once MODEL A.jsonl B.jsonl [DEVICE] the magnitudes alone, from factors, twice
#include "collect/Capture.h"
#include "engine/Compute.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

using namespace qkov;

namespace {

double since(const std::chrono::steady_clock::time_point& start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Difference {
    double worst = 0;
    double sum = 0;
    std::size_t count = 0;
    bool missing = false; ///< one has a cell that the other lacks
};

/// Relative to the cell's mean absolute score: signed sums cancel.
Difference difference(const engine::Scores& x, const engine::Scores& y) {
    Difference d;
    const engine::ScoreHeader& header = x.header();
    for (const Block block : allBlocks) {
        for (std::size_t row = 0; row < header.layers.size(); ++row) {
            for (std::size_t column = 0; column < header.heads.size(); ++column) {
                const std::vector<float> a = x.pairs(block, row, column);
                const std::vector<float> b = y.pairs(block, row, column);
                d.missing = d.missing || a.size() != b.size();
                double size = 0;
                for (const float v : b) {
                    size += std::abs(double(v)) / static_cast<double>(b.size());
                }
                for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
                    if (std::isnan(a[i]) || std::isnan(b[i])) {
                        d.missing = d.missing || std::isnan(a[i]) != std::isnan(b[i]);
                        continue;
                    }
                    const double e = size > 0 ? std::abs(double(a[i]) - double(b[i])) / size : 0;
                    d.worst = std::max(d.worst, e);
                    d.sum += e;
                    ++d.count;
                }
            }
        }
    }
    return d;
}

void printScores(const std::string& device, const engine::ScoreHeader& header, double seconds) {
    const engine::StageSeconds& s = header.stages;
    std::printf("  %-10s %-10s %.3f s (read %.3f, compute %.3f: prepare %.3f, weights %.3f, "
                "products %.3f) on %s",
                device.c_str(), engine::name(header.request.variant).c_str(), seconds,
                header.readSeconds, header.computeSeconds, s.prepare, s.weights, s.products,
                header.device.c_str());
}

int once(int argc, char** argv) {
    collect::CollectRequest request;
    request.model = argv[2];
    request.tasks = {{"a", argv[3]}, {"b", argv[4]}};
    request.device = argc > 5 ? argv[5] : "cuda";
    request.memoryBudget = std::int64_t(32) << 30;
    for (int round = 0; round < 2; ++round) {
        Job job;
        const auto start = std::chrono::steady_clock::now();
        collect::CollectSummary summary;
        const auto source = collect::capture(request, job, &summary);
        const double captured = since(start);
        std::printf("%s: loaded in %.3f s, captured in %.3f s\n", request.device.c_str(),
                    summary.loadSeconds, captured - summary.loadSeconds);
        engine::ScoreRequest score;
        score.taskA = "a";
        score.taskB = "b";
        score.device = request.device;
        const auto scores = engine::compute(*source, score, job);
        printScores(request.device, scores->header(), since(start) - captured);
        std::printf("\n  after loading %.3f s\n", since(start) - summary.loadSeconds);
        std::fflush(stdout);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) try {
    if (argc > 4 && std::string(argv[1]) == "--once") {
        return once(argc, argv);
    }
    if (argc < 4) {
        std::fprintf(stderr, "usage: bench_job MODEL A.jsonl B.jsonl [DEVICE...]\n");
        return 2;
    }
    std::vector<std::string> devices(argv + 4, argv + argc);
    if (devices.empty()) {
        devices = {"cpu", "cuda"};
    }
    bool wrong = false;
    for (const bool factored : {true, false}) {
        // Results of the first device, per request, for comparison.
        std::map<std::string, std::shared_ptr<const engine::Scores>> first;
        std::unique_ptr<engine::GradientSource> source; // the last device's serves all of them
        for (const std::string& device : devices) {
            if (!factored && source) {
                break; // capturing costs the same as factored
            }
            collect::CollectRequest request;
            request.model = argv[1];
            request.tasks = {{"a", argv[2]}, {"b", argv[3]}};
            request.factored = factored;
            request.headTypes = true;
            request.device = device;
            request.memoryBudget = std::int64_t(32) << 30;
            for (int round = 0; round < 2; ++round) { // the first one loads libraries
                source.reset();
                Job job;
                const auto start = std::chrono::steady_clock::now();
                source = collect::capture(request, job);
                std::printf("%s, %s: captured in %.3f s%s\n", device.c_str(),
                            factored ? "factored" : "dense", since(start),
                            round == 0 ? " (first time)" : "");
                std::fflush(stdout);
                if (device == "cpu") {
                    break;
                }
            }
        }
        for (const std::string& device : devices) {
            for (const engine::Variant variant :
                 {engine::Variant::magnitude, engine::Variant::magnitude,
                  engine::Variant::signedProduct, engine::Variant::symmetric,
                  engine::Variant::natural, engine::Variant::cosine, engine::Variant::profile}) {
                engine::ScoreRequest request;
                request.taskA = "a";
                request.taskB = "b";
                request.mode = engine::Mode::structural;
                request.variant = variant;
                request.device = device;
                request.memoryBudget = std::int64_t(16) << 30;
                Job job;
                const auto start = std::chrono::steady_clock::now();
                const auto scores = engine::compute(*source, request, job);
                const double seconds = since(start);
                printScores(device, scores->header(), seconds);
                const auto [at, isNew] = first.try_emplace(engine::name(variant), scores);
                if (!isNew && at->second != scores) {
                    const Difference d = difference(*scores, *at->second);
                    std::printf("; differs from %s at most %.1e, on average %.1e%s",
                                devices[0].c_str(), d.worst, d.sum / double(d.count),
                                d.missing ? "; MISSING CELLS DIFFER" : "");
                    wrong = wrong || d.missing || d.count == 0 || !(d.worst <= 1e-4);
                }
                std::printf("\n");
                std::fflush(stdout);
            }
        }
        engine::ScoreRequest request;
        request.taskA = "a";
        request.taskB = "b";
        request.memoryBudget = std::int64_t(16) << 30;
        for (const std::string& device : devices) {
            request.device = device;
            Job job;
            const auto start = std::chrono::steady_clock::now();
            const auto all =
                engine::computeModes(*source, request, engine::modesOf(*source, request), job);
            std::printf("  %-10s %zu modes in one pass %.3f s\n", device.c_str(), all.size(),
                        since(start));
        }
    }
    return wrong ? 1 : 0;
} catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
