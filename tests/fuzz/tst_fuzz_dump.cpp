// SPDX-License-Identifier: GPL-3.0-or-later
// Damaged dumps are refused or read; they never crash the program. HDF5's own parser runs on these
// bytes too (DumpReader lets a child process try them first); each batch is tried in a process of
// its own, so that a crash that gets through is seen as one.
#include "DumpFixture.h"
#include "Mutations.h"

#include "dump/Validate.h"

#include <QProcess>
#include <QtTest>
#include <iostream>

using namespace fixture;

namespace {

/// Small, but with every kind of content.
void writeSound(const std::filesystem::path& file) {
    DumpWriter w(file, gpt2Shape(), "fuzz");
    w.writeHeadTypes({{"induction", "other"}, {0, 1, 1, 0}, {}});
    w.beginTask("t", "mean", samples(3), {{1, 2}, {3}, {}});
    const std::string attn = "h.0.attn.c_attn.weight";
    w.declareGradients(attn, {6, 18}, DType::f16);
    w.writeGradients(attn, 0, 3, randoms(324, 1).data());
    w.declareFactors("h.1.attn.c_proj.weight", 2, 6, 6, DType::bf16);
    const std::vector<std::int32_t> lengths{2, 1, 0};
    w.writeFactors("h.1.attn.c_proj.weight", 0, 3, 2, randoms(36, 2).data(), randoms(36, 3).data(),
                   lengths.data());
    w.declareContributions("h.1.attn.c_attn.weight", {6, 18}, DType::f32, true);
    w.writeContributions("h.1.attn.c_attn.weight", 0, 3, std::vector<float>(324, 1.0f).data());
    FisherSet set;
    set.name = "structural";
    set.estimator = "ema";
    set.samples = 3;
    w.writeFisher(set, {attn, {3, 2}, Resolution::head, false}, std::vector<double>(6, 1.0));
    w.commit();
}

/// Reads all that a file offers. 0: read, 1: refused, 2: something else was thrown.
int tryFile(const std::filesystem::path& file) {
    try {
        Job job;
        for (const std::string& problem : validateDump(file, job)) {
            if (problem.empty()) {
                return 2;
            }
        }
        const DumpReader r(file);
        std::vector<float> g(324);
        for (const TaskInfo& t : r.info().tasks) {
            for (const auto& [name, entry] : t.parameters) {
                const Region all{0, entry.shape[0], 0, entry.shape.size() > 1 ? entry.shape[1] : 1};
                if (all.count() <= 324) {
                    r.readGradients(t, name, std::vector<std::int64_t>{0}, all, g.data());
                }
            }
            for (const auto& [name, set] : t.fisher) {
                for (const auto& [parameter, entry] : set.parameters) {
                    if (entry.resolution != Resolution::element) {
                        r.readFisherReduced(t, set, parameter);
                    }
                }
            }
        }
        return 0;
    } catch (const InputError& e) {
        return std::string(e.what()).find('\n') == std::string::npos ? 1 : 2;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 2;
    }
}

/// The child: damages a file `rounds` times. Prints how often it was read and refused.
int child(const QString& sound, const QString& work, unsigned seed, int rounds) {
    std::mt19937 engine(seed);
    const QByteArray bytes = fuzz::readAll(sound);
    int results[3] = {};
    for (int i = 0; i < rounds; ++i) {
        const bool cut = i % 5 == 0;
        const QByteArray bad = cut ? bytes.left(qsizetype(engine() % unsigned(bytes.size())))
                                   : fuzz::damaged(bytes, bytes.size(), engine);
        if (!fuzz::writeAll(work, bad)) {
            return 3;
        }
        const int result = tryFile(work.toStdString());
        ++results[result];
        if (result == 2 || (cut && result == 0)) {
            fuzz::writeAll(work + QStringLiteral(".kept"), bad);
            return 4;
        }
    }
    std::cout << results[0] << ' ' << results[1] << std::endl;
    return 0;
}

} // namespace

class FuzzDump : public QObject {
    Q_OBJECT
  private slots:
    void damaged_data();
    void damaged();
};

void FuzzDump::damaged_data() {
    QTest::addColumn<int>("seed");
    for (int seed = 1; seed <= 2; ++seed) {
        QTest::addRow("seed %d", seed) << seed;
    }
}

void FuzzDump::damaged() {
    QFETCH(int, seed);
    const Folder dir;
    writeSound(dir / "sound");
    QCOMPARE(tryFile(dir / "sound"), 0);
    QProcess process;
    process.start(QCoreApplication::applicationFilePath(),
                  {QStringLiteral("--child"), QString::fromStdString((dir / "sound").string()),
                   QString::fromStdString((dir / "work").string()), QString::number(seed),
                   QStringLiteral("40")});
    QVERIFY(process.waitForFinished(120000));
    QCOMPARE(process.exitStatus(), QProcess::NormalExit);
    QVERIFY2(process.exitCode() == 0, process.readAllStandardError().constData());
    const auto counts = process.readAllStandardOutput().trimmed().split(' ');
    QCOMPARE(counts.size(), 2);
    QVERIFY(counts[0].toInt() > 0 && counts[1].toInt() > 8); // all cuts, and more, are refused
}

int main(int argc, char** argv) {
    QCoreApplication app(argc, argv);
    const QStringList arguments = QCoreApplication::arguments();
    if (arguments.size() == 6 && arguments[1] == QStringLiteral("--child")) {
        return child(arguments[2], arguments[3], arguments[4].toUInt(), arguments[5].toInt());
    }
    FuzzDump test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_fuzz_dump.moc"
