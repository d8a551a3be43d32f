// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/compare/CompareWords.h"

#include "document/Words.h"

#include <QCoreApplication>

namespace qkov::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("ComparePage", text);
}

/// "0-5, 8": numbers in ascending order.
QString ranges(const std::vector<int>& numbers) {
    QStringList parts;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t end = i;
        while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) {
            ++end;
        }
        parts << (end == i ? QString::number(numbers[i])
                           : QStringLiteral("%1-%2").arg(numbers[i]).arg(numbers[end]));
        i = end + 1;
    }
    return parts.join(QStringLiteral(", "));
}

QString shapeText(const engine::ScoreHeader& h) {
    return tr("%1 layers × %2 heads").arg(h.layers.size()).arg(h.heads.size());
}

} // namespace

QString verdict(engine::Mode mode) {
    switch (mode) {
    case engine::Mode::behavioral:
        return tr("May violate the theorem");
    case engine::Mode::structural:
        return tr("Fully compliant");
    case engine::Mode::hybrid:
        return tr("Partially compliant");
    }
    return {};
}

QString reason(engine::Mode mode) {
    switch (mode) {
    case engine::Mode::behavioral:
        return tr("Divides by the mean Fisher of all heads of the same type, so a "
                  "parameter's own Fisher no longer bounds its part.");
    case engine::Mode::structural:
        return tr("Divides each parameter by its own Fisher, as the Contribution "
                  "Safety Theorem asks.");
    case engine::Mode::hybrid:
        return tr("Divides by the geometric mean of the two: half of the own Fisher "
                  "stays.");
    }
    return {};
}

QString pictureSentence(const QStringList& modesOfB, const engine::ScoreRequest& r) {
    if (modesOfB.isEmpty()) {
        return {};
    }
    const QString b = quoted(r.taskB);
    QString text = modesOfB.size() == 1
                       ? tr("The %1 map is a picture of %2 alone: it ranks the cells "
                            "as the size of %2's gradients does.")
                             .arg(modesOfB.front(), b)
                       : tr("The %1 maps are pictures of %2 alone: they rank the "
                            "cells as the size of %2's gradients does.")
                             .arg(modesOfB.join(tr(" and ")), b);
    text += r.fisherTask == engine::FisherTask::pooled
                ? tr(" Single pairs still depend on both.")
                : tr(" Single pairs still depend on both. Choose the pooled Fisher in "
                     "the options.");
    return text;
}

QString pictureByFormula(const engine::ScoreRequest& r) {
    if (r.fisherTask != engine::FisherTask::a ||
        (r.variant != engine::Variant::magnitude && r.variant != engine::Variant::natural)) {
        return {};
    }
    return tr("With the Fisher of %1 alone, the structural map is %2 a picture of %3: dividing %1 "
              "by its own mean leaves nothing of it. Single pairs still depend on both. Choose the "
              "pooled Fisher in the options.")
        .arg(quoted(r.taskA),
             r.estimator == engine::Estimator::mean ? tr("only") : tr("nearly only"),
             quoted(r.taskB));
}

bool sameCells(const engine::ScoreHeader& a, const engine::ScoreHeader& b) {
    return a.layers == b.layers && a.heads == b.heads;
}

QString cellsDiffer(const engine::ScoreHeader& a, const engine::ScoreHeader& b) {
    if (sameCells(a, b)) {
        return {};
    }
    if (a.layers.size() != b.layers.size() || a.heads.size() != b.heads.size()) {
        return tr("These results have %1, the others %2: they are shown beside each other, "
                  "but can't be subtracted.")
            .arg(shapeText(a), shapeText(b));
    }
    // As large, but other places of the model.
    const bool layers = a.layers != b.layers;
    return (layers ? tr("These results have layers %1, the others layers %2: they are shown beside "
                        "each other, but can't be subtracted.")
                   : tr("These results have heads %1, the others heads %2: they are shown beside "
                        "each other, but can't be subtracted."))
        .arg(layers ? ranges(a.layers) : ranges(a.heads),
             layers ? ranges(b.layers) : ranges(b.heads));
}

QString optionsDiffer(const engine::ScoreHeader& a, const engine::ScoreHeader& b) {
    if (a.request.variant == b.request.variant && a.request.mode == b.request.mode &&
        a.request.aggregate == b.request.aggregate) {
        return {};
    }
    return tr("They were computed with different options; compare ranks rather than sizes.");
}

} // namespace qkov::ui
