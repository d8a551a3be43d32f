// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/compare/Agreement.h"

#include "engine/MapCompare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::ui {

namespace {

/// The k best, ties by position.
std::vector<std::size_t> best(const std::vector<double>& v, std::size_t k, bool lowest) {
    std::vector<std::size_t> order(v.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return lowest ? v[a] < v[b] : v[a] > v[b];
    });
    order.resize(k);
    std::sort(order.begin(), order.end());
    return order;
}

} // namespace

Agreement agreement(const std::vector<double>& a, const std::vector<double>& b, std::size_t top,
                    bool lowest) {
    std::vector<double> x, y;
    for (std::size_t n = 0; n < std::min(a.size(), b.size()); ++n) {
        if (std::isfinite(a[n]) && std::isfinite(b[n])) {
            x.push_back(a[n]);
            y.push_back(b[n]);
        }
    }
    Agreement result;
    result.cells = x.size();
    result.rho = engine::spearman(x, y);
    result.top = std::min(top, x.size());
    std::vector<std::size_t> common;
    const auto bx = best(x, result.top, lowest);
    const auto by = best(y, result.top, lowest);
    std::set_intersection(bx.begin(), bx.end(), by.begin(), by.end(), std::back_inserter(common));
    result.shared = common.size();
    return result;
}

std::vector<double> distinctMeans(const engine::Scores& scores, Block block) {
    const engine::ScoreHeader& h = scores.header();
    std::vector<double> means;
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            if (h.distinct(block, c)) {
                means.push_back(scores.computed(l) ? scores.mean(block, l, c)
                                                   : std::numeric_limits<double>::quiet_NaN());
            }
        }
    }
    return means;
}

} // namespace qkov::ui
