// SPDX-License-Identifier: GPL-3.0-or-later
#include "figures/FigureSpec.h"

#include "base/Error.h"
#include "figures/FigurePainter.h"

#include <QRegularExpression>

#include <algorithm>
#include <array>
#include <numeric>

namespace qkov::ui {

namespace {

constexpr std::array kindNames{"heatmap", "blocks", "bars",    "compare",
                               "pairs",   "pair",   "volcano", "null"};

struct NamedSize {
    const char* name;
    double width, height; ///< inches; height 0: to fit
};
constexpr std::array namedSizes{
    NamedSize{"neurips", 5.5, 0},    NamedSize{"iclr", 5.5, 0},     NamedSize{"icml", 3.25, 0},
    NamedSize{"icml-wide", 6.75, 0}, NamedSize{"acl", 3.03, 0},     NamedSize{"acl-wide", 6.3, 0},
    NamedSize{"single", 3.5, 0},     NamedSize{"slide", 10, 5.625},
};

} // namespace

QString name(FigureKind kind) {
    return QString::fromLatin1(kindNames[static_cast<std::size_t>(kind)]);
}

FigureKind parseFigureKind(const QString& text) {
    QStringList known;
    for (std::size_t n = 0; n < kindNames.size(); ++n) {
        if (text.compare(QLatin1String(kindNames[n]), Qt::CaseInsensitive) == 0) {
            return static_cast<FigureKind>(n);
        }
        known << QString::fromLatin1(kindNames[n]);
    }
    throw UsageError("'" + text.toStdString() + "' is not a kind of figure; the kinds are " +
                     known.join(QStringLiteral(", ")).toStdString());
}

QStringList figureSizeNames() {
    QStringList names;
    for (const NamedSize& s : namedSizes) {
        names << QString::fromLatin1(s.name);
    }
    return names;
}

QSizeF parseFigureSize(const QString& text) {
    for (const NamedSize& s : namedSizes) {
        if (text.compare(QLatin1String(s.name), Qt::CaseInsensitive) == 0) {
            return {s.width, s.height};
        }
    }
    static const QRegularExpression pattern(
        QStringLiteral("^\\s*([0-9]*\\.?[0-9]+)\\s*(in|mm|cm|pt)?"
                       "(?:\\s*[x×]\\s*([0-9]*\\.?[0-9]+))?\\s*(in|mm|cm|pt)?\\s*$"),
        QRegularExpression::CaseInsensitiveOption);
    const QRegularExpressionMatch m = pattern.match(text);
    QString unit = m.captured(4).isEmpty() ? m.captured(2) : m.captured(4);
    unit = unit.toLower();
    const double perInch = unit == QLatin1String("mm")   ? 25.4
                           : unit == QLatin1String("cm") ? 2.54
                           : unit == QLatin1String("pt") ? 72.0
                                                         : 1.0;
    const double width = m.captured(1).toDouble() / perInch;
    const double height = m.captured(3).toDouble() / perInch;
    const bool twoUnits = !m.captured(2).isEmpty() && !m.captured(4).isEmpty() &&
                          m.captured(2).compare(m.captured(4), Qt::CaseInsensitive) != 0;
    const bool given = !m.captured(3).isEmpty();
    if (!m.hasMatch() || twoUnits || width < 0.5 || width > 100 ||
        (given && (height < 0.5 || height > 100))) {
        throw UsageError("'" + text.toStdString() +
                         "' is not a figure size; write for example 5.5in, 140mm, 5.5x4in (0.5 to "
                         "100 inches), or one of " +
                         figureSizeNames().join(QStringLiteral(", ")).toStdString());
    }
    return {width, height};
}

std::vector<ColorScale> FigureSpec::scales() const {
    std::vector<ColorScale> list(panels.size());
    const auto values = [](const HeatmapData& d) {
        // Only what is shown takes part: values under a state of their own do not.
        std::vector<double> v = d.values;
        for (std::size_t i = 0; i < d.states.size(); ++i) {
            if (d.states[i] != HeatmapData::State::ok) {
                v[i] = std::numeric_limits<double>::quiet_NaN();
            }
        }
        return v;
    };
    for (const bool differences : {false, true}) {
        RangeOptions options = range;
        ColorMap map = colorMap;
        if (differences) {
            map = differenceMap;
            options.centred = true;
            options.log = false;
            if (options.kind == RangeOptions::Kind::given) {
                options.kind = RangeOptions::Kind::data;
            }
        }
        std::vector<std::size_t> members;
        std::vector<std::vector<double>> sets;
        for (std::size_t n = 0; n < panels.size(); ++n) {
            if ((n < difference.size() && difference[n] != 0) == differences) {
                members.push_back(n);
                sets.push_back(values(panels[n]));
            }
        }
        if (sharedRange) {
            const ColorScale shared = ColorScale::fit(map, {sets.begin(), sets.end()}, options);
            for (const std::size_t n : members) {
                list[n] = shared;
            }
        } else {
            for (std::size_t k = 0; k < members.size(); ++k) {
                list[members[k]] = ColorScale::fit(map, {sets[k]}, options);
            }
        }
    }
    return list;
}

std::int64_t FigureSpec::cells() const {
    std::int64_t count = 0;
    for (const HeatmapData& d : panels) {
        count += static_cast<std::int64_t>(d.values.size());
    }
    return count;
}

void fitHeight(FigureSpec& spec) {
    spec.inches.setHeight(0);
    spec.inches.setHeight(fittingHeight(spec));
}

std::vector<std::size_t> orderByGroup(const std::vector<QString>& groups,
                                      const std::vector<double>& means) {
    std::vector<std::size_t> order(means.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    // Groups as they first appear; a missing mean comes last.
    QStringList seen;
    for (const QString& g : groups) {
        if (!seen.contains(g)) {
            seen << g;
        }
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        if (!groups.empty() && groups[a] != groups[b]) {
            return seen.indexOf(groups[a]) < seen.indexOf(groups[b]);
        }
        if (std::isnan(means[a]) || std::isnan(means[b])) {
            return !std::isnan(means[a]) && std::isnan(means[b]);
        }
        return means[a] > means[b];
    });
    return order;
}

} // namespace qkov::ui
