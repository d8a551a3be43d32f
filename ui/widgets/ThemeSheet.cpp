// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/Theme.h"

namespace qkov::ui {

QString themeSheet(const Palette& p) {
    QString s = QStringLiteral(R"(
QMainWindow, QDialog { background: @window; }
QMainWindow::separator { background: @window; width: 8px; height: 8px; }
QMainWindow::separator:hover { background: @separator; }
QToolBar { background: @window; border: none; border-bottom: 1px solid @separator; spacing: 6px; padding: 6px 8px; }
QToolBar::separator { background: @separator; width: 1px; margin: 4px 6px; }
QStatusBar { background: @window; border-top: 1px solid @separator; }
QStatusBar::item { border: none; }
QMenuBar { background: @window; }
QMenuBar::item { padding: 4px 8px; background: transparent; }
QMenuBar::item:selected { background: @raised; border-radius: 4px; }
QToolButton { border: 1px solid transparent; border-radius: 4px; padding: 4px 8px; background: transparent; }
QToolButton:hover { background: @raised; }
QToolButton:pressed { background: @separator; }
QToolButton:focus { border-color: @accent; }
QToolButton:disabled { color: @outline; }
QToolButton[popupMode="1"] { padding-right: 20px; }
QToolButton[popupMode="2"] { padding-right: 20px; }
QToolButton#qt_toolbar_ext_button { border: none; padding: 0; qproperty-icon: url(:/widgets/images/arrow-@theme.svg); }
QToolButton::menu-indicator { subcontrol-origin: padding; subcontrol-position: right center; right: 6px; width: 8px; }
QToolButton::menu-button { border: none; width: 18px; }
QToolButton[toggle="true"] { border: 1px solid @outline; background: @card; }
QToolButton:checked { background: @selection; border-color: @accent; }
QToolButton[segment="true"] { border: 1px solid @outline; border-radius: 0; margin: 0 -1px 0 0; padding: 4px 10px; background: @card; }
QToolButton[segment="true"][place="first"] { border-top-left-radius: 4px; border-bottom-left-radius: 4px; }
QToolButton[segment="true"][place="last"] { border-top-right-radius: 4px; border-bottom-right-radius: 4px; margin: 0; }
QToolButton[segment="true"]:hover { background: @raised; }
QToolButton[segment="true"]:checked { background: @selection; border-color: @accent; color: @text; }
QToolButton[segment="true"]:focus { border: 2px solid @accent; padding: 3px 9px; }
QToolButton[segment="true"]:disabled { color: @outline; border-color: @separator; background: @window; }
QToolButton[primary="true"], QPushButton[primary="true"] { background: @accent; color: @accentText; border: 1px solid @accent; border-radius: 4px; padding: 4px 12px; font-weight: 600; }
QToolButton[primary="true"]:hover, QPushButton[primary="true"]:hover { background: @accentHover; }
QToolButton[primary="true"]:focus, QPushButton[primary="true"]:focus { border: 2px solid @text; padding: 3px 11px; }
QToolButton[primary="true"]:disabled, QPushButton[primary="true"]:disabled { background: @raised; color: @mutedText; border-color: @separator; }
QPushButton { background: @card; border: 1px solid @outline; border-radius: 4px; padding: 5px 14px; }
QPushButton:hover { background: @raised; }
QPushButton:focus { border: 2px solid @accent; padding: 4px 13px; }
QPushButton:disabled { color: @outline; border-color: @separator; }
QPushButton[link="true"] { background: transparent; border: 1px solid transparent; color: @accent; padding: 4px 6px; text-align: left; }
QPushButton[link="true"]:hover { background: @raised; }
QPushButton[link="true"]:focus { border: 1px solid @accent; }
QLineEdit, QAbstractSpinBox { background: @card; border: 1px solid @outline; border-radius: 4px; padding: 4px 6px; selection-background-color: @accent; selection-color: @accentText; }
QLineEdit:focus, QAbstractSpinBox:focus { border: 2px solid @accent; padding: 3px 5px; }
QLineEdit:disabled, QAbstractSpinBox:disabled { color: @outline; border-color: @separator; }
QPlainTextEdit, QTextBrowser, QTextEdit { background: @card; border: 1px solid transparent; selection-background-color: @accent; selection-color: @accentText; }
QPlainTextEdit:focus, QTextBrowser:focus, QTextEdit:focus { border-color: @accent; }
QFrame[card="true"] { background: @card; border-radius: 6px; }
QFrame[bar="true"] { background: @card; border: none; border-bottom: 1px solid @separator; }
QTabBar { background: transparent; }
QTabBar::tab { padding: 7px 14px; border: none; border-bottom: 2px solid transparent; color: @mutedText; background: transparent; }
QTabBar::tab:selected { color: @text; border-bottom-color: @accent; }
QTabBar::tab:hover { color: @text; }
QTabBar::tab:focus { color: @text; background: @raised; border: 1px solid @accent; border-bottom: 2px solid @accent; border-radius: 3px; padding: 6px 13px 7px 13px; }
QTabWidget::pane { border: none; }
QDockWidget::title { background: @window; padding: 8px 8px 4px 8px; text-align: left; }
QTreeView, QTableView, QListView { background: @card; border: 1px solid transparent; selection-background-color: @selection; selection-color: @text; outline: none; }
QTreeView[quiet="true"] { background: @window; }
QTreeView::item, QListView::item { padding: 2px 4px; min-height: 20px; }
QTreeView::item:hover, QListView::item:hover, QTableView::item:hover { background: @raised; }
QTreeView::item:selected, QListView::item:selected { background: @selection; color: @text; }
QTableView::item { padding: 0 4px; border: none; }
QTableView::item:selected { padding: 0 4px; border: none; background: @selection; color: @text; }
QTableView:focus, QTreeView:focus, QListView:focus { border: 1px solid @accent; }
QHeaderView { background: @card; }
QHeaderView::section { background: @card; color: @mutedText; border: none; border-bottom: 1px solid @separator; padding: 4px 6px; }
QHeaderView::section:hover { color: @text; }
QHeaderView::up-arrow, QHeaderView::down-arrow { subcontrol-position: top center; width: 8px; height: 8px; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QPushButton[way="true"] { text-align: left; padding: 6px 14px; }
QComboBox { background: @card; border: 1px solid @outline; border-radius: 4px; padding: 3px 8px; min-height: 20px; }
QComboBox:hover { background: @raised; }
QComboBox:focus { border: 2px solid @accent; padding: 2px 7px; }
QComboBox:disabled { color: @outline; border-color: @separator; background: @window; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url(:/widgets/images/arrow-@theme.svg); width: 10px; height: 10px; }
QComboBox QAbstractItemView { background: @card; border: 1px solid @outline; }
QCheckBox, QRadioButton { spacing: 7px; }
QCheckBox::indicator, QRadioButton::indicator { width: 14px; height: 14px; border: 1px solid @outline; background: @card; }
QCheckBox::indicator { border-radius: 3px; }
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: @text; }
QCheckBox::indicator:checked { background: @accent; border-color: @accent; image: url(:/widgets/images/check-@theme.svg); }
QRadioButton::indicator:checked { border-color: @accent; background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5, fx: 0.5, fy: 0.5, stop: 0 @accent, stop: 0.55 @accent, stop: 0.65 @card, stop: 1 @card); }
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border: 2px solid @text; width: 12px; height: 12px; }
QCheckBox::indicator:disabled { border-color: @separator; background: @window; }
QCheckBox:disabled, QRadioButton:disabled { color: @mutedText; }
QAbstractSpinBox::up-button { subcontrol-origin: border; subcontrol-position: top right; width: 20px; border: none; margin-top: 2px; }
QAbstractSpinBox::down-button { subcontrol-origin: border; subcontrol-position: bottom right; width: 20px; border: none; margin-bottom: 2px; }
QAbstractSpinBox::up-arrow { image: url(:/widgets/images/arrow-up-@theme.svg); width: 8px; height: 8px; }
QAbstractSpinBox::down-arrow { image: url(:/widgets/images/arrow-@theme.svg); width: 8px; height: 8px; }
QProgressBar { background: @raised; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: @accent; border-radius: 3px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: @separator; }
QScrollArea { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: @scroll; border-radius: 3px; }
QScrollBar::handle:vertical { min-height: 28px; margin: 2px 3px; }
QScrollBar::handle:horizontal { min-width: 28px; margin: 3px 2px; }
QScrollBar::handle:hover { background: @outline; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QToolTip { background: @raised; color: @text; border: 1px solid @outline; padding: 6px; }
)");
    const auto put = [&](const char* name, const QColor& c) {
        s.replace(QLatin1Char('@') + QLatin1String(name), c.name());
    };
    s.replace(QLatin1String("@theme"), QLatin1String(p.dark ? "dark" : "light"));
    // Longer names first: "@accentText" before "@accent".
    put("accentText", p.accentText);
    put("accentHover", p.accentHover());
    put("accent", p.accent);
    put("mutedText", p.mutedText);
    put("selection", p.selection);
    put("separator", p.separator);
    put("scroll", p.dark ? QColor(0x50, 0x52, 0x56) : QColor(0xb9, 0xba, 0xbe));
    put("outline", p.outline);
    put("raised", p.raised);
    put("window", p.window);
    put("card", p.card);
    put("text", p.text);
    return s;
}

} // namespace qkov::ui
