// SPDX-License-Identifier: GPL-3.0-or-later
// Texts of a megabyte and texts written from right to left, in the pair view and the sample table.
#include "gui/Watchdog.h"

#include "document/Selection.h"
#include "models/SampleModel.h"
#include "pages/DataPage.h"
#include "pages/PairsPage.h"
#include "pages/window/MainWindow.h"
#include "results/ResultsFile.h"
#include "ui/FakeScores.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QElapsedTimer>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QSettings>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBlock>

#include <memory>

using namespace qkov;
using namespace qkov::ui;

namespace {

test::WatchedApplication* application = nullptr;
constexpr std::size_t megabyte = 1'000'000;
/// One event may take this long in this test: two megabytes are set, laid out and searched.
constexpr double mostMs = 150;

std::string repeated(const std::string& part) {
    std::string s;
    s.reserve(megabyte + part.size());
    while (s.size() < megabyte) {
        s += part;
    }
    return s;
}

std::shared_ptr<const engine::Scores> scoresWithTexts() {
    const test::FakeShape shape{2, 4, 4, 3, 3};
    auto header = std::make_shared<engine::ScoreHeader>(*test::fakeHeader(shape));
    header->samplesA[0].text = repeated("lorem ipsum dolor ");                // one line
    header->samplesA[1].text = repeated("\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d "); // Hebrew, one line
    header->samplesA[2].text = "short";
    header->samplesB[0].text = repeated("for x in range(3):\n    print(x)\n"); // 30,000 lines
    header->samplesB[1].text = "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xd8\xa8\xd9\x83 x = 1\n"
                               "left to right again";
    header->samplesB[1].id = "\xd8\xb3\xd8\xa4\xd8\xa7\xd9\x84-1";
    std::vector<std::shared_ptr<const engine::LayerScores>> layers;
    for (int l = 0; l < shape.layers; ++l) {
        layers.push_back(test::fakeLayer(shape, l));
    }
    return std::make_shared<engine::ScoreTensor>(header, std::move(layers));
}

} // namespace

class TestTexts : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_dir.path());
        applyTheme(ThemeChoice::light);
        const QString file = m_dir.filePath(QStringLiteral("texts.h5"));
        Job job;
        results::writeResults(file.toStdString(), *scoresWithTexts(), job);
        m_window = std::make_unique<MainWindow>();
        m_window->resize(1280, 720);
        m_window->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
        m_window->open(file);
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        m_window->document()->selection()->setCell(CellRef{Block::O, 1, 1});
        m_window->tabs()->setCurrentWidget(m_window->pairsPage());
        QTRY_VERIFY(m_window->document()->selection()->pair().has_value());
        QTest::qWait(200);
    }

    void aMegabyteIsShownAtOnce() {
        for (const PairRef pair : {PairRef{0, 0}, PairRef{1, 1}, PairRef{2, 0}, PairRef{0, 1}}) {
            application->restart();
            QElapsedTimer t;
            t.start();
            m_window->document()->selection()->setPair(pair);
            m_window->pairsPage()->repaint();
            const double shown = static_cast<double>(t.nsecsElapsed()) / 1e6;
            QTest::qWait(100);
            qInfo("pair %d %d: shown after %.0f ms, longest event after it %.0f ms", pair.i, pair.j,
                  shown, application->longestCpuMs());
            QVERIFY(shown < 1000);
            QVERIFY2(application->longestCpuMs() < mostMs, qPrintable(application->longestEvent()));
        }
        m_window->document()->selection()->setPair(PairRef{0, 0});
        QVERIFY(m_window->pairsPage()->textA()->text().remove(u'\n').size() >=
                static_cast<qsizetype>(megabyte));
    }

    void itScrollsAndIsSearched() {
        m_window->document()->selection()->setPair(PairRef{0, 0});
        auto* edit = m_window->pairsPage()->textB()->findChild<QPlainTextEdit*>();
        application->restart();
        edit->moveCursor(QTextCursor::End);
        edit->repaint();
        auto* search = m_window->pairsPage()->findChild<QLineEdit*>(QStringLiteral("textSearch"));
        QElapsedTimer t;
        t.start();
        search->setText(QStringLiteral("print"));
        const auto searched = t.elapsed();
        QVERIFY(!edit->extraSelections().isEmpty());
        search->setText(QStringLiteral("not in there"));
        qInfo("search in two megabytes: %lld ms, without a hit %lld ms", searched,
              t.elapsed() - searched);
        QVERIFY(t.elapsed() < 4 * static_cast<qint64>(mostMs));
        search->clear();
    }

    void rightToLeftStandsRight() {
        m_window->document()->selection()->setPair(PairRef{2, 1});
        auto* edit = m_window->pairsPage()->textB()->findChild<QPlainTextEdit*>();
        QTest::qWait(50);
        const QTextBlock arabic = edit->document()->firstBlock();
        const QTextBlock latin = edit->document()->lastBlock();
        QCOMPARE(arabic.textDirection(), Qt::RightToLeft);
        QCOMPARE(latin.textDirection(), Qt::LeftToRight);
        // The line begins at the right edge, and is read from there.
        QTextCursor c(arabic);
        const int start = edit->cursorRect(c).x();
        c.movePosition(QTextCursor::NextCharacter, QTextCursor::MoveAnchor, 3);
        QVERIFY(edit->cursorRect(c).x() < start);
        QVERIFY2(start > edit->viewport()->width() * 3 / 4, qPrintable(QString::number(start)));
        // Another text, from left to right, stands left again.
        QVERIFY(latin.isValid());
        m_window->document()->selection()->setPair(PairRef{2, 2});
        QTest::qWait(50);
        QVERIFY(edit->cursorRect(QTextCursor(edit->document()->firstBlock())).x() <
                edit->viewport()->width() / 4);
        m_window->document()->selection()->setPair(PairRef{2, 1});
        QCOMPARE(m_window->pairsPage()->textB()->heading(),
                 QString::fromUtf8("\xd8\xb3\xd8\xa4\xd8\xa7\xd9\x84-1"));
    }

    void theSampleTableStaysQuick() {
        application->restart();
        m_window->tabs()->setCurrentWidget(m_window->dataPage());
        auto* table = m_window->dataPage()->samples();
        QTRY_COMPARE(table->model()->rowCount(), 6);
        for (int row = 0; row < 6; ++row) {
            table->selectRow(row);
            QTest::qWait(30);
        }
        const QString cell = table->model()->index(0, SampleModel::Text).data().toString();
        QVERIFY(!cell.contains(u'\n') && cell.size() <= 400);
        const QString hebrew = table->model()->index(1, SampleModel::Text).data().toString();
        QVERIFY(!hebrew.contains(QChar::ReplacementCharacter));
        QElapsedTimer t;
        t.start();
        m_window->dataPage()->search()->setText(QStringLiteral("print(x)"));
        QTRY_COMPARE(table->model()->rowCount(), 1);
        m_window->dataPage()->search()->clear();
        qInfo("sample table: longest event %.0f ms, search %lld ms", application->longestCpuMs(),
              t.elapsed());
        QVERIFY2(application->longestCpuMs() < mostMs, qPrintable(application->longestEvent()));
    }

    void cleanupTestCase() { m_window.reset(); }

  private:
    QTemporaryDir m_dir;
    std::unique_ptr<MainWindow> m_window;
};

int main(int argc, char** argv) {
    test::WatchedApplication app(argc, argv);
    app.setOrganizationName(QStringLiteral("QKOV"));
    app.setApplicationName(QStringLiteral("studio-texts-test"));
    application = &app;
    TestTexts t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_gui_texts.moc"
