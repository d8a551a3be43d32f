// SPDX-License-Identifier: GPL-3.0-or-later
// The only colours of the interface besides the colour maps: neutral greys, one accent, one
// warning.
#pragma once

#include <QColor>
#include <QPalette>

class QWidget;

namespace qkov::ui {

struct Palette {
    bool dark = false;
    QColor window;     ///< behind the cards
    QColor card;       ///< panels, tables, plots: one step from window
    QColor raised;     ///< hovered rows, buttons
    QColor text;       ///< on window, card and raised: ≥ 7 : 1
    QColor mutedText;  ///< axis ticks, meta: ≥ 4.5 : 1
    QColor separator;  ///< 1-px lines
    QColor outline;    ///< borders of fields and buttons: ≥ 3 : 1
    QColor accent;     ///< selection, focus, primary button: ≥ 4.5 : 1 as text on window and card
    QColor accentText; ///< on accent: ≥ 4.5 : 1
    QColor selection;  ///< background of selected rows; text on it ≥ 4.5 : 1
    QColor warning;    ///< as text on window and card: ≥ 4.5 : 1
    QColor error;      ///< as text on window and card: ≥ 4.5 : 1
    QColor good;       ///< passed; as text on window and card: ≥ 4.5 : 1
    QColor missing;    ///< background of hatched cells
    QColor hatch;      ///< their lines

    /// The primary button under the pointer.
    QColor accentHover() const { return dark ? accent.lighter(112) : accent.darker(112); }

    static const Palette& light();
    static const Palette& night();
    /// Colours of a printed figure: light, on pure white.
    static const Palette& paper();
    static const Palette& of(bool dark) { return dark ? night() : light(); }
    /// The set that a widget shows, told by its own palette's window colour.
    static const Palette& current(const QWidget* widget);

    /// For QApplication::setPalette, with the Fusion style.
    QPalette toQPalette() const;
};

/// WCAG 2.1 contrast ratio, 1..21. Both colours opaque.
double contrastRatio(const QColor& a, const QColor& b);

} // namespace qkov::ui
