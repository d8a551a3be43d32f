// SPDX-License-Identifier: GPL-3.0-or-later
// The decoder and the capture of per-sample gradients against transformers' float64 autograd.
#include "core/collect/GoldenCase.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QtTest>

#include <set>

using namespace qkov::test;

namespace {
constexpr double doubleTolerance = 1e-9;
constexpr double floatTolerance = 1e-5;
constexpr double roundingTolerance = 1e-12;
const std::filesystem::path data = std::filesystem::path(QKOV_TEST_DATA) / "collect";

void addCases() {
    QTest::addColumn<QString>("name");
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(data)) {
        if (exists(entry.path() / "expected.safetensors")) {
            names.push_back(entry.path().filename().string());
        }
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
        QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
}

void check(const Difference& d, double tolerance, const char* what) {
    QVERIFY2(d.compared > 0, what);
    QVERIFY2(d.worst <= tolerance, qPrintable(QStringLiteral("%1: %2 at %3")
                                                  .arg(QLatin1String(what))
                                                  .arg(d.worst)
                                                  .arg(QString::fromStdString(d.where))));
}
} // namespace

class TestDecoder : public QObject {
    Q_OBJECT

  private slots:
    void equalsTransformersInDouble_data() { addCases(); }
    void equalsTransformersInDouble();
    void equalsTransformersInFloat_data() { addCases(); }
    void equalsTransformersInFloat();
    void batchEqualsSingleSamples_data() { addCases(); }
    void batchEqualsSingleSamples();
    void samplesAreRaggedAndMasked_data() { addCases(); }
    void samplesAreRaggedAndMasked();
    void sumIsMeanTimesTokens();
    void storeHoldsWhatIsPacked_data();
    void storeHoldsWhatIsPacked();
    void cancelled();
};

void TestDecoder::storeHoldsWhatIsPacked_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("half");
    for (const char* name : {"gpt2_plain", "llama_tied", "qwen2", "falcon_multiquery"}) {
        for (const bool half : {true, false}) {
            QTest::addRow("%s %s", name, half ? "float16" : "float32")
                << QString::fromLatin1(name) << half;
        }
    }
}

void TestDecoder::storeHoldsWhatIsPacked() {
    QFETCH(QString, name);
    QFETCH(bool, half);
    QCOMPARE(storedOtherwise(data / name.toStdString(), half), 0);
}

void TestDecoder::equalsTransformersInDouble() {
    QFETCH(QString, name);
    const CaseResult r = compareWithReference(data / name.toStdString(), true);
    QVERIFY2(r.unmatched.empty(), r.unmatched.empty() ? "" : r.unmatched.front().c_str());
    check(r.losses, doubleTolerance, "losses");
    check(r.attentions, doubleTolerance, "attentions");
    check(r.gradients, doubleTolerance, "gradients");
}

void TestDecoder::equalsTransformersInFloat() {
    QFETCH(QString, name);
    const CaseResult r = compareWithReference(data / name.toStdString(), false);
    check(r.losses, floatTolerance, "losses");
    check(r.attentions, floatTolerance, "attentions");
    check(r.gradients, floatTolerance, "gradients");
}

void TestDecoder::batchEqualsSingleSamples() {
    QFETCH(QString, name);
    check(batchedAgainstSingle(data / name.toStdString()), roundingTolerance, "batch");
}

/// What the comparisons with batches rest on.
void TestDecoder::samplesAreRaggedAndMasked() {
    QFETCH(QString, name);
    QFile file(QString::fromStdString((data / name.toStdString() / "samples.jsonl").string()));
    QVERIFY(file.open(QIODevice::ReadOnly));
    std::set<qsizetype> lengths;
    int masked = 0;
    while (!file.atEnd()) {
        const QJsonObject sample = QJsonDocument::fromJson(file.readLine()).object();
        lengths.insert(sample["input_ids"].toArray().size());
        masked += sample["labels"].toArray().contains(QJsonValue(-100));
    }
    QVERIFY(lengths.size() >= 3);
    QVERIFY(masked >= 1);
}

void TestDecoder::sumIsMeanTimesTokens() {
    check(sumAgainstMean(data / "gemma2"), roundingTolerance, "sum");
    check(sumAgainstMean(data / "gpt2_plain"), roundingTolerance, "sum");
}

void TestDecoder::cancelled() {
    QVERIFY(cancelStops(data / "gpt2_plain", false));
    QVERIFY(cancelStops(data / "gpt2_plain", true));
}

QTEST_APPLESS_MAIN(TestDecoder)
#include "tst_decoder.moc"
