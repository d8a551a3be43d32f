// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/Palette.h"

#include <QWidget>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

const Palette& Palette::light() {
    static const Palette p{
        .dark = false,
        .window = QColor(0xf0, 0xf0, 0xf1),
        .card = QColor(0xfb, 0xfb, 0xfb),
        .raised = QColor(0xe6, 0xe6, 0xe8),
        .text = QColor(0x1d, 0x1e, 0x20),
        .mutedText = QColor(0x5c, 0x5e, 0x63),
        .separator = QColor(0xd8, 0xd8, 0xdb),
        .outline = QColor(0x86, 0x88, 0x8d),
        .accent = QColor(0x1f, 0x5f, 0xc4),
        .accentText = QColor(0xff, 0xff, 0xff),
        .selection = QColor(0xd9, 0xe4, 0xf5),
        .warning = QColor(0x8f, 0x5a, 0x00),
        .error = QColor(0xb3, 0x26, 0x1e),
        .good = QColor(0x1a, 0x6e, 0x3c),
        .missing = QColor(0xe4, 0xe4, 0xe6),
        .hatch = QColor(0x9c, 0x9d, 0xa1),
    };
    return p;
}

const Palette& Palette::night() {
    static const Palette p{
        .dark = true,
        .window = QColor(0x1b, 0x1c, 0x1e),
        .card = QColor(0x25, 0x26, 0x28),
        .raised = QColor(0x32, 0x33, 0x36),
        .text = QColor(0xee, 0xee, 0xef),
        .mutedText = QColor(0xa6, 0xa8, 0xad),
        .separator = QColor(0x3a, 0x3b, 0x3e),
        .outline = QColor(0x7d, 0x80, 0x86),
        .accent = QColor(0x7f, 0xb0, 0xff),
        .accentText = QColor(0x10, 0x16, 0x20),
        .selection = QColor(0x2a, 0x3c, 0x5c),
        .warning = QColor(0xe8, 0xb2, 0x4a),
        .error = QColor(0xff, 0x8a, 0x80),
        .good = QColor(0x72, 0xcf, 0x96),
        .missing = QColor(0x35, 0x36, 0x39),
        .hatch = QColor(0x6c, 0x6e, 0x73),
    };
    return p;
}

const Palette& Palette::paper() {
    static const Palette p = [] {
        Palette q = light();
        q.window = q.card = Qt::white;
        q.text = QColor(0x11, 0x11, 0x11);
        q.mutedText = QColor(0x33, 0x33, 0x33);
        return q;
    }();
    return p;
}

const Palette& Palette::current(const QWidget* widget) {
    return of(widget->palette().color(QPalette::Window).lightness() < 128);
}

QPalette Palette::toQPalette() const {
    QPalette q;
    const auto all = [&](QPalette::ColorRole role, const QColor& c) { q.setColor(role, c); };
    all(QPalette::Window, window);
    all(QPalette::WindowText, text);
    all(QPalette::Base, card);
    all(QPalette::AlternateBase, window);
    all(QPalette::Text, text);
    all(QPalette::PlaceholderText, mutedText);
    all(QPalette::Button, raised);
    all(QPalette::ButtonText, text);
    all(QPalette::BrightText, error);
    all(QPalette::ToolTipBase, raised);
    all(QPalette::ToolTipText, text);
    all(QPalette::Highlight, accent);
    all(QPalette::HighlightedText, accentText);
    all(QPalette::Link, accent);
    all(QPalette::LinkVisited, accent);
    all(QPalette::Light, dark ? QColor(0x45, 0x46, 0x4a) : QColor(Qt::white));
    all(QPalette::Midlight, dark ? QColor(0x3a, 0x3b, 0x3e) : QColor(0xf4, 0xf4, 0xf5));
    all(QPalette::Mid, separator);
    all(QPalette::Dark, outline);
    all(QPalette::Shadow, dark ? QColor(0x0c, 0x0c, 0x0d) : QColor(0x70, 0x71, 0x75));
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
        q.setColor(QPalette::Disabled, role, outline);
    }
    q.setColor(QPalette::Disabled, QPalette::Highlight, separator);
    q.setColor(QPalette::Disabled, QPalette::HighlightedText, mutedText);
    return q;
}

double contrastRatio(const QColor& a, const QColor& b) {
    const auto luminance = [](const QColor& c) {
        const auto linear = [](double v) {
            return v <= 0.03928 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
        };
        return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF());
    };
    const double la = luminance(a);
    const double lb = luminance(b);
    return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

} // namespace qkov::ui
