// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Words.h"

#include "base/Numbers.h"
#include "plots/HeatmapData.h"
#include "results/Summary.h"

#include <QCoreApplication>
#include <QStringList>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {
QString tr(const char* text) {
    return QCoreApplication::translate("Words", text);
}
/// Shares of parameters below the floor from which Fisher is called thin or poor.
constexpr double thinShare = 0.5;
constexpr double poorShare = 0.95;

QString joined(QStringList words) {
    if (words.size() < 2) {
        return words.join(QString());
    }
    const QString last = words.takeLast();
    return words.join(QStringLiteral(", ")) + tr(" and ") + last;
}

template <class T>
int indexOf(const std::vector<T>& v, const T& value) {
    const auto it = std::find(v.begin(), v.end(), value);
    return it == v.end() ? -1 : static_cast<int>(it - v.begin());
}
} // namespace

QString number(double value) {
    return QString::fromStdString(formatNumber(value));
}
QString count(std::int64_t value) {
    return QString::fromStdString(formatCount(value));
}
QString quoted(const std::string& text) {
    return QString::fromStdString(text);
}

QString modeName(engine::Mode mode) {
    switch (mode) {
    case engine::Mode::behavioral:
        return tr("Behavioral");
    case engine::Mode::structural:
        return tr("Structural");
    case engine::Mode::hybrid:
        return tr("Hybrid");
    }
    return {};
}

QString modeHint(engine::Mode mode) {
    switch (mode) {
    case engine::Mode::behavioral:
        return tr("Divides by the mean Fisher of heads of the same type. May violate the "
                  "Contribution Safety Theorem.");
    case engine::Mode::structural:
        return tr("Divides by each parameter's own Fisher. Fully compliant with the Contribution "
                  "Safety Theorem.");
    case engine::Mode::hybrid:
        return tr("Geometric mean of the two. Partially compliant with the Contribution Safety "
                  "Theorem.");
    }
    return {};
}

QString variantName(engine::Variant v) {
    switch (v) {
    case engine::Variant::magnitude:
        return tr("Magnitude");
    case engine::Variant::signedProduct:
        return tr("Signed");
    case engine::Variant::symmetric:
        return tr("Symmetric");
    case engine::Variant::natural:
        return tr("Natural");
    case engine::Variant::cosine:
        return tr("Cosine");
    case engine::Variant::profile:
        return tr("Profile");
    }
    return {};
}

QString variantHint(engine::Variant v) {
    switch (v) {
    case engine::Variant::magnitude:
        return tr("Interference strength: how much A's contributions meet B's gradients");
    case engine::Variant::signedProduct:
        return tr("Above 0 the samples help each other, below 0 they conflict");
    case engine::Variant::symmetric:
        return tr("The same number from A to B as from B to A");
    case engine::Variant::natural:
        return tr("Unchanged when the loss is rescaled");
    case engine::Variant::cosine:
        return tr("Direction only, from −1 (conflict) to 1 (synergy)");
    case engine::Variant::profile:
        return tr("Which parameters are used, with every sample's size taken out");
    }
    return {};
}

QString cellName(const engine::ScoreHeader& header, const CellRef& cell) {
    return QStringLiteral("L%1 · H%2 · %3")
        .arg(header.layers.at(static_cast<std::size_t>(cell.row)))
        .arg(header.heads.at(static_cast<std::size_t>(cell.column)))
        .arg(QLatin1Char(blockName(cell.block)));
}

namespace {
int typeIndex(const engine::ScoreHeader& header, int row, int column) {
    const auto& t = header.headTypes;
    if (t.names.empty()) {
        return -1;
    }
    // The types cover the whole model; the map may show a selection of it.
    const auto at = static_cast<std::size_t>(header.layers.at(static_cast<std::size_t>(row))) *
                        static_cast<std::size_t>(header.model.numHeads) +
                    static_cast<std::size_t>(header.heads.at(static_cast<std::size_t>(column)));
    if (at >= t.type.size() || t.type[at] >= t.names.size()) {
        return -1;
    }
    return t.type[at];
}
} // namespace

QString typeName(const engine::ScoreHeader& header, int row, int column) {
    const int t = typeIndex(header, row, column);
    return t < 0 ? QString()
                 : headTypeLabel(quoted(header.headTypes.names[static_cast<std::size_t>(t)]));
}

int kvHeadOf(const engine::ScoreHeader& header, int column) {
    return static_cast<int>(header.model.kvHead(header.heads.at(static_cast<std::size_t>(column))));
}

QString kvSharing(const engine::ScoreHeader& header, const CellRef& cell) {
    if ((cell.block != Block::K && cell.block != Block::V) || header.model.queriesPerKv() <= 1) {
        return {};
    }
    const int kv = kvHeadOf(header, cell.column);
    QStringList others;
    for (std::size_t c = 0; c < header.heads.size(); ++c) {
        if (static_cast<int>(c) != cell.column && kvHeadOf(header, static_cast<int>(c)) == kv) {
            others << QStringLiteral("H%1").arg(header.heads[c]);
        }
    }
    if (others.isEmpty()) {
        return tr("kv head %1").arg(kv);
    }
    if (others.size() > 4) {
        return tr("shares kv head %1 with %2 heads").arg(kv).arg(others.size());
    }
    return tr("shares kv head %1 with %2").arg(kv).arg(joined(others));
}

