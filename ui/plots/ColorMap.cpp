// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/ColorMap.h"

#include "plots/ColorMapTables.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkov::ui {

namespace {

constexpr const char* mapNames[] = {"viridis", "cividis", "magma", "vik", "RdBu", "RdYlBu_r"};

/// Linear interpolation between order statistics; `sorted` is not empty.
double quantile(const std::vector<double>& sorted, double q) {
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

double symlog(double v, double linear) {
    return std::copysign(std::log1p(std::abs(v) / linear), v);
}

} // namespace

QString ColorMap::name() const {
    return QString::fromLatin1(mapNames[static_cast<int>(m_id)]);
}

QStringList ColorMap::names() {
    QStringList list;
    for (const Id id : all) {
        list << ColorMap(id).name();
    }
    return list;
}

std::optional<ColorMap> ColorMap::fromName(const QString& name) {
    for (const Id id : all) {
        if (ColorMap(id).name().compare(name, Qt::CaseInsensitive) == 0) {
            return ColorMap(id);
        }
    }
    return {};
}

bool ColorMap::diverging() const {
    return m_id >= Id::vik;
}

QRgb ColorMap::at(double t) const {
    // !(t > 0) also catches NaN.
    const int index = !(t > 0) ? 0 : t >= 1 ? 255 : static_cast<int>(t * 256);
    return 0xff000000u | colorMapTables[static_cast<int>(m_id)][index];
}

ColorScale ColorScale::fit(ColorMap map, const std::vector<std::span<const double>>& sets,
                           const RangeOptions& options) {
    ColorScale scale;
    scale.map = map;
    std::vector<double> finite;
    for (const auto& set : sets) {
        std::copy_if(set.begin(), set.end(), std::back_inserter(finite),
                     [](double v) { return std::isfinite(v); });
    }
    std::sort(finite.begin(), finite.end());
    scale.empty = finite.empty();
    // Negative values have no plain logarithm.
    const bool symlog = options.symlog || (options.log && !finite.empty() && finite.front() < 0);
    scale.log = options.log && !symlog && !finite.empty() && finite.back() > 0;
    // On a log scale only positive values have a place; the rest takes the lowest colour.
    const auto first =
        scale.log ? std::upper_bound(finite.begin(), finite.end(), 0.0) : finite.begin();
    const std::vector<double> used(first, finite.end());

    if (options.kind == RangeOptions::Kind::given) {
        scale.low = options.low;
        scale.high = options.high;
    } else if (!used.empty()) {
        const bool robust = options.kind == RangeOptions::Kind::robust;
        scale.low = robust ? quantile(used, 0.02) : used.front();
        scale.high = robust ? quantile(used, 0.98) : used.back();
    }
    if (options.centred && !scale.log && options.kind != RangeOptions::Kind::given) {
        const double reach = std::max(std::abs(scale.low), std::abs(scale.high));
        scale.low = -reach;
        scale.high = reach;
    }
    if (scale.log && !(scale.low > 0)) {
        scale.low = used.front();
    }
    if (!(scale.high > scale.low) || !std::isfinite(scale.high - scale.low)) {
        // One value only, or limits that make no range: widen around it so that it has a colour.
        const double middle = std::isfinite(scale.low) ? scale.low : 0;
        if (scale.log) {
            scale.low = middle / 2;
            scale.high = middle * 2;
        } else {
            const double half = middle == 0 ? 0.5 : std::abs(middle) / 2;
            scale.low = middle - half;
            scale.high = middle + half;
        }
    }
    if (symlog) {
        scale.linear =
            std::max(std::abs(scale.low), std::abs(scale.high)) * ColorScale::symlogLinearShare;
    }
    if (!finite.empty()) {
        // Not for values that a log scale can't place: they are below by nature.
        scale.clipsBelow = (scale.log ? used.front() : finite.front()) < scale.low;
        scale.clipsAbove = finite.back() > scale.high;
    }
    return scale;
}

double ColorScale::position(double value) const {
    if (linear > 0) {
        const auto t = [this](double v) { return symlog(v, linear); };
        return (t(value) - t(low)) / (t(high) - t(low));
    }
    if (!log) {
        return (value - low) / (high - low);
    }
    if (std::isnan(value)) {
        return value;
    }
    if (value <= 0) {
        return -std::numeric_limits<double>::infinity();
    }
    return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
}

double ColorScale::valueAt(double p) const {
    if (linear > 0) {
        const double t = std::lerp(symlog(low, linear), symlog(high, linear), p);
        return std::copysign(std::expm1(std::abs(t)) * linear, t);
    }
    return log ? std::exp(std::lerp(std::log(low), std::log(high), p)) : std::lerp(low, high, p);
}

} // namespace qkov::ui
