// SPDX-License-Identifier: GPL-3.0-or-later
// Fusion with our palette: the same look everywhere. Three sizes of type, a few shared shapes.
#pragma once

#include "plots/Palette.h"

#include <QFont>
#include <QString>

class QAction;
class QAbstractButton;
class QFormLayout;
class QLabel;
class QWidget;

namespace qkov::ui {

enum class ThemeChoice { system, light, dark };
QString themeName(ThemeChoice choice); ///< "system", "light", "dark": for settings
ThemeChoice themeFromName(const QString& name);

/// Style, palette and style sheet of the whole application. Call again to switch.
void applyTheme(ThemeChoice choice);
ThemeChoice currentTheme();
/// The rules that Fusion and a palette cannot express.
QString themeSheet(const Palette& palette);

enum class TextSize { small, body, large };
QFont textFont(TextSize size, bool bold = false);
void setTextSize(QWidget* widget, TextSize size, bool bold = false);
/// Quiet text: a palette role, so that it follows the theme.
void setMuted(QLabel* label, bool muted = true);

/// Icons that follow the theme: set the name once, refreshIcons() redraws them.
void setIconName(QAction* action, const QString& name);
void setIconName(QAbstractButton* button, const QString& name);
/// Redraws the named icons of the widget and all it holds.
/// Labels of a form level with the boxes beside them.
void alignForm(QFormLayout* form);
void refreshIcons(QWidget* root);

/// Names for tests and for assistive technology.
void nameWidget(QWidget* widget, const char* objectName, const QString& accessibleName,
                const QString& description = {});

} // namespace qkov::ui