FisherState fisherState(const engine::CellHealth& h) {
    if (std::isnan(h.max)) {
        return FisherState::unknown;
    }
    if (!(h.max > 0) || h.shareBelow > poorShare) {
        return FisherState::poor;
    }
    return h.shareBelow > thinShare ? FisherState::thin : FisherState::healthy;
}

QString fisherWords(const engine::CellHealth& h) {
    const auto percent = [&] { return QString::number(std::round(h.shareBelow * 100)); };
    switch (fisherState(h)) {
    case FisherState::healthy:
        return tr("healthy (%1% below the floor)").arg(percent());
    case FisherState::thin:
        return tr("thin: %1% of the parameters lie below the floor").arg(percent());
    case FisherState::poor:
        return h.max > 0 ? tr("poor: %1% of the parameters lie below the floor").arg(percent())
                         : tr("zero everywhere");
    case FisherState::unknown:
        return tr("not known");
    }
    return {};
}

QString headline(const engine::Scores& scores) {
    const auto o = results::overview(scores);
    if (!o.mostConflicted) {
        return {};
    }
    const auto& h = scores.header();
    QString text;
    if (std::count(h.blocks.begin(), h.blocks.end(), true) > 1) {
        text = tr("%1 is the most conflicted block").arg(QLatin1Char(blockName(*o.mostConflicted)));
    }
    if (o.peak) {
        const QString where =
            QStringLiteral("L%1 H%2").arg(o.peak->layer.value).arg(o.peak->head.value);
        QString peak =
            o.mostConflicted == o.peak->block
                ? tr("peak %1").arg(where)
                : tr("peak %1 in %2").arg(where).arg(QLatin1Char(blockName(o.peak->block)));
        if (std::isfinite(o.peakRatio) && o.peakRatio > 0) {
            peak += tr(", %1× %2's median")
                        .arg(number(o.peakRatio))
                        .arg(QLatin1Char(blockName(o.peak->block)));
        }
        text += (text.isEmpty() ? QString() : QStringLiteral(" · ")) + peak;
    }
    return text;
}

QString provenance(const engine::ScoreHeader& h, bool tasks) {
    QStringList parts;
    if (tasks) {
        parts << QStringLiteral("%1 → %2").arg(quoted(h.taskA), quoted(h.taskB));
    }
    parts << tr("%1 × %2 samples")
                 .arg(count(static_cast<std::int64_t>(h.nA())),
                      count(static_cast<std::int64_t>(h.nB())));
    if (h.request.mode) {
        parts << modeName(*h.request.mode).toLower();
    }
    parts << variantName(h.request.variant).toLower();
    switch (h.request.fisherTask) {
    case engine::FisherTask::pooled:
        parts << tr("pooled Fisher");
        break;
    case engine::FisherTask::a:
        parts << tr("Fisher of %1").arg(quoted(h.taskA));
        break;
    case engine::FisherTask::b:
        parts << tr("Fisher of %1").arg(quoted(h.taskB));
        break;
    }
    return parts.join(QStringLiteral(" · "));
}

QString finding(const engine::Scores& scores, const CellRef& cell, std::optional<PairRef> pair,
                double pairScore) {
    const auto& h = scores.header();
    const auto rank = results::rankOf(scores, cell.block, static_cast<std::size_t>(cell.row),
                                      static_cast<std::size_t>(cell.column));
    const double mean = scores.mean(cell.block, static_cast<std::size_t>(cell.row),
                                    static_cast<std::size_t>(cell.column));
    const QString type = typeName(h, cell.row, cell.column);
    QString how = variantName(h.request.variant).toLower();
    if (h.request.mode) {
        how += QStringLiteral(", ") + modeName(*h.request.mode).toLower();
    }
    QString text = tr("%1%2: mean interference of %3 on %4 is %5 (%6), rank %7 of %8")
                       .arg(cellName(h, cell),
                            type.isEmpty() ? QString() : QStringLiteral(" (%1 head)").arg(type),
                            quoted(h.taskA), quoted(h.taskB), number(mean), how,
                            count(static_cast<std::int64_t>(rank.rank)),
                            count(static_cast<std::int64_t>(rank.of)));
    if (pair) {
        text += tr("; %1 × %2 scores %3")
                    .arg(quoted(h.samplesA.at(static_cast<std::size_t>(pair->i)).id),
                         quoted(h.samplesB.at(static_cast<std::size_t>(pair->j)).id),
                         number(pairScore));
    }
    return text + QLatin1Char('.');
}

