// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "model/ModelConfig.h"

#include <QtTest>

using namespace qkov;
using namespace qkov::model;

class TestModelConfig : public QObject {
    Q_OBJECT
  private slots:
    void sizes_data();
    void sizes();
    void mistakes_data();
    void mistakes();
    void dumpsAreCorrectedByTheirConfig();
};

void TestModelConfig::sizes_data() {
    QTest::addColumn<QString>("json");
    QTest::addColumn<QString>("architecture");
    QTest::addColumn<QList<int>>("sizes"); // layers, heads, kv heads, d_k, d_v, hidden
    const auto row = [](const char* name, const char* json, const char* architecture,
                        const QList<int>& sizes) {
        QTest::newRow(name) << json << architecture << sizes;
    };
    row("gpt2", R"({"model_type":"gpt2","n_layer":12,"n_head":12,"n_embd":768})", "gpt2",
        {12, 12, 12, 64, 64, 768});
    row("llama", R"({"model_type":"llama","num_hidden_layers":32,"num_attention_heads":32,
        "num_key_value_heads":8,"hidden_size":4096,"head_dim":null})",
        "llama", {32, 32, 8, 128, 128, 4096});
    row("explicit head_dim", R"({"model_type":"mistral","num_hidden_layers":40,
        "num_attention_heads":32,"num_key_value_heads":8,"hidden_size":5120,"head_dim":128})",
        "mistral", {40, 32, 8, 128, 128, 5120});
    row("gemma without head_dim", R"({"model_type":"gemma","num_hidden_layers":28,
        "num_attention_heads":16,"num_key_value_heads":16,"hidden_size":3072})",
        "gemma", {28, 16, 16, 256, 256, 3072});
    row("gemma3 nested", R"({"model_type":"gemma3","text_config":{"model_type":"gemma3_text",
        "num_hidden_layers":34,"hidden_size":2560},"vision_config":{"hidden_size":1152}})",
        "gemma3_text", {34, 8, 4, 256, 256, 2560});
    row("llava", R"({"model_type":"llava","text_config":{"model_type":"llama","n_layers":2,
        "num_heads":4,"d_model":16}})",
        "llama", {2, 4, 4, 4, 4, 16});
    row("bloom old", R"({"model_type":"bloom","n_layer":24,"num_attention_heads":16,
        "n_embed":1024})",
        "bloom", {24, 16, 16, 64, 64, 1024});
    row("mpt", R"({"model_type":"mpt","n_layers":32,"n_heads":32,"d_model":4096})", "mpt",
        {32, 32, 32, 128, 128, 4096});
    row("gpt_neo", R"({"model_type":"gpt_neo","num_layers":12,"num_heads":12,"hidden_size":768})",
        "gpt_neo", {12, 12, 12, 64, 64, 768});
    row("falcon-7b", R"({"model_type":"falcon","num_hidden_layers":32,"num_attention_heads":71,
        "num_kv_heads":71,"hidden_size":4544,"multi_query":true,
        "new_decoder_architecture":false})",
        "falcon", {32, 71, 1, 64, 64, 4544});
    row("falcon-40b", R"({"model_type":"falcon","num_hidden_layers":60,"num_attention_heads":128,
        "num_kv_heads":8,"hidden_size":8192,"multi_query":true,
        "new_decoder_architecture":true})",
        "falcon", {60, 128, 8, 64, 64, 8192});
    row("falcon-rw", R"({"model_type":"falcon","num_hidden_layers":24,"num_attention_heads":32,
        "num_kv_heads":1,"hidden_size":2048,"multi_query":false})",
        "falcon", {24, 32, 32, 64, 64, 2048});
    row("starcoder", R"({"model_type":"gpt_bigcode","n_layer":40,"n_head":48,"n_embd":6144})",
        "gpt_bigcode", {40, 48, 1, 128, 128, 6144});
    row("bigcode, not shared", R"({"model_type":"gpt_bigcode","n_layer":4,"n_head":8,
        "n_embd":64,"multi_query":false})",
        "gpt_bigcode", {4, 8, 8, 8, 8, 64});
    row("deepseek", R"({"model_type":"deepseek_v3","num_hidden_layers":61,
        "num_attention_heads":128,"num_key_value_heads":128,"hidden_size":7168,"head_dim":64,
        "qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128})",
        "deepseek_v3", {61, 128, 128, 192, 128, 7168});
    row("unknown", R"({"model_type":"new","num_layers":2,"num_heads":4,"hidden_size":8,
        "num_kv_heads":2,"v_head_dim":3})",
        "new", {2, 4, 2, 2, 3, 8});
    row("multi_query elsewhere", R"({"model_type":"new","num_layers":2,"num_heads":4,
        "hidden_size":8,"multi_query":true})",
        "new", {2, 4, 1, 2, 2, 8});
}

