// SPDX-License-Identifier: GPL-3.0-or-later
// An unknown model: what the document asks for, the dialog that answers, and that the answer is
// kept.
#include "base/Error.h"
#include "document/Document.h"
#include "document/LayoutStore.h"
#include "dump/Contents.h"
#include "dump/DumpWriter.h"
#include "model/ModelConfig.h"
#include "models/LayoutModel.h"
#include "pages/layout/LayoutDialog.h"
#include "ui/UnknownModel.h"
#include "widgets/StatusLine.h"

#include <QAbstractItemModelTester>
#include <QApplication>
#include <QComboBox>
#include <QElapsedTimer>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace qkov;
using namespace qkov::ui;

class TestLayoutDialog : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QVERIFY(m_dir.isValid());
        QVERIFY(test::writeUnknownModel(folder()));
        QVERIFY(test::writeLargerUnknownModel(m_dir.filePath("large")));
        layouts::forget(folder());
    }
    void cleanup() { layouts::forget(folder()); }

    void unknownModelsAreAskedFor() {
        Document d;
        QSignalSpy needed(&d, &Document::layoutNeeded);
        d.open(folder());
        QTRY_COMPARE(needed.count(), 1);
        QCOMPARE(d.message().severity, Message::Severity::error);
        QVERIFY(d.message().what.contains("mine"));
        QVERIFY(!d.message().action.isEmpty());
        QTRY_COMPARE(d.state(), Document::State::empty);
        QVERIFY(d.layoutNeed() && d.layoutNeed()->whole);
        QCOMPARE(d.layoutNeed()->list.parameters.size(), std::size_t(9));

        LayoutDialog dialog(*d.layoutNeed());
        QTRY_VERIFY(!dialog.checking());
        QVERIFY2(dialog.useButton()->isEnabled(), qPrintable(dialog.summary()->text()));
        QCOMPARE(dialog.summary()->kind(), StatusLine::Kind::good);
        d.openWithLayout(d.layoutNeed()->path, dialog.layoutJson());
        QTRY_COMPARE(d.source(), Document::Source::model);
        QVERIFY(d.message().empty());
        QVERIFY(!d.layoutNeed());
        QCOMPARE(d.checkpoint()->layout().parameters().size(), std::size_t(4));

        // Kept: the next time nothing is asked.
        QVERIFY(!layouts::fileFor(folder()).isEmpty());
        Document again;
        again.open(folder());
        QTRY_COMPARE(again.source(), Document::Source::model);
        QCOMPARE(again.layoutJson(), d.layoutJson());
    }

    /// A folder with a TorchScript module and no checkpoint, and the module itself.
    void modulesAreOpened() {
        const QString folder = m_dir.filePath("module");
        const QString from = QStringLiteral(QKOV_TEST_DATA "/collect/torchscript/");
        QVERIFY(QDir().mkpath(folder));
        QVERIFY(QFile::copy(from + "model.pt", folder + "/model.pt"));
        for (const QString& path : {folder, folder + "/model.pt"}) {
            layouts::forget(path);
            Document d;
            QSignalSpy needed(&d, &Document::layoutNeeded);
            d.open(path);
            QTRY_COMPARE(d.state(), Document::State::empty);
            QTRY_VERIFY(!d.message().empty());
            QVERIFY(d.message().where.contains("config.json")); // what it lacks first
            QCOMPARE(needed.count(), 0);

            QVERIFY(QFile::copy(from + "config.json", folder + "/config.json"));
            d.open(path);
            QTRY_COMPARE(needed.count(), 1);
            QVERIFY(d.layoutNeed() && !d.layoutNeed()->whole);
            QCOMPARE(d.layoutNeed()->list.parameters.size(), std::size_t(9));
            LayoutDialog dialog(*d.layoutNeed());
            QTRY_VERIFY(!dialog.checking());
            QVERIFY2(dialog.useButton()->isEnabled(), qPrintable(dialog.summary()->text()));
            d.openWithLayout(path, dialog.layoutJson());
            QTRY_COMPARE(d.source(), Document::Source::model);
            QVERIFY(d.message().empty());
            QCOMPARE(d.checkpoint()->layout().parameters().size(), std::size_t(4));
            QCOMPARE(d.checkpoint()->parameterCount(), std::int64_t(160 + 2 * (192 + 24 + 64 + 8)));
            QCOMPARE(d.checkpoint()->shape().numHeads, std::int64_t(2));
            QVERIFY(QFile::remove(folder + "/config.json"));
            layouts::forget(path);
        }
        // Weights of another kind are no module.
        QVERIFY(test::writeFile(folder + "/model.pt", "\x80\x02}q"));
        QVERIFY(QFile::copy(from + "config.json", folder + "/config.json"));
        Document d;
        d.open(folder);
        QTRY_VERIFY(!d.message().empty());
        QVERIFY2(d.message().what.contains("TorchScript"), qPrintable(d.message().what));
    }

    void aKeptLayoutThatNoLongerFitsIsAskedForAgain() {
        layouts::remember(folder(), R"x({"Q": {"parameter": "^other\\.(\\d+)$",
                                              "orientation": "out_in"}})x");
        Document d;
        QSignalSpy needed(&d, &Document::layoutNeeded);
        d.open(folder());
        QTRY_COMPARE(needed.count(), 1);
        LayoutDialog dialog(*d.layoutNeed());
        QTRY_VERIFY(!dialog.checking());
        QCOMPARE(dialog.draft().parts[0].pattern, std::string("other.{layer}"));
        QVERIFY(!dialog.useButton()->isEnabled());
    }

    void otherProblemsAreNotTakenForLayouts() {
        const QString broken = m_dir.filePath("broken");
        QVERIFY(QDir().mkpath(broken));
        QVERIFY(test::writeFile(broken + "/config.json", "{"));
        QVERIFY(test::writeFile(broken + "/model.safetensors", "x"));
        Document d;
        d.open(broken);
        QTRY_VERIFY(!d.message().empty());
        QVERIFY(d.message().action.isEmpty());
        QVERIFY(!d.layoutNeed());
    }

    void dumpsToo() {
        const QString file = m_dir.filePath("unknown.h5");
        model::ModelShape shape;
        shape.name = "m";
        shape.architecture = "mine";
        shape.numLayers = shape.numHeads = shape.numKvHeads = 2;
        shape.headDim = shape.vHeadDim = 4;
        shape.hiddenDim = 8;
        shape.configJson = "{}";
        // Written with a layout, then the layout is taken away: as a tool that knows none does.
        {
            dump::DumpWriter writer(file.toStdString(), shape, "test");
            for (const char* task : {"a", "b"}) {
                std::vector<dump::SampleInfo> samples(2);
                samples[0].id = "x";
                samples[1].id = "y";
                writer.beginTask(task, "mean", samples);
                for (const char* name : {"net.0.qkv.weight", "net.1.qkv.weight"}) {
                    writer.declareGradients(name, {24, 8}, DType::f32);
                    const std::vector<float> g(24 * 8 * 2, 1);
                    writer.writeGradients(name, 0, 2, g.data());
                }
            }
            writer.commit();
        }
        Document d;
        QSignalSpy needed(&d, &Document::layoutNeeded);
        d.open(file);
        QTRY_COMPARE(needed.count(), 1);
        QVERIFY(!d.layoutNeed()->whole);
        LayoutDialog dialog(*d.layoutNeed());
        QTRY_VERIFY(!dialog.checking());
        // O is not in the dump: said, and no hindrance.
        QCOMPARE(dialog.summary()->kind(), StatusLine::Kind::warning);
        QVERIFY(dialog.summary()->text().contains("no O"));
        QVERIFY(dialog.useButton()->isEnabled());
        d.openWithLayout(file, dialog.layoutJson());
        QTRY_COMPARE(d.source(), Document::Source::dump);
        d.compute();
        QTRY_VERIFY(d.scores() && d.scores()->complete());
        layouts::forget(file);
    }

    void whatIsTypedIsChecked() {
        LayoutDialog dialog(need());
        dialog.show();
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(dialog.draft().fusedBlocks.empty());
        auto* q = dialog.findChild<QLineEdit*>("layoutQ");
        auto* status = dialog.findChild<StatusLine*>("layoutQStatus");
        QCOMPARE(q->text(), QString("backbone.stages.{layer}.mixer.attention.wq.weight"));
        QCOMPARE(status->kind(), StatusLine::Kind::good);
        QVERIFY2(status->text().contains("12 matrices [192, 192]"), qPrintable(status->text()));
        // Another matrix: both shapes are named, and nothing can be used.
        q->setText("backbone.stages.{layer}.channel.mlp.up.weight");
        QVERIFY(!dialog.useButton()->isEnabled());
        QTRY_VERIFY(!dialog.checking());
        QCOMPARE(status->kind(), StatusLine::Kind::error);
        QVERIFY2(status->text().contains("[384, 192]") && status->text().contains("[192, any]"),
                 qPrintable(status->text()));
        QVERIFY(!dialog.useButton()->isEnabled());
        QVERIFY(dialog.layoutJson().isEmpty());
        q->setText("stages.0");
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(status->text().contains("{layer}"));
    }

    void namesAreTakenFromTheTable() {
        LayoutDialog dialog(need());
        QTRY_VERIFY(!dialog.checking());
        const auto good = dialog.draft();
        auto* q = dialog.findChild<QLineEdit*>("layoutQ");
        q->clear();
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(!dialog.useButton()->isEnabled()); // every layer needs Q
        auto* table = dialog.table();
        auto* search = dialog.findChild<QLineEdit*>("layoutSearch");
        search->setText("stages.7 wq.weight");
        QCOMPARE(table->model()->rowCount(), 1);
        table->setCurrentIndex(table->model()->index(0, 0));
        dialog.findChild<QPushButton*>("layoutTakeQ")->click();
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(dialog.draft() == good);
        QVERIFY(dialog.useButton()->isEnabled());
    }

    void savedFilesComeBack() {
        LayoutDialog dialog(need());
        QTRY_VERIFY(!dialog.checking());
        const auto draft = dialog.draft();
        const QString file = m_dir.filePath("layout.json");
        dialog.saveTo(file);
        QCOMPARE(dialog.layoutJson().toStdString(), model::readLayoutFile(file.toStdString()));
        dialog.setDraft({});
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(!dialog.useButton()->isEnabled());
        dialog.loadFrom(file);
        QTRY_VERIFY(!dialog.checking());
        QVERIFY(dialog.useButton()->isEnabled());
        for (std::size_t b = 0; b < 4; ++b) {
            QCOMPARE(dialog.draft().parts[b].pattern, draft.parts[b].pattern);
        }
        QVERIFY(test::writeFile(file, "{\"Q\": 3}"));
        QVERIFY_EXCEPTION_THROWN(dialog.loadFrom(file), InputError);
    }

    void theTableListsWhatIsMatched() {
        LayoutDialog dialog(need());
        QTRY_VERIFY(!dialog.checking());
        QAbstractItemModelTester tester(dialog.parameters(),
                                        QAbstractItemModelTester::FailureReportingMode::QtTest);
        QAbstractItemModelTester filtered(dialog.table()->model(),
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
        auto* which = dialog.findChild<QWidget*>("layoutWhich");
        const auto rows = [&](int n) {
            which->findChildren<QToolButton*>()[n]->click();
            return dialog.table()->model()->rowCount();
        };
        QCOMPARE(rows(0), 121);
        QCOMPARE(rows(1), 12 * 7);
        QCOMPARE(rows(2), 121 - 12 * 7);
        QCOMPARE(rows(3), 0);
        QCOMPARE(rows(1), 12 * 7);
        auto* model = dialog.table()->model();
        QStringList uses;
        for (int r = 0; r < model->rowCount(); ++r) {
            uses << model->index(r, LayoutModel::Use).data().toString();
        }
        QVERIFY(uses.contains("Q, layer 11") && uses.contains("K bias, layer 3"));
    }

    void manyParametersAreQuickAndInOrder() {
        LayoutNeed n;
        n.path = "/models/large";
        auto& m = n.list.model;
        m.architecture = "unheard_of";
        m.numLayers = 61;
        m.numHeads = m.numKvHeads = 8;
        m.headDim = m.vHeadDim = 16;
        m.hiddenDim = 128;
        for (int l = 0; l < 61; ++l) {
            const std::string layer = "net." + std::to_string(l);
            for (const char* p : {"q", "k", "v", "o"}) {
                n.list.parameters.push_back({layer + ".attn." + p + "_proj.weight", {128, 128}});
            }
            for (int e = 0; e < 128; ++e) {
                for (const char* p : {".up", ".down", ".gate"}) {
                    n.list.parameters.push_back(
                        {layer + ".experts." + std::to_string(e) + p + ".weight", {64, 128}});
                }
            }
        }
        QElapsedTimer timer;
        timer.start();
        LayoutDialog dialog(n);
        dialog.show();
        QVERIFY2(timer.elapsed() < 1500, qPrintable(QString::number(timer.elapsed())));
        QTRY_VERIFY(!dialog.checking());
        QVERIFY2(dialog.useButton()->isEnabled(), qPrintable(dialog.summary()->text()));
        QCOMPARE(dialog.summary()->kind(), StatusLine::Kind::warning); // all are square
        QVERIFY(dialog.summary()->text().contains("square"));
        dialog.findChild<QLineEdit*>("layoutSearch")->setText("q_proj");
        auto* model = dialog.table()->model();
        QCOMPARE(model->rowCount(), 61);
        QCOMPARE(model->index(2, 0).data().toString(), QString("net.2.attn.q_proj.weight"));
        QCOMPARE(model->index(10, 0).data().toString(), QString("net.10.attn.q_proj.weight"));
    }

    void everyControlHasAName() {
        LayoutDialog dialog(need());
        dialog.show();
        for (const QWidget* w : dialog.findChildren<QWidget*>()) {
            const bool control =
                qobject_cast<const QLineEdit*>(w) || qobject_cast<const QComboBox*>(w) ||
                qobject_cast<const QPushButton*>(w) || qobject_cast<const QTableView*>(w);
            if (control && w->isVisible() && !w->objectName().startsWith("qt_")) {
                QVERIFY2(!w->accessibleName().isEmpty(), qPrintable(w->objectName()));
                QVERIFY2(w->focusPolicy() & Qt::TabFocus, qPrintable(w->objectName()));
            }
        }
    }

  private:
    QString folder() const { return m_dir.filePath("mine"); }
    LayoutNeed need() const {
        LayoutNeed n;
        n.path = m_dir.filePath("large");
        n.list = dump::listParameters(n.path.toStdString());
        return n;
    }
    QTemporaryDir m_dir;
};

QTEST_MAIN(TestLayoutDialog)
#include "tst_layoutdialog.moc"
