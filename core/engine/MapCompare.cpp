// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/MapCompare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::engine {

namespace {

std::vector<double> ranks(const std::vector<double>& v) {
    std::vector<std::size_t> order(v.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return v[a] < v[b]; });
    std::vector<double> out(v.size());
    for (std::size_t first = 0; first < order.size();) {
        std::size_t last = first;
        while (last + 1 < order.size() && v[order[last + 1]] == v[order[first]]) {
            ++last;
        }
        for (std::size_t k = first; k <= last; ++k) {
            out[order[k]] = (double(first) + double(last)) / 2;
        }
        first = last + 1;
    }
    return out;
}

} // namespace

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
    std::vector<double> a, b;
    for (std::size_t k = 0; k < std::min(x.size(), y.size()); ++k) {
        if (!std::isnan(x[k]) && !std::isnan(y[k])) {
            a.push_back(x[k]);
            b.push_back(y[k]);
        }
    }
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (a.size() < 3) {
        return none;
    }
    a = ranks(a);
    b = ranks(b);
    const double middle = (double(a.size()) - 1) / 2;
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        ab += (a[k] - middle) * (b[k] - middle);
        aa += (a[k] - middle) * (a[k] - middle);
        bb += (b[k] - middle) * (b[k] - middle);
    }
    return aa > 0 && bb > 0 ? ab / std::sqrt(aa) / std::sqrt(bb) : none;
}

std::vector<MapCell> distinctCells(const Scores& scores) {
    std::vector<MapCell> cells;
    const ScoreHeader& h = scores.header();
    for (const Block block : allBlocks) {
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                const double mean = scores.mean(block, row, column);
                if (h.distinct(block, column) && !std::isnan(mean)) {
                    cells.push_back({block, row, column, mean});
                }
            }
        }
    }
    return cells;
}

} // namespace qkov::engine
