// SPDX-License-Identifier: GPL-3.0-or-later
// The estimate comes before anything runs, nothing can be started in a wrong state, and the last
// choices come back.
#include "document/LayoutStore.h"
#include "pages/CollectDialog.h"
#include "ui/UnknownModel.h"
#include "widgets/StatusLine.h"

#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QPushButton>
#include <QSettings>
#include <QSpinBox>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace qkov;
using namespace qkov::ui;
using K = StatusLine::Kind;

namespace {
const QString script = QStringLiteral(QKOV_TEST_DATA "/collect/torchscript/");
const QString demo = QStringLiteral(QKOV_RESOURCES "/demo");
} // namespace

class TestCollectDialog : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_dir.path());
        QVERIFY(test::writeUnknownModel(folder()));
        QVERIFY(QFile::copy(script + "model.pt", folder() + "/model.pt"));
        QVERIFY(QFile::copy(script + "samples.jsonl", folder() + "/samples.jsonl"));
    }
    void init() {
        QSettings().clear();
        layouts::forget(folder());
    }

    void theEstimateComesFirst() {
        CollectDialog d(demo);
        d.setOutput(m_dir.filePath("demo.h5"));
        QVERIFY(!d.runButton()->isEnabled());
        QVERIFY(d.estimating());
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY2(d.runButton()->isEnabled(), qPrintable(d.estimateText()));
        for (const char* part : {"120 samples", "memory", "on disk", "while writing"}) {
            QVERIFY2(d.estimateText().contains(part), qPrintable(d.estimateText()));
        }
    }

    void wrongStatesCantStart() {
        CollectDialog d(demo);
        d.setOutput(m_dir.filePath("demo.h5"));
        const auto refused = [&](const QString& words) {
            return !d.runButton()->isEnabled() && d.status()->kind() == K::error &&
                   d.estimateText().contains(words);
        };
        auto names = d.findChildren<QLineEdit*>("collectTaskName");
        auto files = d.findChildren<QLineEdit*>("collectTaskFile");
        QCOMPARE(names.size(), 2);
        const QString first = names[0]->text();
        names[0]->setText(names[1]->text());
        QVERIFY(refused("Two tasks"));
        names[0]->setText("a/b");
        QVERIFY(refused("slash"));
        names[0]->clear();
        QVERIFY(refused("name"));
        names[0]->setText(first);
        const QString file = files[0]->text();
        files[0]->setText("/nowhere/x.jsonl");
        QVERIFY(refused("no file"));
        files[0]->setText(file);
        d.setOutput("/nowhere/out.h5");
        QVERIFY(refused("does not exist"));
        d.setOutput(demo + "/config.json");
        QVERIFY(refused("read"));
        d.setOutput(m_dir.filePath("demo.h5"));
        d.findChild<QLineEdit*>("collectLayout")->setText("/nowhere/layout.json");
        QVERIFY(refused("layout file"));
        d.findChild<QLineEdit*>("collectLayout")->clear();
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY(d.runButton()->isEnabled());
        // Samples that can't be read: said by the estimate.
        test::writeFile(m_dir.filePath("bad.jsonl"), "{\"id\": \"x\"\n");
        files[0]->setText(m_dir.filePath("bad.jsonl"));
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY(refused("bad.jsonl"));
    }

    void anUnknownModelNeedsALayoutAndAModule() {
        CollectDialog d(folder());
        auto* runs = d.findChild<QComboBox*>("collectRuns");
        QCOMPARE(runs->currentIndex(), 1); // only the module can be run
        QVERIFY(!d.findChild<QComboBox*>("collectStorage")->isEnabled());
        d.setOutput(m_dir.filePath("mine.h5"));
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY2(d.estimateText().contains("layout"), qPrintable(d.estimateText()));
        QVERIFY(!d.runButton()->isEnabled());
        d.findChild<QLineEdit*>("collectLayout")->setText(script + "layout.json");
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY2(d.runButton()->isEnabled(), qPrintable(d.estimateText()));
        const auto r = d.request();
        QCOMPARE(r.model.filename().string(), std::string("model.pt"));
        QVERIFY(!r.factored && !r.headTypes);
        // The checkpoint itself can't be run, and that is said.
        runs->setCurrentIndex(0);
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY2(d.estimateText().contains("mine"), qPrintable(d.estimateText()));
        QVERIFY(!d.runButton()->isEnabled());
    }

    void aModuleAloneIsRun() {
        const QString alone = m_dir.filePath("alone");
        QVERIFY(QDir().mkpath(alone));
        for (const char* name : {"model.pt", "config.json", "samples.jsonl"}) {
            QVERIFY(QFile::copy(script + name, alone + '/' + name));
        }
        for (const QString& model : {alone, alone + "/model.pt"}) {
            CollectDialog d(model);
            QVERIFY(!d.findChild<QComboBox*>("collectRuns")->isVisibleTo(&d)); // nothing to choose
            QVERIFY(!d.findChild<QComboBox*>("collectStorage")->isEnabled());
            d.setOutput(m_dir.filePath("alone.h5"));
            d.findChild<QLineEdit*>("collectLayout")->setText(script + "layout.json");
            QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
            QVERIFY2(d.runButton()->isEnabled(), qPrintable(d.estimateText()));
            QCOMPARE(d.request().model.filename().string(), std::string("model.pt"));
        }
    }

    void aKeptLayoutIsUsed() {
        QFile f(script + "layout.json");
        QVERIFY(f.open(QIODevice::ReadOnly));
        layouts::remember(folder(), QString::fromUtf8(f.readAll()));
        CollectDialog d(folder());
        d.setOutput(m_dir.filePath("mine.h5"));
        QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
        QVERIFY2(d.runButton()->isEnabled(), qPrintable(d.estimateText()));
    }

    void interruptedRunsGoOn() {
        CollectDialog d(demo);
        d.setOutput(m_dir.filePath("stopped.h5"));
        QVERIFY(!d.request().resume);
        QVERIFY(QDir().mkpath(m_dir.filePath("stopped.h5.partial")));
        d.setOutput(QString());
        d.setOutput(m_dir.filePath("stopped.h5"));
        QVERIFY(d.request().resume);
        d.findChild<QCheckBox*>("collectResume")->setChecked(false);
        QVERIFY(!d.request().resume);
    }

    void theLastChoicesComeBack() {
        {
            CollectDialog d(demo);
            d.findChild<QSpinBox*>("collectMaxSamples")->setValue(7);
            d.findChild<QComboBox*>("collectDtype")->setCurrentIndex(1);
            d.findChildren<QLineEdit*>("collectTaskName").first()->setText("sums");
            d.setOutput(m_dir.filePath("again.h5"));
            QTRY_VERIFY_WITH_TIMEOUT(!d.estimating(), 20000);
            d.accept();
        }
        CollectDialog d(demo);
        const auto r = d.request();
        QCOMPARE(r.maxSamples, std::int64_t(7));
        QCOMPARE(r.storage, DType::f32);
        QCOMPARE(r.tasks.front().name, std::string("sums"));
        QCOMPARE(QString::fromStdString(r.out.string()), m_dir.filePath("again.h5"));
        // Another model: its own files, the same options.
        CollectDialog other(folder());
        QCOMPARE(other.request().tasks.size(), std::size_t(1));
        QCOMPARE(other.request().tasks.front().name, std::string("samples"));
        QCOMPARE(other.request().maxSamples, std::int64_t(7));
    }

    void everyControlHasAName() {
        CollectDialog d(demo);
        d.show();
        for (const QWidget* w : d.findChildren<QWidget*>()) {
            const bool control =
                qobject_cast<const QLineEdit*>(w) || qobject_cast<const QComboBox*>(w) ||
                qobject_cast<const QPushButton*>(w) || qobject_cast<const QToolButton*>(w);
            if (control && w->isVisible() && !w->objectName().startsWith("qt_")) {
                const auto* button = qobject_cast<const QAbstractButton*>(w);
                QVERIFY2(!w->accessibleName().isEmpty() || (button && !button->text().isEmpty()),
                         qPrintable(w->objectName()));
            }
        }
    }

  private:
    QString folder() const { return m_dir.filePath("mine"); }
    QTemporaryDir m_dir;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("collectdialog-test"));
    TestCollectDialog t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_collectdialog.moc"
