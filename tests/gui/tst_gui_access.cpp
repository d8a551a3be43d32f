// SPDX-License-Identifier: GPL-3.0-or-later
// By keyboard alone, and as assistive technology reads the window.
#include "gui/AccessibleNames.h"
#include "gui/DemoFixture.h"

#include "document/Selection.h"
#include "pages/OverviewPage.h"
#include "pages/window/MainWindow.h"
#include "widgets/Theme.h"

#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAccessible>
#include <QAction>
#include <QApplication>
#include <QButtonGroup>
#include <QComboBox>
#include <QLineEdit>
#include <QMenu>
#include <QPlainTextEdit>
#include <QSet>
#include <QSettings>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTest>

#include <memory>

using namespace qkov;
using namespace qkov::ui;

class TestAccess : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        m_settings = std::make_unique<QTemporaryDir>();
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_settings->path());
        applyTheme(ThemeChoice::light);
        m_demo = std::make_unique<test::DemoFixture>(8);
        m_window = std::make_unique<MainWindow>();
        m_window->resize(1440, 900);
        m_window->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
        m_window->activateWindow(); // there may be no window manager to do it
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
        m_window->open(m_demo->results());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
    }

    void everyControlHasAName() {
        for (int t = 0; t < m_window->tabs()->count(); ++t) {
            m_window->tabs()->setCurrentIndex(t);
            QTest::qWait(100);
            const QString tree = test::checkNames(m_window.get());
            QVERIFY(tree.contains(QStringLiteral("Normalization")) ||
                    tree.contains(QStringLiteral("Structural")));
        }
    }

    void tabReachesEveryControl() {
        m_window->document()->selection()->setCell(CellRef{Block::K, 2, 5});
        for (int t = 0; t < m_window->tabs()->count(); ++t) {
            m_window->tabs()->setCurrentIndex(t);
            QTest::qWait(100);
            m_window->setFocus();
            QSet<const QWidget*> visited;
            for (int n = 0; n < 200; ++n) {
                QTest::keyClick(QApplication::focusWidget() ? QApplication::focusWidget()
                                                            : m_window.get(),
                                Qt::Key_Tab);
                const QWidget* now = QApplication::focusWidget();
                if (visited.contains(now) && n > 60) {
                    break;
                }
                visited.insert(now);
            }
            QStringList missed;
            for (QWidget* w : m_window->findChildren<QWidget*>()) {
                const bool control =
                    qobject_cast<QAbstractButton*>(w) || qobject_cast<QComboBox*>(w) ||
                    qobject_cast<QLineEdit*>(w) || qobject_cast<QAbstractItemView*>(w) ||
                    qobject_cast<QPlainTextEdit*>(w) || qobject_cast<HeatmapView*>(w);
                const auto* button = qobject_cast<QAbstractButton*>(w);
                // Of a group, Tab goes to the chosen one and arrows to the others; parts of other
                // controls are theirs.
                const bool other =
                    (button && button->group() && !button->isChecked()) ||
                    w->objectName().startsWith(QLatin1String("qt_")) ||
                    w->inherits("QLineEditIconButton") || w->inherits("QTableCornerButton") ||
                    w->inherits("QHeaderView") ||
                    (w->parentWidget() && (w->parentWidget()->inherits("QTabBar") ||
                                           w->parentWidget()->inherits("QComboBox") ||
                                           w->parentWidget()->inherits("QAbstractItemView")));
                if (control && !other && w->isVisible() && w->isEnabled() &&
                    !w->visibleRegion().isEmpty() && !visited.contains(w)) {
                    missed << QString::fromLatin1(w->metaObject()->className()) + QLatin1Char(' ') +
                                  w->objectName();
                }
            }
            QVERIFY2(missed.isEmpty(),
                     qPrintable(m_window->tabs()->tabText(t) + QStringLiteral(": ") +
                                missed.join(QStringLiteral(", "))));
        }
    }

    void theCurrentCellIsSaid() {
        m_window->tabs()->setCurrentIndex(0);
        m_window->document()->selection()->setCell(CellRef{Block::K, 2, 5});
        auto* k = m_window->overview()->maps()->view(Block::K);
        const QString said = k->describe({2, 5});
        QVERIFY2(said.contains(QStringLiteral("2")) && said.contains(QStringLiteral("5")),
                 qPrintable(said));
        // As assistive technology reads it: the map's value, and the cell as its focused child.
        auto* map = QAccessible::queryAccessibleInterface(k);
        QVERIFY(map && map->text(QAccessible::Name).contains(QStringLiteral("K")));
        QCOMPARE(map->text(QAccessible::Value), said);
        QCOMPARE(map->childCount(), 1);
        QCOMPARE(map->child(0)->text(QAccessible::Name), said);
        QCOMPARE(map->child(0)->role(), QAccessible::Cell);
        QVERIFY(map->child(0)->state().selected);
    }

    void everyActionHasAKey() {
        QStringList without;
        for (const QAction* a : m_window->findChildren<QAction*>()) {
            const bool named = !a->objectName().isEmpty() &&
                               !a->objectName().startsWith(QLatin1String("_q")) &&
                               !a->objectName().startsWith(QLatin1String("look")) && !a->menu();
            if (named && a->shortcut().isEmpty()) {
                without << a->objectName();
            }
        }
        QVERIFY2(without.isEmpty(), qPrintable(without.join(QStringLiteral(", "))));
    }

    void cleanupTestCase() { m_window.reset(); }

  private:
    std::unique_ptr<QTemporaryDir> m_settings;
    std::unique_ptr<test::DemoFixture> m_demo;
    std::unique_ptr<MainWindow> m_window;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-access-test"));
    TestAccess t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_gui_access.moc"
