// SPDX-License-Identifier: GPL-3.0-or-later
// What the stores hold is said before anything is written, what is wrong stands below its field,
// and what comes out is a dump that is open.
#include "core/dump/StoreFixture.h"
#include "document/Document.h"
#include "dump/Import.h"
#include "pages/dialogs/ImportDialog.h"
#include "pages/dialogs/OutputFile.h"
#include "widgets/StatusLine.h"

#include <QApplication>
#include <QComboBox>
#include <QLineEdit>
#include <QPushButton>
#include <QSettings>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace qkov;
using namespace qkov::ui;
using K = StatusLine::Kind;

class TestImportDialog : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_dir.path());
        fixture::bergson(at("math"), 3, true);
        fixture::bergson(at("code"), 4, true);
        fixture::put(at("config.json"), fixture::gpt2Config);
    }
    void init() { QSettings().clear(); }

    void nothingCanStartEmpty() {
        ImportDialog d(m_dir.path());
        QVERIFY(!d.importButton()->isEnabled());
        QTRY_VERIFY(!d.reading());
        QVERIFY(!d.importButton()->isEnabled());
        QCOMPARE(d.summary()->kind(), K::quiet);
    }

    void storesAreDescribed() {
        ImportDialog d(m_dir.path());
        fill(d);
        QTRY_VERIFY(!d.reading());
        QVERIFY2(d.importButton()->isEnabled(), qPrintable(d.summary()->text()));
        QCOMPARE(d.taskStatus(0)->kind(), K::good);
        QCOMPARE(d.taskStatus(0)->text(),
                 QString("bergson: 3 samples, 3 modules, float32; 2 of them attention matrices"));
        QVERIFY(d.summary()->text().contains("7 samples"));
        QVERIFY(d.summary()->text().contains("B"));
        const auto r = d.request();
        QCOMPARE(r.tasks.size(), std::size_t(2));
        QCOMPARE(r.lossReduction, std::string("mean"));
    }

    void problemsStandBelowTheirField() {
        ImportDialog d(m_dir.path());
        fill(d);
        d.setConfig(at("missing.json"));
        QTRY_VERIFY(!d.reading());
        QVERIFY(!d.importButton()->isEnabled());
        auto* config = d.findChild<StatusLine*>("importConfigStatus");
        QCOMPARE(config->kind(), K::error);
        QVERIFY(!config->text().isEmpty());
        // The stores are described all the same.
        QCOMPARE(d.taskStatus(0)->kind(), K::good);

        d.setConfig(at("config.json"));
        d.addTask("third", at("config.json"));
        QTRY_VERIFY(!d.reading());
        QCOMPARE(d.taskStatus(2)->kind(), K::error);
        QVERIFY(!d.importButton()->isEnabled());
        d.findChildren<QToolButton*>("importRemoveTask").last()->click();
        QTRY_VERIFY(!d.reading());
        QVERIFY(d.importButton()->isEnabled());

        // Same name twice, a slash, no such folder for the dump.
        auto* name = d.findChildren<QLineEdit*>("importTaskName").at(1);
        name->setText("math");
        QTRY_VERIFY(!d.reading());
        QVERIFY(d.summary()->text().contains("Two tasks") && !d.importButton()->isEnabled());
        name->setText("a/b");
        QTRY_VERIFY(!d.reading());
        QVERIFY(d.summary()->text().contains("slash") && !d.importButton()->isEnabled());
        name->setText("code");
        d.setOutput(at("nowhere/out.h5"));
        QTRY_VERIFY(!d.reading());
        QCOMPARE(d.summary()->kind(), K::error);
        QVERIFY(!d.importButton()->isEnabled());
        d.setOutput(at("config.json"));
        QTRY_VERIFY(!d.reading());
        QVERIFY(d.summary()->text().contains("read") && !d.importButton()->isEnabled());
    }

    void theDumpOpens() {
        ImportDialog d(m_dir.path());
        fill(d);
        QTRY_VERIFY(!d.reading());
        Document document;
        document.importStores(d.request());
        QCOMPARE(document.state(), Document::State::importing);
        QTRY_COMPARE(document.source(), Document::Source::dump);
        QCOMPARE(document.taskNames(), QStringList({"code", "math"}));
        document.compute();
        QTRY_VERIFY(document.scores() && document.scores()->complete());
    }

    void cancelLeavesNothing() {
        ImportDialog d(m_dir.path());
        fill(d);
        d.setOutput(at("cancelled.h5"));
        // Too many samples to be through before the cancel, however busy the machine.
        fixture::bergson(at("large"), 20'000, true);
        auto request = d.request();
        request.tasks[0].store = at("large").toStdString();
        Document document;
        document.importStores(request);
        document.cancel();
        QCOMPARE(document.state(), Document::State::empty);
        QTRY_VERIFY(document.runner()->drained());
        QVERIFY(document.message().empty());
        QVERIFY(!QFile::exists(at("cancelled.h5")));
    }

    void theLastValuesComeBack() {
        {
            ImportDialog d(m_dir.path());
            fill(d);
            d.findChild<QComboBox*>("importLoss")->setCurrentIndex(1);
            QTRY_VERIFY(!d.reading());
            d.importButton()->click();
        }
        ImportDialog again(m_dir.path());
        QTRY_VERIFY(!again.reading());
        const auto r = again.request();
        QCOMPARE(r.tasks.size(), std::size_t(2));
        QCOMPARE(r.tasks[1].name, std::string("code"));
        QCOMPARE(r.lossReduction, std::string("sum"));
        QCOMPARE(QString::fromStdString(r.config.string()), at("config.json"));
    }

    void outputsAreJudged() {
        QCOMPARE(checkOutput(at("x.h5"), 100, {}).problem, QString());
        QVERIFY(!checkOutput("", 0, {}).problem.isEmpty());
        QVERIFY(!checkOutput(m_dir.path(), 0, {}).problem.isEmpty());
        QVERIFY(checkOutput(at("x.h5"), 1e18, {}).problem.contains("free"));
        QVERIFY(checkOutput(at("config.json"), 0, {}).note.contains("replaced"));
        QVERIFY(!checkOutput(at("config.json"), 0, {at("math/../config.json")}).problem.isEmpty());
    }

  private:
    QString at(const QString& name) const { return m_dir.filePath(name); }
    void fill(ImportDialog& d) const {
        d.addTask("math", at("math"));
        d.addTask("code", at("code"));
        d.setConfig(at("config.json"));
        d.setOutput(at("out.h5"));
    }
    QTemporaryDir m_dir;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("importdialog-test"));
    TestImportDialog t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_importdialog.moc"
