// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Seriation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qkov::ui {

std::vector<std::size_t> groupedOrder(const std::vector<dump::SampleInfo>& samples) {
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return samples[a].group < samples[b].group;
    });
    if (std::is_sorted(order.begin(), order.end())) {
        order.clear();
    }
    return order;
}

std::pair<std::vector<std::size_t>, std::vector<std::size_t>>
seriate(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
    std::vector<double> m(values.begin(), values.end());
    const bool positive =
        std::all_of(values.begin(), values.end(), [](float v) { return std::isnan(v) || v > 0; });
    double sum = 0;
    std::size_t n = 0;
    for (double& v : m) {
        if (positive) {
            v = std::log(v);
        }
        if (std::isfinite(v)) {
            sum += v;
            ++n;
        }
    }
    const double mean = n > 0 ? sum / static_cast<double>(n) : 0;
    std::vector<double> rowMean(rows, 0);
    std::vector<double> columnMean(columns, 0);
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            double& v = m[i * columns + j];
            v = std::isfinite(v) ? v - mean : 0;
            rowMean[i] += v / static_cast<double>(columns);
            columnMean[j] += v / static_cast<double>(rows);
        }
    }
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            m[i * columns + j] -= rowMean[i] + columnMean[j];
        }
    }
    // Power iteration from a fixed start: the same matrix always gives the same order.
    std::vector<double> u(rows);
    std::vector<double> v(columns);
    for (std::size_t j = 0; j < columns; ++j) {
        v[j] = 1.0 + 0.37 * std::sin(static_cast<double>(j + 1));
    }
    const auto normalise = [](std::vector<double>& x) {
        const double norm = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
        if (norm > 0) {
            for (double& e : x) {
                e /= norm;
            }
        }
    };
    for (int step = 0; step < 60; ++step) {
        std::fill(u.begin(), u.end(), 0.0);
        for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < columns; ++j) {
                u[i] += m[i * columns + j] * v[j];
            }
        }
        normalise(u);
        std::fill(v.begin(), v.end(), 0.0);
        for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < columns; ++j) {
                v[j] += m[i * columns + j] * u[i];
            }
        }
        normalise(v);
    }
    const auto order = [](const std::vector<double>& x) {
        std::vector<std::size_t> o(x.size());
        std::iota(o.begin(), o.end(), std::size_t(0));
        std::stable_sort(o.begin(), o.end(),
                         [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
        return o;
    };
    return {order(u), order(v)};
}

} // namespace qkov::ui
