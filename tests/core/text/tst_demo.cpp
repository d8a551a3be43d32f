// SPDX-License-Identifier: GPL-3.0-or-later
// resources/demo: the samples are what its README says, and the model's losses are transformers'
// own.
#include "collect/Collect.h"
#include "dump/DumpReader.h"

#include <nlohmann/json.hpp>

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <fstream>
#include <map>
#include <set>

using namespace qkov;
namespace fs = std::filesystem;

namespace {
const fs::path demo = fs::path(QKOV_RESOURCES) / "demo";
constexpr double lossTolerance = 1e-5; ///< float32 forward pass of float16 weights

/// Loss of each of the first eight samples, by transformers 4.46 in float64.
const std::map<std::string, std::vector<double>> losses = {
    {"arithmetic", {0.707861, 0.164845, 0.114864, 0.207591, 0.178873, 0.131767, 0.711, 0.145227}},
    {"code", {0.645426, 0.303253, 0.63879, 1.054391, 1.174974, 1.04031, 0.290596, 0.523352}}};
} // namespace

class TestDemo : public QObject {
    Q_OBJECT

  private slots:
    void samples_data();
    void samples();
    void modelKnowsBothTasks();
};

void TestDemo::samples_data() {
    QTest::addColumn<int>("groups");
    QTest::newRow("arithmetic") << 6;
    QTest::newRow("code") << 5;
}

void TestDemo::samples() {
    QFETCH(int, groups);
    std::ifstream in(demo / (std::string(QTest::currentDataTag()) + ".jsonl"));
    std::set<std::string> ids, texts, kinds;
    for (std::string line; std::getline(in, line);) {
        const auto sample = nlohmann::json::parse(line);
        const auto text = sample["text"].get<std::string>();
        const auto tokens = sample["input_ids"].get<std::vector<int>>();
        QVERIFY(tokens.size() >= 40 && tokens.size() <= 200);
        QCOMPARE(tokens.size(), text.size());
        for (std::size_t i = 0; i < text.size(); ++i)
            QCOMPARE(tokens[i], int(static_cast<unsigned char>(text[i])));
        QVERIFY(ids.insert(sample["id"]).second);
        QVERIFY(texts.insert(text).second);
        kinds.insert(sample["group"].get<std::string>());
    }
    QVERIFY(ids.size() >= 48);
    QCOMPARE(int(kinds.size()), groups);
}

void TestDemo::modelKnowsBothTasks() {
    const QTemporaryDir folder;
    collect::CollectRequest request;
    request.model = demo;
    request.tasks = {{"arithmetic", demo / "arithmetic.jsonl"}, {"code", demo / "code.jsonl"}};
    request.out = fs::path(folder.path().toStdString()) / "demo.h5";
    request.maxSamples = 8;
    Job job;
    collect::collect(request, job);
    const dump::DumpReader dump(request.out);
    for (const auto& [name, expected] : losses) {
        const dump::TaskInfo* task = dump.info().task(name);
        QVERIFY(task);
        QCOMPARE(task->samples.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const double loss = double(task->samples[i].loss);
            QVERIFY2(std::abs(loss - expected[i]) <= lossTolerance, QByteArray::number(loss));
        }
    }
}

QTEST_GUILESS_MAIN(TestDemo)
#include "tst_demo.moc"
