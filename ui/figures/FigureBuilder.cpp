// SPDX-License-Identifier: GPL-3.0-or-later
#include "figures/FigureBuilder.h"

#include <QCoreApplication>

namespace qkov::ui::figure {

QString tr(const char* text) {
    return QCoreApplication::translate("qkov::ui::Figure", text);
}
QString q(const std::string& text) {
    return QString::fromStdString(text);
}

FigureSpec base(FigureKind kind, const FigureOptions& o, double width) {
    FigureSpec s;
    s.kind = kind;
    s.inches = o.inches.value_or(QSizeF(width, 0));
    s.fontPoints = o.fontPoints;
    s.fontFamily = o.fontFamily;
    s.colorMap = o.colorMap.value_or(ColorMap::Id::viridis);
    s.range = o.range;
    s.sharedRange = o.sharedRange;
    s.panelLetters = o.panelLetters;
    s.layerZeroAtTop = o.layerZeroAtTop;
    s.annotate = o.annotate;
    s.annotationDigits = o.annotationDigits;
    s.marks = o.marks;
    s.legend = o.legend;
    s.legendAbove = o.legendAbove;
    s.tickDensity = o.tickDensity;
    s.decimalComma = o.decimalComma;
    s.title = o.title;
    s.command = o.command;
    s.dpi = o.dpi;
    return s;
}

FigureSpec base(FigureKind kind, const FigureOptions& o, double width,
                const engine::ScoreHeader& h) {
    FigureSpec s = base(kind, o, width);
    if (isSigned(h)) {
        s.colorMap = o.colorMap.value_or(ColorMap::Id::vik);
        s.range.centred = s.range.kind != RangeOptions::Kind::given && s.colorMap.diverging();
    }
    s.valueLabel = valueLabel(h);
    s.source = q(h.dumpName);
    if (!h.dumpFingerprint.empty()) {
        s.source += QStringLiteral(" (%1)").arg(q(h.dumpFingerprint));
    }
    return s;
}

void finish(FigureSpec& s, const FigureOptions& o) {
    for (HeatmapData& d : s.panels) {
        if (!o.rowTitle.isEmpty()) {
            d.rowTitle = o.rowTitle;
        }
        if (!o.columnTitle.isEmpty()) {
            d.columnTitle = o.columnTitle;
        }
    }
    if (!o.valueLabel.isEmpty()) {
        s.valueLabel = o.valueLabel;
    }
    if (s.inches.height() <= 0) {
        fitHeight(s);
    }
}

QString conditions(const engine::ScoreHeader& h) {
    QString text = tr("Tasks: %1 (A, n = %2) and %3 (B, n = %4). Variant: %5")
                       .arg(q(h.taskA))
                       .arg(h.nA())
                       .arg(q(h.taskB))
                       .arg(h.nB())
                       .arg(q(engine::name(h.request.variant)));
    if (h.request.variant != engine::Variant::profile) {
        if (h.request.mode) {
            text += tr("; normalization: %1").arg(q(engine::name(*h.request.mode)));
        }
        text += tr("; Fisher: %1").arg(q(engine::name(h.request.fisherTask)));
        if (h.request.estimator) {
            text += QStringLiteral(", %1").arg(q(engine::name(*h.request.estimator)));
        }
    }
    text += u'.';
    if (h.request.variant == engine::Variant::magnitude &&
        h.request.mode == engine::Mode::structural &&
        h.request.fisherTask == engine::FisherTask::a) {
        text += tr(" With task A's own Fisher such a map hardly depends on A.");
    }
    if (!h.model.name.empty()) {
        text = tr("Model: %1. ").arg(q(h.model.name)) + text;
    }
    return text;
}

} // namespace qkov::ui::figure
