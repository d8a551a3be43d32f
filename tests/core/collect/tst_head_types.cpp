// SPDX-License-Identifier: GPL-3.0-or-later
// Head types against scores computed by loops over transformers' attention weights.
#include "base/Error.h"
#include "collect/HeadTypes.h"
#include "core/collect/GoldenCase.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace qkov;
using namespace qkov::collect;

namespace {
constexpr double tolerance = 1e-6; // scores are kept as float32
const std::filesystem::path data = std::filesystem::path(QKOV_TEST_DATA) / "collect";
} // namespace

class TestHeadTypes : public QObject {
    Q_OBJECT

  private slots:
    void scoresEqualTransformers_data();
    void scoresEqualTransformers();
    void assignment_data();
    void assignment();
    void randomProbeIsTwice();
    void probesOfUsers();
    void specialTokensAreNotDrawn();
};

void TestHeadTypes::scoresEqualTransformers_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("model");
    QTest::newRow("demo") << "demo" << QStringLiteral(QKOV_RESOURCES "/demo");
    QTest::newRow("grouped query")
        << "llama_scaled" << QString::fromStdString((data / "llama_scaled").string());
}

void TestHeadTypes::scoresEqualTransformers() {
    QFETCH(QString, name);
    QFETCH(QString, model);
    const auto folder = data / "head_types";
    QFile file(QString::fromStdString((folder / (name.toStdString() + ".json")).string()));
    QVERIFY(file.open(QIODevice::ReadOnly));
    const QJsonArray layers = QJsonDocument::fromJson(file.readAll()).array();
    const auto scores =
        qkov::test::headScores(model.toStdString(), folder / (name.toStdString() + ".jsonl"), true);
    std::size_t at = 0;
    double worst = 0;
    for (const auto& layer : layers) {
        for (const auto& head : layer.toArray()) {
            for (const auto& score : head.toArray()) {
                worst = std::max(worst, std::abs(scores.at(at++) - score.toDouble()));
            }
            QCOMPARE(scores.at(at++), 0.0F);
        }
    }
    QCOMPARE(at, scores.size());
    QVERIFY2(worst < tolerance, qPrintable(QString::number(worst)));
    QVERIFY(at > 0);
}

void TestHeadTypes::assignment_data() {
    QTest::addColumn<QList<double>>("scores");
    QTest::addColumn<int>("type");
    const auto is = [](HeadType t) { return static_cast<int>(t); };
    QTest::newRow("previous") << QList<double>{0.9, 0.1, 0, 0.2, 0.9}
                              << is(HeadType::previousToken);
    QTest::newRow("induction") << QList<double>{0, 0.3, 0.41, 0.2, 0} << is(HeadType::induction);
    QTest::newRow("positional") << QList<double>{0.3, 0, 0, 0.4, 0} << is(HeadType::positional);
    QTest::newRow("two reach it, one leads")
        << QList<double>{0.45, 0, 0.6, 0, 0.9} << is(HeadType::induction);
    QTest::newRow("two reach it, none leads")
        << QList<double>{0.55, 0, 0.6, 0, 0.9} << is(HeadType::mixed);
    QTest::newRow("one reaches it without a lead")
        << QList<double>{0.35, 0, 0.42, 0, 0.5} << is(HeadType::content);
    QTest::newRow("one reaches it without a lead, no content")
        << QList<double>{0.35, 0, 0.42, 0, 0.3} << is(HeadType::mixed);
    QTest::newRow("content") << QList<double>{0.1, 0, 0.2, 0, 0.4} << is(HeadType::content);
    QTest::newRow("nothing") << QList<double>{0.1, 0, 0.2, 0, 0.39} << is(HeadType::mixed);
}

void TestHeadTypes::assignment() {
    QFETCH(QList<double>, scores);
    QFETCH(int, type);
    std::array<double, 5> values{};
    std::copy(scores.begin(), scores.end(), values.begin());
    QCOMPARE(static_cast<int>(assignHeadType(values)), type);
}

void TestHeadTypes::randomProbeIsTwice() {
    const Probe probe = randomProbe(1000, {0, 1, 2}, 0);
    QCOMPARE(probe.size(), std::size_t(32));
    for (const auto& sequence : probe) {
        QCOMPARE(sequence.size(), std::size_t(64));
        QVERIFY(std::equal(sequence.begin(), sequence.begin() + 32, sequence.begin() + 32));
        QVERIFY(std::all_of(sequence.begin(), sequence.end(),
                            [](std::int32_t t) { return t >= 3 && t < 1000; }));
    }
    QVERIFY(probe[0] != probe[1]);
    QVERIFY(probe == randomProbe(1000, {0, 1, 2}, 0));
    QCOMPARE(randomProbe(1000, {}, 20)[0].size(), std::size_t(20));
    QVERIFY_EXCEPTION_THROWN(randomProbe(2, {0}, 0), InputError);
}

void TestHeadTypes::probesOfUsers() {
    QTemporaryDir folder;
    const auto read = [&](const QByteArray& lines) {
        QFile file(folder.filePath("p.jsonl"));
        if (file.open(QIODevice::WriteOnly)) {
            file.write(lines);
        }
        file.close();
        return readProbe(folder.filePath("p.jsonl").toStdString(), 50, 64);
    };
    const QByteArray good = "{\"input_ids\": [1, 2, 3, 1, 2, 3]}\n";
    QCOMPARE(read(good + good).size(), std::size_t(2));
    QVERIFY_EXCEPTION_THROWN(read(good), InputError);
    QVERIFY_EXCEPTION_THROWN(read(good + "{\"input_ids\": [1, 2, 3, 1, 2, 4]}\n"), InputError);
    QVERIFY_EXCEPTION_THROWN(read(good + "{\"input_ids\": [1, 2, 3]}\n"), InputError);
}

void TestHeadTypes::specialTokensAreNotDrawn() {
    QTemporaryDir folder;
    QFile file(folder.filePath("tokenizer_config.json"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(R"({"added_tokens_decoder": {"7": {"special": true}, "8": {"special": false}}})");
    file.close();
    const auto ids =
        specialTokens(R"({"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": null})",
                      folder.path().toStdString());
    QCOMPARE(ids, (std::vector<std::int32_t>{1, 2, 3, 7}));
}

QTEST_APPLESS_MAIN(TestHeadTypes)
#include "tst_head_types.moc"
