// SPDX-License-Identifier: GPL-3.0-or-later
// Stores written as their documentation says come out as dumps with every number in its place.
#include "base/Error.h"
#include "core/dump/StoreFixture.h"
#include "dump/DumpReader.h"
#include "dump/Import.h"

#include <QTemporaryDir>
#include <QtTest>

#include <cmath>

using namespace qkov;
using namespace fixture;

namespace {

std::vector<double> gradient(const dump::DumpReader& reader, const std::string& parameter,
                             std::int64_t sample) {
    const dump::TaskInfo& task = *reader.info().task("t");
    const auto& shape = task.parameters.at(parameter).shape;
    dump::Region region{0, shape[0], 0, shape.size() > 1 ? shape[1] : 1};
    std::vector<double> values(static_cast<std::size_t>(region.count()));
    reader.readGradients(task, parameter, std::span(&sample, 1), region, values.data());
    return values;
}

} // namespace

class TestImport : public QObject {
    Q_OBJECT

  private slots:
    void init() { m_folder.emplace(); }
    void bergsonTurnsConv1D_data();
    void bergsonTurnsConv1D();
    void bergsonTakesSampleTexts();
    void logix();
    void refusals();
    void previewsSayWhatIsThere();

  private:
    QString at(const QString& name) const { return m_folder->filePath(name); }
    dump::ImportRequest request(const char* config) {
        put(at("config.json"), config);
        dump::ImportRequest r;
        r.tasks = {{"t", at("store").toStdString(), {}}};
        r.config = at("config.json").toStdString();
        r.out = at("out.h5").toStdString();
        return r;
    }
    QString failure(const dump::ImportRequest& r) {
        try {
            Job job;
            dump::importStores(r, job);
        } catch (const InputError& e) {
            return QString::fromUtf8(e.what());
        }
        return {};
    }
    std::optional<QTemporaryDir> m_folder;
};

void TestImport::bergsonTurnsConv1D_data() {
    QTest::addColumn<bool>("bias");
    QTest::addColumn<bool>("tokens");
    QTest::newRow("plain") << false << false;
    QTest::newRow("with bias column") << true << false;
    QTest::newRow("rows per token") << true << true;
}

void TestImport::bergsonTurnsConv1D() {
    QFETCH(bool, bias);
    QFETCH(bool, tokens);
    bergson(at("store"), 3, bias, tokens);
    Job job;
    const auto summary = dump::importStores(request(gpt2Config), job);
    QCOMPARE(summary.tasks.front().kind, std::string("bergson"));
    QCOMPARE(summary.tasks.front().parameters, std::int64_t(2));
    const dump::DumpReader reader(at("out.h5").toStdString());
    for (int s = 0; s < 3; ++s) {
        const auto qkv = gradient(reader, "h.0.attn.c_attn.weight", s);
        const auto o = gradient(reader, "h.0.attn.c_proj.weight", s);
        for (int in = 0; in < 4; ++in) {
            for (int out = 0; out < 12; ++out) {
                QCOMPARE(qkv[static_cast<std::size_t>(in * 12 + out)], double(code(s, 0, out, in)));
            }
            for (int out = 0; out < 4; ++out) {
                QCOMPARE(o[static_cast<std::size_t>(in * 4 + out)], double(code(s, 1, out, in)));
            }
        }
    }
    if (bias) {
        QCOMPARE(gradient(reader, "h.0.attn.c_attn.bias", 2)[5], double(code(2, 0, 5, 4)));
    }
    // Head 1's keys are columns 4 + 2 and 4 + 3 of c_attn.
    const auto slice = reader.layout().slice(Block::K, LayerIndex(0), HeadIndex(1));
    QVERIFY(slice && slice->axis == model::Axis::columns && slice->start == 6);
}

