// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/Theme.h"

#include "plots/Icons.h"

#include <QAbstractButton>
#include <QAction>
#include <QApplication>
#include <QFormLayout>
#include <QLabel>
#include <QStyleFactory>
#include <QToolTip>
#include <QWidget>

#include <optional>

namespace qkov::ui {

namespace {

constexpr const char* iconProperty = "qkovIcon";
ThemeChoice theme = ThemeChoice::system;

/// Whether the desktop is dark: told by the palette it gave the application at start.
bool systemIsDark() {
    static const bool dark = QApplication::palette().color(QPalette::Window).lightness() < 128;
    return dark;
}

const Palette& applicationPalette() {
    return Palette::of(QApplication::palette().color(QPalette::Window).lightness() < 128);
}

} // namespace

QString themeName(ThemeChoice choice) {
    return choice == ThemeChoice::light  ? QStringLiteral("light")
           : choice == ThemeChoice::dark ? QStringLiteral("dark")
                                         : QStringLiteral("system");
}

ThemeChoice themeFromName(const QString& name) {
    return name == QLatin1String("light")  ? ThemeChoice::light
           : name == QLatin1String("dark") ? ThemeChoice::dark
                                           : ThemeChoice::system;
}

ThemeChoice currentTheme() {
    return theme;
}

void applyTheme(ThemeChoice choice) {
    const bool system = systemIsDark(); // before the palette is ours
    theme = choice;
    const bool dark = choice == ThemeChoice::dark || (choice == ThemeChoice::system && system);
    static std::optional<bool> shown;
    if (!shown) {
        QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
    }
    if (shown != dark) {
        const Palette& p = Palette::of(dark);
        QApplication::setPalette(p.toQPalette());
        QToolTip::setPalette(p.toQPalette());
        qApp->setStyleSheet(themeSheet(p));
        shown = dark;
    }
    for (QWidget* w : QApplication::topLevelWidgets()) {
        refreshIcons(w);
    }
}

QFont textFont(TextSize size, bool bold) {
    QFont f = QApplication::font();
    const double points = f.pointSizeF() > 0 ? f.pointSizeF() : 10;
    f.setPointSizeF(size == TextSize::small   ? points * 0.88
                    : size == TextSize::large ? points * 1.25
                                              : points);
    f.setWeight(bold ? QFont::DemiBold : QFont::Normal);
    return f;
}

void setTextSize(QWidget* widget, TextSize size, bool bold) {
    widget->setFont(textFont(size, bold));
}

void setMuted(QLabel* label, bool muted) {
    label->setForegroundRole(muted ? QPalette::PlaceholderText : QPalette::WindowText);
}

void setIconName(QAction* action, const QString& name) {
    action->setProperty(iconProperty, name);
    action->setIcon(icon(name, applicationPalette()));
}

void setIconName(QAbstractButton* button, const QString& name) {
    button->setProperty(iconProperty, name);
    const Palette& p = applicationPalette();
    button->setIcon(button->property("primary").toBool() && button->isEnabled()
                        ? icon(name, p.accentText)
                        : icon(name, p));
}

void alignForm(QFormLayout* form) {
    for (int row = 0; row < form->rowCount(); ++row) {
        auto* label = form->itemAt(row, QFormLayout::LabelRole);
        auto* field = form->itemAt(row, QFormLayout::FieldRole);
        if (label && label->widget() && field && field->widget()) {
            label->widget()->setMinimumHeight(field->widget()->sizeHint().height());
        }
    }
}

void refreshIcons(QWidget* root) {
    const auto refresh = [](auto* thing) {
        const auto name = thing->property(iconProperty).toString();
        if (!name.isEmpty()) {
            setIconName(thing, name);
        }
    };
    for (QAction* a : root->findChildren<QAction*>()) {
        refresh(a);
    }
    for (QAbstractButton* b : root->findChildren<QAbstractButton*>()) {
        refresh(b);
    }
}

void nameWidget(QWidget* widget, const char* objectName, const QString& accessibleName,
                const QString& description) {
    widget->setObjectName(QLatin1String(objectName));
    widget->setAccessibleName(accessibleName);
    if (!description.isEmpty()) {
        widget->setAccessibleDescription(description);
    }
}

} // namespace qkov::ui
