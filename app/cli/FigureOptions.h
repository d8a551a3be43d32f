// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "Session.h"

namespace qkov::cli {

struct FigureCommandOptions {
    std::vector<std::string> results;
    std::string kind = "blocks";
    std::string out;
    std::string from;
    std::vector<std::string> with;

    std::string block;
    std::int64_t layer = -1;
    std::int64_t head = -1;
    std::string sampleI;
    std::string sampleJ;
    std::string reduction = "mean";

    std::string size;
    double fontPoints = 8;
    std::string font;
    std::string colorMap;
    std::string range = "data";
    bool log = false;
    bool ownRange = false;
    bool layerZeroBottom = false;
    bool annotate = false;
    int annotateDigits = 2;
    bool noMarks = false;
    bool noLetters = false;
    bool noLegend = false;
    bool legendAbove = false;
    bool decimalComma = false;
    double tickDensity = 1;
    std::string rowTitle;
    std::string columnTitle;
    std::string valueLabel;
    std::string title;
    int dpi = 300;
};

/// Draws and writes. A build without Qt says which build can.
void drawFigure(const Session& session, const FigureCommandOptions& options);

} // namespace qkov::cli