namespace {
QString shellQuoted(const QString& text) {
    static const QString plain =
        QStringLiteral("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,:=+@%");
    if (!text.isEmpty() &&
        std::all_of(text.begin(), text.end(), [](QChar c) { return plain.contains(c); })) {
        return text;
    }
    QString q = text;
    return QLatin1Char('\'') + q.replace(QLatin1Char('\''), QStringLiteral("'\\''")) +
           QLatin1Char('\'');
}

QString numbers(const std::vector<std::int64_t>& v) {
    QStringList parts;
    for (std::size_t i = 0; i < v.size();) {
        std::size_t j = i;
        while (j + 1 < v.size() && v[j + 1] == v[j] + 1) {
            ++j;
        }
        parts << (j > i + 1 ? QStringLiteral("%1-%2").arg(v[i]).arg(v[j]) : QString::number(v[i]));
        if (j == i + 1) {
            parts << QString::number(v[j]);
        }
        i = j + 1;
    }
    return parts.join(QLatin1Char(','));
}

QString exact(double value) {
    return QString::number(value, 'g', 17);
}
} // namespace

QString commandLine(const engine::ScoreHeader& h, const QString& dumpPath) {
    const auto& r = h.request;
    const engine::ScoreRequest defaults;
    QStringList words{QStringLiteral("qkov compute"), shellQuoted(dumpPath),
                      QStringLiteral("--task-a ") + shellQuoted(quoted(h.taskA)),
                      QStringLiteral("--task-b ") + shellQuoted(quoted(h.taskB))};
    const auto add = [&](const char* option, const QString& value) {
        words << QLatin1String(option) + QLatin1Char(' ') + shellQuoted(value);
    };
    if (r.mode) {
        add("--mode", quoted(engine::name(*r.mode)));
    }
    if (r.variant != defaults.variant) {
        add("--variant", quoted(engine::name(r.variant)));
    }
    if (r.fisherTask != defaults.fisherTask) {
        add("--fisher-task", quoted(engine::name(r.fisherTask)));
    }
    if (r.estimator) {
        add("--fisher-estimator", quoted(engine::name(*r.estimator)));
    }
    if (r.regularization.epsilon != defaults.regularization.epsilon) {
        add("--epsilon", exact(r.regularization.epsilon));
    }
    if (r.regularization.ridge != defaults.regularization.ridge) {
        add("--ridge", exact(r.regularization.ridge));
    }
    if (r.regularization.ridgeRelative != defaults.regularization.ridgeRelative) {
        add("--ridge-rel", exact(r.regularization.ridgeRelative));
    }
    if (r.aggregate != defaults.aggregate) {
        add("--aggregate", quoted(engine::name(r.aggregate)));
    }
    if (r.gradScale != defaults.gradScale) {
        add("--grad-scale", quoted(engine::name(r.gradScale)));
    }
    if (r.includeBias) {
        words << QStringLiteral("--include-bias");
    }
    if (r.nonFinite != defaults.nonFinite) {
        add("--nonfinite", quoted(engine::name(r.nonFinite)));
    }
    if (r.precision != defaults.precision) {
        add("--precision", quoted(engine::name(r.precision)));
    }
    if (!r.layers.empty()) {
        add("--layers", numbers(r.layers));
    }
    if (!r.heads.empty()) {
        add("--heads", numbers(r.heads));
    }
    if (!r.blocks.empty()) {
        QString b;
        for (const Block block : r.blocks) {
            b += QLatin1Char(blockName(block));
        }
        add("--blocks", b);
    }
    const auto ids = [](const std::vector<std::string>& v) {
        QStringList l;
        for (const auto& s : v) {
            l << quoted(s);
        }
        return l.join(QLatin1Char(','));
    };
    if (!r.samplesA.empty()) {
        add("--samples-a", ids(r.samplesA));
    }
    if (!r.samplesB.empty()) {
        add("--samples-b", ids(r.samplesB));
    }
    if (r.maxSamples != defaults.maxSamples) {
        add("--max-samples", QString::number(r.maxSamples));
    }
    return words.join(QLatin1Char(' '));
}

std::optional<CellRef> translated(std::optional<CellRef> cell, const engine::ScoreHeader& from,
                                  const engine::ScoreHeader& to) {
    if (!cell) {
        return {};
    }
    const int row = indexOf(to.layers, from.layers.at(static_cast<std::size_t>(cell->row)));
    const int column = indexOf(to.heads, from.heads.at(static_cast<std::size_t>(cell->column)));
    if (row < 0 || column < 0) {
        return {};
    }
    return CellRef{cell->block, row, column};
}

std::optional<PairRef> translated(std::optional<PairRef> pair, const engine::ScoreHeader& from,
                                  const engine::ScoreHeader& to) {
    if (!pair) {
        return {};
    }
    const auto find = [](const std::vector<dump::SampleInfo>& in, const std::string& id) {
        const auto it =
            std::find_if(in.begin(), in.end(), [&](const auto& s) { return s.id == id; });
        return it == in.end() ? -1 : static_cast<int>(it - in.begin());
    };
    const int i = find(to.samplesA, from.samplesA.at(static_cast<std::size_t>(pair->i)).id);
    const int j = find(to.samplesB, from.samplesB.at(static_cast<std::size_t>(pair->j)).id);
    if (i < 0 || j < 0) {
        return {};
    }
    return PairRef{i, j};
}

} // namespace qkov::ui
