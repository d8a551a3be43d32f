// SPDX-License-Identifier: GPL-3.0-or-later
// Speed of the application, printed beside what is asked of it. Run under a display (Xvfb's will
// do):
//   xvfb-run -a bench_ui [FOLDER for a 655 MB results file]
#include "document/Document.h"
#include "document/Selection.h"
#include "engine/Scores.h"
#include "gui/DemoFixture.h"
#include "models/ConflictQuery.h"
#include "pages/OverviewPage.h"
#include "pages/PairMatrix.h"
#include "pages/SelectionPanel.h"
#include "pages/window/MainWindow.h"
#include "plots/HeatmapView.h"
#include "results/ResultsFile.h"
#include "ui/FakeScores.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QFile>
#include <QSettings>
#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <set>
#include <vector>

using namespace qkov;
using namespace qkov::ui;

namespace {

void say(const char* what, double value, const char* unit, double limit) {
    std::printf("%-58s %9.1f %-3s (at most %g)  %s\n", what, value, unit, limit,
                value <= limit ? "ok" : "TOO SLOW");
    std::fflush(stdout);
}

bool waitFor(const std::function<bool()>& done) {
    QElapsedTimer t;
    t.start();
    while (!done() && t.elapsed() < 60000) {
        QCoreApplication::processEvents(QEventLoop::AllEvents | QEventLoop::WaitForMoreEvents, 5);
    }
    return done();
}

double residentMb() {
    QFile f(QStringLiteral("/proc/self/status"));
    if (f.open(QIODevice::ReadOnly)) {
        for (const QByteArray& line : f.readAll().split('\n')) {
            if (line.startsWith("VmRSS:")) {
                return line.mid(6).trimmed().split(' ').first().toDouble() / 1024;
            }
        }
    }
    return 0;
}

/// Which of the four maps was painted, itself or its overlay.
class Paints : public QObject {
  public:
    FourMaps* maps = nullptr;
    std::set<const HeatmapView*> seen;

  protected:
    bool eventFilter(QObject* object, QEvent* event) override {
        if (event->type() == QEvent::Paint) {
            for (const Block b : allBlocks) {
                if (object == maps->view(b) || object->parent() == maps->view(b)) {
                    seen.insert(maps->view(b));
                }
            }
        }
        return false;
    }
};

/// Values made when asked for: a results file of any size without holding it.
class Formula final : public engine::Scores {
  public:
    Formula(int layers, int heads, int samples)
        : m_header(test::fakeHeader({layers, heads, heads, samples, samples})) {}
    const engine::ScoreHeader& header() const override { return *m_header; }
    bool computed(std::size_t) const override { return true; }
    double mean(Block b, std::size_t l, std::size_t h) const override {
        return std::abs(std::sin(static_cast<double>(l * 37 + h * 11 + blockIndex(b)))) + 0.1;
    }
    engine::CellHealth health(Block, std::size_t, std::size_t) const override {
        return {1e-6, 1e-4, 1e-2, 0.1, 1e-5};
    }
    std::vector<float> pairs(Block b, std::size_t l, std::size_t h) const override {
        std::vector<float> v(m_header->nA() * m_header->nB());
        const auto m = static_cast<float>(mean(b, l, h));
        for (std::size_t n = 0; n < v.size(); ++n) {
            v[n] = m * (0.5F + static_cast<float>((n * 2654435761U) % 1000U) / 1000.0F);
        }
        return v;
    }

  private:
    std::shared_ptr<const engine::ScoreHeader> m_header;
};

} // namespace

