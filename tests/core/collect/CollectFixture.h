// SPDX-License-Identifier: GPL-3.0-or-later
// Requests over the golden checkpoints, and what is asked of the dumps they give.
#pragma once

#include "base/Error.h"
#include "collect/Collect.h"
#include "core/collect/H5Read.h"

#include <QDir>
#include <QTemporaryDir>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::test {

using namespace qkov::collect;

inline const std::filesystem::path data = std::filesystem::path(QKOV_TEST_DATA) / "collect";
inline constexpr double goldenTolerance = 1e-5; // float32 passes against float64 autograd
inline constexpr double storedTolerance = 1e-6; // Fisher on disk is float32
inline constexpr double halfTolerance = 2e-3;   // float16 factors

/// All checkpoints with per-sample gradients by transformers, sorted.
inline QStringList goldens() {
    QStringList names;
    for (const auto& entry : std::filesystem::directory_iterator(data)) {
        if (exists(entry.path() / "expected.safetensors")) {
            names << QString::fromStdString(entry.path().filename().string());
        }
    }
    names.sort();
    return names;
}

inline CollectRequest request(const std::string& model, const std::filesystem::path& out) {
    CollectRequest r;
    r.model = data / model;
    r.tasks = {{"a", data / model / "samples.jsonl"}};
    r.out = out;
    r.storage = DType::f32;
    r.device = "cpu";
    r.threads = 1;
    return r;
}

inline CollectSummary run(const CollectRequest& r) {
    Job job;
    return collect::collect(r, job);
}

/// Gradients of a parameter rebuilt from the dump's factors, or as stored dense: [n, d0 · d1].
inline std::vector<std::vector<double>> gradients(const H5Read& dump, const std::string& name,
                                                  bool inOut) {
    std::vector<std::vector<double>> result;
    const std::string dense = "tasks/a/gradients/" + name;
    if (dump.has(dense)) {
        const H5Array g = dump.numbers(dense);
        const std::size_t size = g.values.size() / g.shape[0];
        for (std::size_t i = 0; i < g.shape[0]; ++i) {
            result.emplace_back(g.values.begin() + std::ptrdiff_t(i * size),
                                g.values.begin() + std::ptrdiff_t((i + 1) * size));
        }
        return result;
    }
    const H5Array x = dump.numbers("tasks/a/factors/" + name + "/input");
    const H5Array g = dump.numbers("tasks/a/factors/" + name + "/grad_output");
    const H5Array length = dump.numbers("tasks/a/factors/" + name + "/length");
    const std::size_t T = x.shape[1], in = x.shape[2], out = g.shape[2];
    for (std::size_t i = 0; i < x.shape[0]; ++i) {
        std::vector<double> dense_(in * out, 0.0);
        for (std::size_t t = 0; t < std::size_t(length.values[i]); ++t) {
            for (std::size_t o = 0; o < out; ++o) {
                for (std::size_t k = 0; k < in; ++k) {
                    dense_[inOut ? k * out + o : o * in + k] +=
                        g.values[(i * T + t) * out + o] * x.values[(i * T + t) * in + k];
                }
            }
        }
        result.push_back(std::move(dense_));
    }
    return result;
}

inline double worst(const std::vector<double>& value, const std::vector<double>& reference) {
    double largest = 0, difference = value.size() == reference.size() ? 0 : INFINITY;
    for (std::size_t k = 0; k < std::min(value.size(), reference.size()); ++k) {
        largest = std::max(largest, std::abs(reference[k]));
        difference = std::max(difference, std::abs(value[k] - reference[k]));
    }
    return largest > 0 ? difference / largest : difference;
}

template <class Body>
inline QString messageOf(Body&& body) {
    try {
        body();
    } catch (const InputError& e) {
        return QString::fromUtf8(e.what());
    }
    return QStringLiteral("nothing was wrong");
}

inline QStringList filesIn(const QTemporaryDir& folder) {
    return QDir(folder.path()).entryList(QDir::AllEntries | QDir::NoDotAndDotDot | QDir::Hidden);
}

} // namespace qkov::test