void TestImport::bergsonTakesSampleTexts() {
    bergson(at("store"), 2, false);
    put(at("samples.jsonl"),
        "{\"id\":\"one\",\"text\":\"1 + 1\",\"group\":\"sum\",\"n_tokens\":4}\n\n{\"id\":7}\n");
    auto r = request(gpt2Config);
    r.tasks[0].samples = at("samples.jsonl").toStdString();
    Job job;
    dump::importStores(r, job);
    const dump::DumpReader reader(at("out.h5").toStdString());
    const auto& samples = reader.info().task("t")->samples;
    QCOMPARE(samples[0].id, std::string("one"));
    QCOMPARE(samples[0].text, std::string("1 + 1"));
    QCOMPARE(samples[0].tokens, 4);
    QCOMPARE(samples[1].id, std::string("7"));
    put(at("samples.jsonl"), "{\"id\":1}\n");
    QVERIFY(failure(r).contains("has 1 samples, the store 2"));
}

void TestImport::logix() {
    QDir().mkpath(at("store"));
    const QStringList modules{"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj",
                              "model.layers.0.self_attn.k_proj"};
    const int outs[] = {4, 3, 2};
    for (int chunk = 0; chunk < 2; ++chunk) {
        std::vector<float> data;
        QStringList entries;
        for (int s = 0; s < 2; ++s) {
            const auto offset = data.size() * 4;
            QStringList paths;
            QStringList shapes;
            for (int m = 0; m < 3; ++m) {
                paths << QStringLiteral("[\"%1\",\"grad\"]").arg(modules[m]);
                shapes << QStringLiteral("[%1,6]").arg(outs[m]);
                for (int o = 0; o < outs[m]; ++o) {
                    for (int i = 0; i < 6; ++i) {
                        data.push_back(code(chunk * 2 + s, m, o, i));
                    }
                }
            }
            entries
                << QStringLiteral(
                       R"({"data_id":"id%1","path":[%2],"offset":%3,"shape":[%4],"block_size":%5,"dtype":"float32"})")
                       .arg(chunk * 2 + s)
                       .arg(paths.join(','))
                       .arg(offset)
                       .arg(shapes.join(','))
                       .arg(9 * 6);
        }
        put(at(QStringLiteral("store/log_rank_0_chunk_%1.mmap").arg(chunk)), floats(data));
        put(at(QStringLiteral("store/log_rank_0_chunk_%1_metadata.json").arg(chunk)),
            ("[" + entries.join(',') + "]").toUtf8());
    }
    Job job;
    const auto summary = dump::importStores(request(llamaConfig), job);
    QCOMPARE(summary.tasks.front().kind, std::string("logix"));
    QCOMPARE(summary.tasks.front().parameters, std::int64_t(2));
    const dump::DumpReader reader(at("out.h5").toStdString());
    const auto& samples = reader.info().task("t")->samples;
    QCOMPARE(samples[3].id, std::string("id3"));
    QCOMPARE(gradient(reader, "model.layers.0.self_attn.k_proj.weight", 3)[1 * 6 + 4],
             double(code(3, 2, 1, 4)));
    QCOMPARE(gradient(reader, "model.layers.0.self_attn.q_proj.weight", 2)[3 * 6 + 0],
             double(code(2, 0, 3, 0)));

    QFile::resize(at("store/log_rank_0_chunk_1.mmap"), 40);
    QVERIFY(failure(request(llamaConfig)).contains("truncated"));
}