int main(int argc, char** argv) {
    QElapsedTimer sinceStart;
    sinceStart.start();
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("bench-ui"));
    QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    applyTheme(ThemeChoice::light);
    MainWindow window;
    window.resize(1440, 900);
    window.show();
    if (!QTest::qWaitForWindowExposed(&window)) {
        return 1;
    }
    window.repaint();
    say("first window", static_cast<double>(sinceStart.nsecsElapsed()) / 1e6, "ms", 500);

    auto* d = window.document();
    const auto a = std::make_shared<Formula>(32, 32, 40);
    QElapsedTimer t;
    t.start();
    d->showScores(a);
    window.repaint();
    say("32 x 32 x 4 map on screen", static_cast<double>(t.nsecsElapsed()) / 1e6, "ms", 100);
    auto* maps = window.overview()->maps();
    auto* o = maps->view(Block::O);
    double slowest = 0;
    std::vector<double> times;
    Paints paints;
    paints.maps = maps;
    app.installEventFilter(&paints);
    for (int n = 0; n < 31; ++n) {
        const QPoint at = o->cellRect(n, (n * 7) % 32).center().toPoint();
        paints.seen.clear();
        t.restart();
        QTest::mouseMove(o, at);
        waitFor([&] { return paints.seen.size() == 4; });
        times.push_back(static_cast<double>(t.nsecsElapsed()) / 1e6);
    }
    app.removeEventFilter(&paints);
    std::sort(times.begin(), times.end());
    say("hover to painted crosshair in all four, median of 31", times[15], "ms", 16);
    say("hover to painted crosshair in all four, slowest of 31", times[30], "ms", 16);
    slowest = 0;
    const auto b = std::make_shared<Formula>(32, 32, 40);
    for (int n = 0; n < 6; ++n) {
        t.restart();
        d->showScores(n % 2 ? std::shared_ptr<const engine::Scores>(a) : b);
        window.repaint();
        slowest = std::max(slowest, static_cast<double>(t.nsecsElapsed()) / 1e6);
    }
    say("switch to other scores at hand and repaint, slowest of 6", slowest, "ms", 100);

    const QString folder = argc > 1 ? QString::fromLocal8Bit(argv[1]) : settings.path();
    const QString file = folder + QStringLiteral("/bench-results.h5");
    const Formula big(32, 32, 200);
    {
        Job job;
        results::writeResults(file.toStdString(), big, job);
    }
    std::printf("%-58s %9.1f MB\n", "results file", static_cast<double>(QFile(file).size()) / 1e6);
    d->close();
    t.restart();
    window.open(file);
    waitFor([&] { return d->scores() != nullptr; });
    window.repaint();
    say("655 MB of scores opened and on screen", static_cast<double>(t.nsecsElapsed()) / 1e6, "ms",
        1000);
    auto* matrix = window.selectionPanel()->matrix()->view();
    times.clear();
    for (int n = 0; n < 9; ++n) {
        const Block block = allBlocks[static_cast<std::size_t>(n % 4)];
        const int row = n * 3;
        const int column = (n * 5) % 32;
        t.restart();
        d->selection()->setCell(CellRef{block, row, column});
        const double first = static_cast<double>(
            big.pairs(block, static_cast<std::size_t>(row), static_cast<std::size_t>(column))[0]);
        waitFor([&] { return matrix->data().rows > 0 && matrix->data().values[0] == first; });
        matrix->repaint();
        times.push_back(static_cast<double>(t.nsecsElapsed()) / 1e6);
    }
    std::sort(times.begin(), times.end());
    say("pair matrix after the click, median of 9", times[4], "ms", 100);
    say("pair matrix after the click, slowest of 9", times[8], "ms", 100);
    say("resident memory", residentMb(), "MB", 400);
    // Far beyond the million that the unfiltered table lists.
    ConflictQuery query;
    t.restart();
    auto list = runQuery(*d->scores(), query, {});
    std::printf("%-58s %9.0f ms (in the background; %zu of %llu pairs)\n",
                "most conflicted of all 164 million pairs", static_cast<double>(t.elapsed()),
                list.rows.size(), static_cast<unsigned long long>(list.matches));
    query.filter = ConflictFilter::parse(QStringLiteral("layer:3 block:O id:math-7"));
    t.restart();
    list = runQuery(*d->scores(), query, {});
    std::printf("%-58s %9.0f ms (in the background; %zu of %llu pairs)\n",
                "  of those with layer:3 block:O id:math-7", static_cast<double>(t.elapsed()),
                list.rows.size(), static_cast<unsigned long long>(list.matches));
    say("resident memory after it", residentMb(), "MB", 400);
    QFile::remove(file);

    {
        const test::DemoFixture demo(60);
        const auto painted = [&](const QString& path) {
            d->close();
            QElapsedTimer since;
            since.start();
            window.open(path);
            waitFor([&] { return d->canCompute() || d->scores() != nullptr; });
            if (!d->scores()) {
                d->compute();
                waitFor([&] { return d->scores() && d->scores()->complete(); });
            }
            window.repaint();
            return static_cast<double>(since.nsecsElapsed()) / 1e6;
        };
        say("demo's results opened and on screen", painted(demo.results()), "ms", 1500);
        say("demo's dump opened, computed and on screen", painted(demo.dump()), "ms", 1500);
    }
    window.close();
    return 0;
}