void TestModelConfig::sizes() {
    QFETCH(QString, json);
    QFETCH(QString, architecture);
    QFETCH(QList<int>, sizes);
    const ModelShape s = shapeFromConfig(json.toStdString(), "config.json");
    QCOMPARE(QString::fromStdString(s.architecture), architecture);
    QCOMPARE((QList<int>{int(s.numLayers), int(s.numHeads), int(s.numKvHeads), int(s.headDim),
                         int(s.vHeadDim), int(s.hiddenDim)}),
             sizes);
    QCOMPARE(QString::fromStdString(s.configJson), json);
}

void TestModelConfig::mistakes_data() {
    QTest::addColumn<QString>("json");
    QTest::addColumn<QString>("complaint");
    QTest::newRow("not JSON") << "{\"n_layer\": 12"
                              << "not a JSON object";
    QTest::newRow("array") << "[1]"
                           << "not a JSON object";
    QTest::newRow("no layers") << R"({"n_head":1,"n_embd":1})"
                               << "num_hidden_layers";
    QTest::newRow("text") << R"({"n_layer":"12","n_head":1,"n_embd":1})"
                          << "n_layer";
    QTest::newRow("fraction") << R"({"n_layer":1.5,"n_head":1,"n_embd":1})"
                              << "n_layer";
    QTest::newRow("huge") << R"({"n_layer":18446744073709551615,"n_head":1,"n_embd":1})"
                          << "n_layer";
    QTest::newRow("many") << R"({"n_layer":12,"n_head":2000000000,"n_embd":2000000000})"
                          << "number of heads";
    QTest::newRow("zero heads") << R"({"n_layer":12,"n_head":0,"n_embd":8})"
                                << "multiple";
    QTest::newRow("negative") << R"({"n_layer":-1,"n_head":2,"n_embd":8})"
                              << "layers is -1";
    QTest::newRow("uneven") << R"({"n_layer":1,"n_head":3,"n_embd":8})"
                            << "not a multiple";
    QTest::newRow("kv") << R"({"n_layer":1,"n_head":4,"n_embd":8,"num_key_value_heads":3})"
                        << "3 key/value heads";
    QTest::newRow("flag") << R"({"model_type":"falcon","n_layer":1,"n_head":4,"n_embd":8,
                                "multi_query":1})"
                          << "multi_query";
    QTest::newRow("mla") << R"({"model_type":"deepseek_v3","n_layer":1,"n_head":4,"n_embd":8})"
                         << "qk_nope_head_dim";
}

void TestModelConfig::mistakes() {
    QFETCH(QString, json);
    QFETCH(QString, complaint);
    try {
        shapeFromConfig(json.toStdString(), "dir/config.json");
        QFAIL("accepted");
    } catch (const InputError& e) {
        QVERIFY2(QString::fromUtf8(e.what()).contains(complaint), e.what());
        QCOMPARE(e.file(), std::filesystem::path("dir/config.json"));
    }
}

void TestModelConfig::dumpsAreCorrectedByTheirConfig() {
    ModelShape s;
    s.architecture = "falcon";
    s.numLayers = 1;
    s.numHeads = s.numKvHeads = 4;
    s.headDim = s.vHeadDim = 2;
    s.hiddenDim = 8;
    s.configJson = R"({"multi_query": true, "num_kv_heads": 4})";
    normalizeShape(s);
    QCOMPARE(s.numKvHeads, 1);
    s.numKvHeads = 2;
    s.configJson = R"({"multi_query": true, "new_decoder_architecture": true})";
    normalizeShape(s);
    QCOMPARE(s.numKvHeads, 2);
    s.configJson = "{}"; // says nothing: what the file says stays
    normalizeShape(s);
    QCOMPARE(s.numKvHeads, 2);
    s.configJson = "broken";
    normalizeShape(s);
    QCOMPARE(s.numKvHeads, 2);
    s.architecture = "deepseek_v3";
    s.configJson = R"({"qk_nope_head_dim": 5, "qk_rope_head_dim": 3, "v_head_dim": 6})";
    normalizeShape(s);
    QCOMPARE(s.numKvHeads, 4);
    QCOMPARE(s.headDim, 8);
    QCOMPARE(s.vHeadDim, 6);
}

QTEST_GUILESS_MAIN(TestModelConfig)
#include "tst_model_config.moc"
