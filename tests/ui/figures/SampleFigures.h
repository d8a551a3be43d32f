// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "figures/FigureExport.h"
#include "ui/plots/SampleMaps.h"

namespace qkov::ui::testing {

inline FigureSpec sampleBlocks(int rows, int columns) {
    FigureSpec s;
    s.kind = FigureKind::blocks;
    for (const QString& title :
         {QStringLiteral("Q"), QStringLiteral("K"), QStringLiteral("V"), QStringLiteral("O")}) {
        s.panels.push_back(sampleMap(rows, columns, title));
    }
    s.valueLabel = QStringLiteral("Mean interference (structural, magnitude)");
    s.source = QStringLiteral("demo.qkov.h5 (0123abcd)");
    s.command = QStringLiteral("qkov figure demo.h5 --kind blocks --out demo.pdf");
    s.inches = {5.5, 0};
    fitHeight(s);
    return s;
}

} // namespace qkov::ui::testing
