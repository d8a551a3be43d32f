// SPDX-License-Identifier: GPL-3.0-or-later
// Maps of scores: block, sample × sample.
#include "engine/Scores.h"
#include "plots/HeatmapData.h"

#include <QCoreApplication>

#include <limits>
#include <set>

namespace qkov::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("qkov::ui::Heatmap", text);
}

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Runs of equal group in the given order; empty unless there are two groups at least.
std::vector<HeatmapData::Bracket> groupBands(const std::vector<dump::SampleInfo>& samples,
                                             const std::vector<std::size_t>& order) {
    std::vector<HeatmapData::Bracket> bands;
    bool several = false;
    for (std::size_t n = 0; n < samples.size(); ++n) {
        const QString group = QString::fromStdString(samples[order.empty() ? n : order[n]].group);
        if (bands.empty() || bands.back().label != group) {
            bands.push_back({static_cast<int>(n), static_cast<int>(n), group});
            several = several || bands.size() > 1;
        } else {
            bands.back().last = static_cast<int>(n);
        }
    }
    // Strips say something where groups lie together; in a mixed order they would only flicker.
    std::set<QString> groups;
    for (const auto& band : bands) {
        groups.insert(band.label);
    }
    const bool together = bands.size() <= 3 * groups.size();
    return several && together ? bands : std::vector<HeatmapData::Bracket>{};
}

QStringList ids(const std::vector<dump::SampleInfo>& samples,
                const std::vector<std::size_t>& order) {
    QStringList list;
    list.reserve(static_cast<qsizetype>(samples.size()));
    for (std::size_t n = 0; n < samples.size(); ++n) {
        list << QString::fromStdString(samples[order.empty() ? n : order[n]].id);
    }
    return list;
}

} // namespace

QString valueLabel(const engine::ScoreHeader& header) {
    using engine::Variant;
    const auto& request = header.request;
    QString quantity;
    switch (request.variant) {
    case Variant::magnitude:
    case Variant::natural:
    case Variant::symmetric:
    case Variant::profile:
        quantity = tr("Mean interference");
        break;
    case Variant::signedProduct:
        quantity = tr("Mean signed interference");
        break;
    case Variant::cosine:
        quantity = tr("Mean cosine");
        break;
    }
    const QString variant = QString::fromStdString(engine::name(request.variant));
    // The mode has no part in `profile`.
    if (request.variant == Variant::profile || !request.mode) {
        return QStringLiteral("%1 (%2)").arg(quantity, variant);
    }
    return QStringLiteral("%1 (%2, %3)")
        .arg(quantity, QString::fromStdString(engine::name(*request.mode)), variant);
}

bool isSigned(const engine::ScoreHeader& header) {
    return header.request.variant == engine::Variant::signedProduct ||
           header.request.variant == engine::Variant::cosine;
}

HeatmapData blockHeatmap(const engine::Scores& scores, Block block,
                         const std::vector<double>& values) {
    const engine::ScoreHeader& h = scores.header();
    HeatmapData data;
    data.title = QString(QChar::fromLatin1(blockName(block)));
    data.rowTitle = tr("Layer");
    data.columnTitle = tr("Head");
    data.rows = static_cast<int>(h.layers.size());
    data.columns = static_cast<int>(h.heads.size());
    for (const auto layer : h.layers) {
        data.rowLabels << QString::number(layer);
    }
    for (const auto head : h.heads) {
        data.columnLabels << QString::number(head);
    }
    const auto cells = h.layers.size() * h.heads.size();
    data.values.assign(cells, nan);
    data.states.assign(cells, HeatmapData::State::ok);
    const bool types = !h.headTypes.names.empty() &&
                       h.headTypes.type.size() == static_cast<std::size_t>(h.model.numLayers) *
                                                      static_cast<std::size_t>(h.model.numHeads);
    if (types) {
        data.marks.assign(cells, QChar());
    }
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        const bool computed = scores.computed(l);
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            const std::size_t n = l * h.heads.size() + c;
            if (!computed) {
                data.states[n] = HeatmapData::State::notComputed;
            } else {
                data.values[n] = values.empty() ? scores.mean(block, l, c) : values[n];
                if (std::isnan(data.values[n])) {
                    data.states[n] = HeatmapData::State::missing;
                }
            }
            if (types && h.layers[l] < h.model.numLayers && h.heads[c] < h.model.numHeads) {
                const auto at = static_cast<std::size_t>(h.layers[l]) *
                                    static_cast<std::size_t>(h.model.numHeads) +
                                static_cast<std::size_t>(h.heads[c]);
                const std::size_t type = h.headTypes.type[at];
                if (type < h.headTypes.names.size()) {
                    data.marks[n] = headTypeMark(QString::fromStdString(h.headTypes.names[type]));
                }
            }
        }
    }
    // Query heads that share a kv head, joined under K and V.
    const bool grouped = h.model.numKvHeads > 0 && h.model.numKvHeads < h.model.numHeads;
    data.reserveColumnBrackets = grouped;
    if (grouped && (block == Block::K || block == Block::V)) {
        data.subtitle =
            h.model.numKvHeads == 1 ? tr("1 kv head") : tr("%1 kv heads").arg(h.model.numKvHeads);
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            const auto kv = h.model.kvHead(h.heads[c]);
            const auto column = static_cast<int>(c);
            if (c > 0 && h.model.kvHead(h.heads[c - 1]) == kv) {
                data.columnBrackets.back().last = column;
            } else {
                data.columnBrackets.push_back({column, column, tr("kv %1").arg(kv)});
            }
        }
    }
    return data;
}

HeatmapData pairHeatmap(const engine::Scores& scores, Block block, std::size_t layerRow,
                        std::size_t headColumn, const std::vector<std::size_t>& orderA,
                        const std::vector<std::size_t>& orderB) {
    const engine::ScoreHeader& h = scores.header();
    HeatmapData data;
    data.title = QStringLiteral("L%1 · H%2 · %3")
                     .arg(h.layers[layerRow])
                     .arg(h.heads[headColumn])
                     .arg(QChar::fromLatin1(blockName(block)));
    data.rowTitle = QString::fromStdString(h.taskA);
    data.columnTitle = QString::fromStdString(h.taskB);
    data.rows = static_cast<int>(h.nA());
    data.columns = static_cast<int>(h.nB());
    data.rowLabels = ids(h.samplesA, orderA);
    data.columnLabels = ids(h.samplesB, orderB);
    data.rowBands = groupBands(h.samplesA, orderA);
    data.columnBands = groupBands(h.samplesB, orderB);
    const std::size_t cells = h.nA() * h.nB();
    data.values.assign(cells, nan);
    const bool computed = scores.computed(layerRow);
    const std::vector<float> pairs =
        computed ? scores.pairs(block, layerRow, headColumn) : std::vector<float>{};
    if (pairs.size() != cells) {
        data.states.assign(cells, computed ? HeatmapData::State::missing
                                           : HeatmapData::State::notComputed);
        return data;
    }
    for (std::size_t i = 0; i < h.nA(); ++i) {
        const std::size_t from = (orderA.empty() ? i : orderA[i]) * h.nB();
        for (std::size_t j = 0; j < h.nB(); ++j) {
            data.values[i * h.nB() + j] =
                static_cast<double>(pairs[from + (orderB.empty() ? j : orderB[j])]);
        }
    }
    return data;
}

} // namespace qkov::ui