void TestImport::refusals() {
    auto r = request(gpt2Config);
    QVERIFY(failure(r).contains("is not a folder"));
    QDir().mkpath(at("store"));
    QVERIFY(failure(r).contains("bergson"));

    bergson(at("store"), 2, false);
    QFile::resize(at("store/gradients.bin"), QFileInfo(at("store/gradients.bin")).size() - 4);
    QVERIFY(failure(r).contains("truncated"));

    // A store projected to 16 × 16 has no head axis.
    put(at("store/gradients.bin"), QByteArray(2 * 256 * 4, '\0'));
    put(at("store/info.json"),
        R"({"num_items":2,"num_grads":2,"base_dtype":"float32","grad_sizes":{"h.0.attn.c_attn":256}})");
    QVERIFY2(failure(r).contains("projected"), qPrintable(failure(r)));

    // Nothing of the model in it.
    put(at("store/info.json"),
        R"({"num_items":2,"num_grads":2,"base_dtype":"float32","grad_sizes":{"h.0.mlp.c_fc":256}})");
    QVERIFY(failure(r).contains("no attention matrices"));
    for (const char* bad :
         {"[]", "{", R"({"num_grads":-1})", R"({"num_grads":2,"grad_sizes":{"x":1e30}})",
          R"({"num_grads":2,"num_items":3,"grad_sizes":{"x":1},"base_dtype":"float32"})",
          R"({"num_grads":2,"grad_sizes":{"x":1},"base_dtype":"int8"})"}) {
        put(at("store/info.json"), bad);
        QVERIFY2(failure(r).contains("info.json"), bad);
    }
    QVERIFY(!QFile::exists(at("out.h5")));
}

void TestImport::previewsSayWhatIsThere() {
    auto r = request(gpt2Config);
    bergson(at("store"), 3, true);
    dump::ImportPreview p = dump::previewImport(r);
    QCOMPARE(p.configProblem, std::string());
    QCOMPARE(p.model.numHeads, std::int64_t(2));
    QCOMPARE(p.tasks.size(), std::size_t(1));
    const auto& t = p.tasks[0];
    QVERIFY2(t.storeProblem.empty(), t.storeProblem.c_str());
    QCOMPARE(t.kind, std::string("bergson"));
    QCOMPARE(t.samples, std::int64_t(3));
    QCOMPARE(t.modules, std::int64_t(3));
    QCOMPARE(t.parameters, std::int64_t(2));
    QCOMPARE(t.dtype, std::string("float32"));
    // c_attn 12 × 4 with its bias, c_proj 4 × 4 with its own; float32.
    QCOMPARE(t.diskBytes, 3.0 * 4 * (12 * 5 + 4 * 5));
    QCOMPARE(p.diskBytes, t.diskBytes);

    // Each field says its own problem; nothing is thrown.
    r.tasks[0].samples = at("none.jsonl").toStdString();
    QVERIFY(dump::previewImport(r).tasks[0].samplesProblem.find("opened") != std::string::npos);
    r.tasks.push_back({"u", at("nowhere").toStdString(), {}});
    p = dump::previewImport(r);
    QVERIFY(p.tasks[0].storeProblem.empty());
    QVERIFY(p.tasks[1].storeProblem.find("not a folder") != std::string::npos);
    put(at("config.json"), "{");
    p = dump::previewImport(r);
    QVERIFY(!p.configProblem.empty());
    QCOMPARE(p.tasks[0].samples, std::int64_t(3)); // the store is read all the same
    QCOMPARE(p.diskBytes, 0.0);
    put(at("layout.json"), "[]");
    r.layout = at("layout.json").toStdString();
    QVERIFY(!dump::previewImport(r).layoutProblem.empty());
    QVERIFY(dump::previewImport({}).tasks.empty());

    // An unknown architecture is said where its remedy is, not once per store.
    r = request(R"({"model_type":"mine","n_layer":1,"n_head":2,"n_embd":4})");
    p = dump::previewImport(r);
    QVERIFY2(p.layoutProblem.find("mine") != std::string::npos, p.layoutProblem.c_str());
    QVERIFY(p.tasks[0].storeProblem.empty());
    put(at("layout.json"), R"x({"fused": {"parameter": "^h\\.(\\d+)\\.attn\\.c_attn\\.weight$",
                              "order": "concatenated", "orientation": "in_out"}})x");
    r.layout = at("layout.json").toStdString();
    p = dump::previewImport(r);
    QVERIFY2(p.layoutProblem.empty(), p.layoutProblem.c_str());
    QCOMPARE(p.tasks[0].parameters, std::int64_t(1));
}

QTEST_APPLESS_MAIN(TestImport)
#include "tst_import.moc"
