// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "dump/DumpWriter.h"

#include <QTemporaryDir>
#include <QtTest>

using namespace qkov;
using dump::DumpWriter;

namespace {

model::ModelShape shape() {
    model::ModelShape s;
    s.name = "tiny";
    s.architecture = "gpt2";
    s.numLayers = 1;
    s.numHeads = s.numKvHeads = 2;
    s.headDim = s.vHeadDim = 2;
    s.hiddenDim = 4;
    s.configJson = "{}";
    return s;
}

std::vector<dump::SampleInfo> samples(int n) {
    std::vector<dump::SampleInfo> list;
    for (int i = 0; i < n; ++i) {
        list.push_back({"s" + std::to_string(i), {}, {}, 3, 0.5F});
    }
    return list;
}

template <class Body>
QString messageOf(Body&& body) {
    try {
        body();
    } catch (const std::exception& e) {
        return QString::fromUtf8(e.what());
    }
    return {};
}

} // namespace

class TestDumpWriter : public QObject {
    Q_OBJECT

  private slots:
    void nothingAppearsBeforeCommit();
    void refusesWhatFloat16CantHold();
    void countsWhatFloat16Loses();
    void balancesFactors();
    void sharedInputs();
    void refusesAnIncompleteDump();
    void refusesUnwritablePlaces();
};

void TestDumpWriter::nothingAppearsBeforeCommit() {
    QTemporaryDir folder;
    const std::string file = folder.filePath("d.h5").toStdString();
    {
        DumpWriter writer(file, shape(), "test");
        writer.beginTask("a", "mean", samples(2));
        QVERIFY(!QFile::exists(QString::fromStdString(file)));
    }
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files).size(), 0);
    DumpWriter writer(file, shape(), "test");
    writer.beginTask("a", "mean", samples(2));
    writer.commit();
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files), QStringList("d.h5"));
}

void TestDumpWriter::refusesWhatFloat16CantHold() {
    QTemporaryDir folder;
    DumpWriter writer(folder.filePath("d.h5").toStdString(), shape(), "test");
    writer.beginTask("a", "mean", samples(2));
    writer.declareGradients("p", {2, 2}, DType::f16);
    const float values[8] = {0, 1, 2, 3, 4, 5, 7e4F, 0};
    const QString message = messageOf([&] { writer.writeGradients("p", 0, 2, values); });
    QVERIFY2(message.contains("tasks/a/gradients/p") && message.contains("sample 1") &&
                 message.contains("--dtype f32"),
             qPrintable(message));
}

void TestDumpWriter::countsWhatFloat16Loses() {
    QTemporaryDir folder;
    DumpWriter writer(folder.filePath("d.h5").toStdString(), shape(), "test");
    writer.beginTask("a", "mean", samples(1));
    writer.declareGradients("p", {4}, DType::f16);
    const float values[4] = {1, 1e-9F, 0, -1e-12F};
    writer.writeGradients("p", 0, 1, values);
    QCOMPARE(writer.storageLoss().written, std::uint64_t(3));
    QCOMPARE(writer.storageLoss().underflowed, std::uint64_t(2));
}

void TestDumpWriter::balancesFactors() {
    QTemporaryDir folder;
    DumpWriter writer(folder.filePath("d.h5").toStdString(), shape(), "test");
    writer.beginTask("a", "mean", samples(1));
    writer.declareFactors("p", 3, 2, 1, DType::f16);
    // Without balancing every grad_output would be stored as zero.
    const float input[4] = {300, -20, 5, 7};
    const float grad[2] = {2e-9F, -3e-9F};
    const std::int32_t length = 2;
    writer.writeFactors("p", 0, 1, 2, input, grad, &length);
    QCOMPARE(writer.storageLoss().written, std::uint64_t(6));
    QCOMPARE(writer.storageLoss().underflowed, std::uint64_t(0));
    writer.commit();
}

void TestDumpWriter::sharedInputs() {
    QTemporaryDir folder;
    DumpWriter writer(folder.filePath("d.h5").toStdString(), shape(), "test");
    writer.beginTask("a", "mean", samples(2));
    writer.declareFactors("p", 2, 3, 1, DType::f16);
    writer.declareFactorsSharing("q", "p", 2, DType::f16);
    QVERIFY_EXCEPTION_THROWN(writer.declareFactorsSharing("r", "nobody", 2, DType::f16), Error);
    const float input[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const float p[4] = {0.125F, 0.25F, 0.5F, 1}, q[8] = {8, 7, 6, 5, 4, 3, 2, 1};
    const std::int32_t lengths[2] = {2, 1};
    writer.writeFactors("p", 0, 2, 2, input, p, lengths);
    QVERIFY_EXCEPTION_THROWN(writer.declareFactorsSharing("r", "p", 2, DType::f16), Error);
    // The owner's input is what is missing where only the sharer is written.
    QVERIFY(messageOf([&] {
                DumpWriter other(folder.filePath("e.h5").toStdString(), shape(), "test");
                other.beginTask("a", "mean", samples(2));
                other.declareFactors("p", 2, 3, 1, DType::f16);
                other.declareFactorsSharing("q", "p", 2, DType::f16);
                other.writeFactors("q", 0, 2, 2, nullptr, q, lengths);
                other.commit();
            }).contains("was never written"));
    writer.writeFactors("q", 0, 2, 2, nullptr, q, lengths);
    writer.commit();
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files), QStringList("d.h5"));
}

void TestDumpWriter::refusesAnIncompleteDump() {
    QTemporaryDir folder;
    DumpWriter writer(folder.filePath("d.h5").toStdString(), shape(), "test");
    writer.beginTask("a", "mean", samples(2));
    writer.declareGradients("p", {2}, DType::f32);
    const float values[2] = {1, 2};
    writer.writeGradients("p", 0, 1, values);
    QVERIFY(messageOf([&] { writer.commit(); }).contains("sample 1"));
    QVERIFY(!QFile::exists(folder.filePath("d.h5")));
}

void TestDumpWriter::refusesUnwritablePlaces() {
    QVERIFY_EXCEPTION_THROWN(DumpWriter("/nonexistent/d.h5", shape(), "test"), InputError);
    QTemporaryDir folder;
    QVERIFY_EXCEPTION_THROWN(DumpWriter(folder.path().toStdString(), shape(), "test"), InputError);
}

QTEST_APPLESS_MAIN(TestDumpWriter)
#include "tst_dump_writer.moc"
