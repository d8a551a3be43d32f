// SPDX-License-Identifier: GPL-3.0-or-later
// For every architecture: a weight whose entries say which block and head they belong to, built the
// way the model itself splits it, is sliced, and every slice must come out pure.
#include "HeadRows.h"
#include "base/Error.h"

#include <QtTest>
#include <set>

using namespace qkov;
using namespace qkov::model;
using namespace qkov::test;

namespace {

/// Multi-head latent attention: Q, and K beside V, come out of low-rank matrices.
struct Latent {
    const char* architecture;
    bool lowRank; ///< Q too
    std::int64_t heads = 3, noPosition = 5, rotary = 2, value = 4, hidden = 40, rankQ = 11,
                 rankKv = 9;
};

std::vector<Latent> latentModels() {
    std::vector<Latent> all;
    for (const char* architecture : {"deepseek_v2", "deepseek_v3"}) {
        all.push_back({architecture, true});
        all.push_back({architecture, false});
    }
    return all;
}

struct LatentMatrix {
    std::string name;
    Codes codes; ///< along the head axis
    std::int64_t other = 0;
};

/// How transformers splits it: q.view(heads, nope + rope), kv.view(heads, nope + v).
LatentMatrix latentMatrix(const Latent& m, Block block, const std::string& prefix,
                          std::int64_t layer) {
    const std::string path = prefix + "layers." + std::to_string(layer) + ".self_attn.";
    LatentMatrix matrix;
    for (std::int64_t h = 0; h < m.heads; ++h) {
        switch (block) {
        case Block::Q:
            append(matrix.codes, Block::Q, h, m.noPosition + m.rotary);
            break;
        case Block::K:
        case Block::V:
            append(matrix.codes, Block::K, h, m.noPosition);
            append(matrix.codes, Block::V, h, m.value);
            break;
        case Block::O:
            append(matrix.codes, Block::O, h, m.value);
            break;
        }
    }
    switch (block) {
    case Block::Q:
        matrix.name = path + (m.lowRank ? "q_b_proj.weight" : "q_proj.weight");
        matrix.other = m.lowRank ? m.rankQ : m.hidden;
        break;
    case Block::K:
    case Block::V:
        matrix.name = path + "kv_b_proj.weight";
        matrix.other = m.rankKv;
        break;
    case Block::O:
        matrix.name = path + "o_proj.weight";
        matrix.other = m.hidden;
        break;
    }
    return matrix;
}

HeadLayout latentLayout(const Latent& m, const std::string& prefix) {
    ModelShape s;
    s.architecture = m.architecture;
    s.numLayers = 2;
    s.numHeads = s.numKvHeads = m.heads;
    s.headDim = m.noPosition + m.rotary;
    s.vHeadDim = m.value;
    s.hiddenDim = m.hidden;
    s.configJson = "{\"qk_nope_head_dim\": " + std::to_string(m.noPosition) +
                   ", \"qk_rope_head_dim\": " + std::to_string(m.rotary) +
                   ", \"kv_lora_rank\": " + std::to_string(m.rankKv) + ", \"q_lora_rank\": " +
                   (m.lowRank ? std::to_string(m.rankQ) : std::string("null")) + "}";
    std::vector<std::string> names;
    for (std::int64_t l = 0; l < s.numLayers; ++l) {
        for (const Block b : {Block::Q, Block::K, Block::O}) {
            names.push_back(latentMatrix(m, b, prefix, l).name);
        }
        const std::string path = prefix + "layers." + std::to_string(l) + ".self_attn.";
        names.push_back(path + "q_a_proj.weight");
        names.push_back(path + "kv_a_proj_with_mqa.weight");
    }
    return HeadLayout(s, names);
}

std::string text(const std::vector<std::int64_t>& shape) {
    return "[" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + "]";
}

/// The parameter's own shape is taken; any other is refused, with both named.
void shapeIsChecked(const HeadLayout& layout, const ParameterInfo& info) {
    const bool rows = info.headAxis == Axis::rows;
    const std::vector<std::int64_t> right{rows ? info.headAxisLength : info.otherAxisLength,
                                          rows ? info.otherAxisLength : info.headAxisLength};
    layout.checkShape(info.name, right, "f");
    for (const std::size_t axis : {0, 1}) {
        std::vector<std::int64_t> wrong = right;
        wrong[axis] += 1;
        try {
            layout.checkShape(info.name, wrong, "f");
            QFAIL("a wrong shape was accepted");
        } catch (const InputError& e) {
            QCOMPARE(e.innerPath(), info.name);
            QVERIFY2(e.problem().find(text(right)) != std::string::npos, e.what());
            QVERIFY2(e.problem().find(text(wrong)) != std::string::npos, e.what());
        }
    }
}

} // namespace

class TestHeadLayout : public QObject {
    Q_OBJECT
  private slots:
    void slicesArePure_data();
    void slicesArePure();
    void latentAttention_data();
    void latentAttention();
    void lookAlikesAreIgnored();
    void ambiguousNames();
    void unknownArchitecture();
    void userLayout();
    void userLayoutMistakes_data();
    void userLayoutMistakes();
    void shapesAreChecked();
    void runawayPatternsEnd();
    void everyRegisteredArchitectureIsTested();
};

void TestHeadLayout::slicesArePure_data() {
    QTest::addColumn<int>("row");
    const auto all = rows();
    for (int i = 0; i < int(all.size()); ++i) {
        QTest::addRow("%s %d", all[size_t(i)].architecture, i) << i;
    }
}

void TestHeadLayout::slicesArePure() {
    QFETCH(int, row);
    const Row r = rows()[size_t(row)];
    for (const std::string& prefix : {std::string(), r.prefix}) {
        const HeadLayout layout = layoutOf(r, prefix, true);
        for (std::int64_t l = 0; l < 2; ++l) {
            for (const Block b : allBlocks) {
                const Codes codes = codesOf(r, b);
                const ParameterInfo* info = layout.find(b, LayerIndex(l));
                QVERIFY(info);
                QCOMPARE(info->name, prefix + at(r.names[blockIndex(b)], l));
                QCOMPARE(info->inOut, r.inOut);
                QCOMPARE(info->headAxisLength, std::int64_t(codes.size()));
                QCOMPARE(info->otherAxisLength, r.hidden);
                shapeIsChecked(layout, *info);
                // Outputs are columns of an [in, out] matrix, rows of an [out, in] one.
                const bool outputs = b != Block::O;
                QVERIFY(info->headAxis == (outputs == r.inOut ? Axis::columns : Axis::rows));
                std::vector<int> used(codes.size(), 0);
                for (std::int64_t h = 0; h < r.heads; ++h) {
                    const bool shared = b == Block::K || b == Block::V;
                    const std::int64_t wanted = shared ? h / (r.heads / r.kv) : h;
                    const auto slice = layout.slice(b, LayerIndex(l), HeadIndex(h));
                    QVERIFY(slice);
                    QCOMPARE(slice->parameter, info->name);
                    QVERIFY(slice->axis == info->headAxis);
                    QCOMPARE(slice->length, b == Block::V || b == Block::O ? r.dv : r.d);
                    for (std::int64_t i = slice->start; i < slice->start + slice->length; ++i) {
                        QVERIFY(i >= 0 && i < std::int64_t(codes.size()));
                        QVERIFY(codes[size_t(i)] == std::pair(b, wanted));
                        ++used[size_t(i)];
                    }
                    const auto bias = layout.biasSlice(b, LayerIndex(l), HeadIndex(h));
                    QCOMPARE(bias.has_value(), b != Block::O);
                    if (bias) {
                        QVERIFY(bias->axis == Axis::rows);
                        QCOMPARE(bias->start, slice->start);
                        QCOMPARE(bias->length, slice->length);
                        QCOMPARE(bias->parameter.substr(bias->parameter.size() - 5),
                                 std::string(".bias"));
                    }
                }
                // Every number of the block is in a slice, of as many heads as share it.
                for (std::size_t i = 0; i < codes.size(); ++i) {
                    const bool mine = codes[i].first == b;
                    const bool shared = b == Block::K || b == Block::V;
                    QCOMPARE(used[i], mine ? int(shared ? r.heads / r.kv : 1) : 0);
                }
            }
        }
        QVERIFY(!layout.slice(Block::Q, LayerIndex(2), HeadIndex(0)));
        QVERIFY(!layout.slice(Block::Q, LayerIndex(0), HeadIndex(r.heads)));
        QVERIFY(!layout.slice(Block::Q, LayerIndex(-1), HeadIndex(0)));
    }
}

void TestHeadLayout::latentAttention_data() {
    QTest::addColumn<int>("model");
    const auto all = latentModels();
    for (int i = 0; i < int(all.size()); ++i) {
        QTest::addRow("%s %s", all[size_t(i)].architecture,
                      all[size_t(i)].lowRank ? "low rank" : "whole q")
            << i;
    }
}

void TestHeadLayout::latentAttention() {
    QFETCH(int, model);
    const Latent m = latentModels()[size_t(model)];
    for (const std::string& prefix : {std::string("model."), std::string()}) {
        const HeadLayout layout = latentLayout(m, prefix);
        // The a matrices have no heads.
        QCOMPARE(layout.parameters().size(), std::size_t(2 * 3));
        for (const ParameterInfo& info : layout.parameters()) {
            QVERIFY(info.name.find("_a_proj") == std::string::npos);
            QVERIFY(!info.inOut);
            shapeIsChecked(layout, info);
        }
        for (std::int64_t l = 0; l < 2; ++l) {
            for (const Block b : allBlocks) {
                const LatentMatrix matrix = latentMatrix(m, b, prefix, l);
                const ParameterInfo* info = layout.find(b, LayerIndex(l));
                QVERIFY(info);
                QCOMPARE(info->name, matrix.name);
                QCOMPARE(info->headAxisLength, std::int64_t(matrix.codes.size()));
                QCOMPARE(info->otherAxisLength, matrix.other);
                QVERIFY(info->headAxis == (b == Block::O ? Axis::columns : Axis::rows));
                std::vector<int> used(matrix.codes.size(), 0);
                for (std::int64_t h = 0; h < m.heads; ++h) {
                    const auto slice = layout.slice(b, LayerIndex(l), HeadIndex(h));
                    QVERIFY(slice);
                    QCOMPARE(slice->parameter, matrix.name);
                    QVERIFY(slice->axis == info->headAxis);
                    for (std::int64_t i = slice->start; i < slice->start + slice->length; ++i) {
                        QVERIFY(i >= 0 && i < std::int64_t(matrix.codes.size()));
                        QVERIFY(matrix.codes[size_t(i)] == std::pair(b, h));
                        ++used[size_t(i)];
                    }
                }
                for (std::size_t i = 0; i < used.size(); ++i) {
                    QCOMPARE(used[i], int(matrix.codes[i].first == b));
                }
            }
        }
        QVERIFY(!layout.slice(Block::K, LayerIndex(2), HeadIndex(0)));
        QVERIFY(!layout.slice(Block::K, LayerIndex(0), HeadIndex(m.heads)));
    }
    ModelShape s;
    s.architecture = m.architecture;
    s.numLayers = s.numHeads = s.numKvHeads = 1;
    s.headDim = s.vHeadDim = s.hiddenDim = 4;
    QVERIFY_EXCEPTION_THROWN(HeadLayout(s, {}), InputError); // K's size is only in the config
}

void TestHeadLayout::lookAlikesAreIgnored() {
    const auto none = [](const char* architecture, const std::vector<std::string>& names) {
        Row r = rows()[0];
        r.architecture = architecture;
        return HeadLayout(shapeOf(r, 2), names).parameters().empty();
    };
    QVERIFY(
        none("gpt2", {"h.0.mlp.c_proj.weight", "h.0.crossattention.c_attn.weight", "h.0.attn.bias",
                      "h.0.attn.masked_bias", "h.0.attn.c_attn.weight.x",
                      "x.h.0.attn.c_attn.weight", "h.0.attn.c_attn.bias",
                      "h.00000000000000000000000000000001.attn.c_attn.weight"
                      "x",
                      "h.99999999999999999999.attn.c_attn.weight", "h.0.attn.c_attn.weight\n"}));
    QVERIFY(none("bert", {"bert.encoder.layer.0.output.dense.weight",
                          "bert.encoder.layer.0.intermediate.dense.weight",
                          "bert.encoder.layer.0.crossattention.self.query.weight"}));
    QVERIFY(none("qwen3", {"model.layers.0.self_attn.q_norm.weight",
                           "model.layers.0.self_attn.k_norm.weight"}));
    QVERIFY(none("opt", {"model.decoder.layers.0.encoder_attn.q_proj.weight"}));
    QVERIFY(none("gemma3", {"vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight"}));
    QVERIFY(none("gpt_neox", {"gpt_neox.layers.0.attention.bias",
                              "gpt_neox.layers.0.attention.rotary_emb.inv_freq",
                              "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"}));
    const Row r = rows()[0];
    const HeadLayout layout(shapeOf(r, 2), {"h.2.attn.c_attn.weight", "h.1.attn.c_attn.weight"});
    QCOMPARE(layout.parameters().size(), std::size_t(1));
    QCOMPARE(layout.beyondLayers(), std::vector<std::string>{"h.2.attn.c_attn.weight"});
}

void TestHeadLayout::ambiguousNames() {
    const Row r = rows()[0];
    QVERIFY_EXCEPTION_THROWN(
        HeadLayout(shapeOf(r, 2), {"h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight"}),
        InputError);
}

void TestHeadLayout::unknownArchitecture() {
    Row r = rows()[0];
    r.architecture = "mamba";
    try {
        HeadLayout(shapeOf(r, 2), {});
        QFAIL("an unknown architecture was accepted");
    } catch (const InputError& e) {
        QVERIFY(e.problem().find("\"mamba\"") != std::string::npos);
        QVERIFY(e.problem().find("bert, bloom,") != std::string::npos);
    }
}

void TestHeadLayout::userLayout() {
    Row r = rows()[0];
    r.architecture = "my-model";
    r.heads = 6;
    r.kv = 2;
    ModelShape s = shapeOf(r, 2);
    s.layoutJson = R"({"name": "my-model",
        "fused": {"parameter": "^blocks\\.(\\d+)\\.attn\\.qkv\\.weight$", "order": "per_kv_group",
                  "orientation": "in_out", "bias": "^blocks\\.(\\d+)\\.attn\\.qkv\\.bias$"},
        "O": {"parameter": "^blocks\\.(\\d+)\\.attn\\.proj\\.weight$", "orientation": "out_in"}})";
    const HeadLayout layout(
        s, {"blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias", "blocks.1.attn.proj.weight"});
    QCOMPARE(*layout.slice(Block::Q, LayerIndex(0), HeadIndex(4)),
             (HeadSlice{"blocks.0.attn.qkv.weight", Axis::columns, 15 + 3, 3}));
    QCOMPARE(*layout.slice(Block::V, LayerIndex(0), HeadIndex(5)),
             (HeadSlice{"blocks.0.attn.qkv.weight", Axis::columns, 15 + 12, 3}));
    QCOMPARE(*layout.biasSlice(Block::K, LayerIndex(0), HeadIndex(0)),
             (HeadSlice{"blocks.0.attn.qkv.bias", Axis::rows, 9, 3}));
    QVERIFY(!layout.slice(Block::Q, LayerIndex(1), HeadIndex(0)));
    QCOMPARE(layout.slice(Block::O, LayerIndex(1), HeadIndex(1))->start, 3);
    layout.checkShape("blocks.0.attn.qkv.weight", {777, 30}, "f"); // the other axis is free
    QVERIFY_EXCEPTION_THROWN(layout.checkShape("blocks.0.attn.qkv.weight", {30, 777}, "f"),
                             InputError);
    s.layoutJson = R"({"Q": {"parameter": "^l(\\d+)q$", "orientation": "out_in"},
                       "K": {"parameter": "^l(\\d+)k$", "orientation": "in_out"}})";
    const HeadLayout two(s, {"l0q", "l1k"});
    QCOMPARE(*two.slice(Block::Q, LayerIndex(0), HeadIndex(5)),
             (HeadSlice{"l0q", Axis::rows, 15, 3}));
    QCOMPARE(*two.slice(Block::K, LayerIndex(1), HeadIndex(5)),
             (HeadSlice{"l1k", Axis::columns, 3, 3}));
}

void TestHeadLayout::userLayoutMistakes_data() {
    QTest::addColumn<QString>("json");
    QTest::addColumn<QString>("complaint");
    const auto q = [](const char* parameter, const char* rest) {
        return QStringLiteral("{\"Q\": {\"parameter\": \"%1\"%2}}").arg(parameter, rest);
    };
    QTest::newRow("not JSON") << "{"
                              << "not a JSON object";
    QTest::newRow("empty") << "{}"
                           << "names no parameter";
    QTest::newRow("no orientation") << q("^a(\\\\d+)$", "") << "Q.orientation";
    QTest::newRow("no group") << q("^a$", ", \"orientation\": \"out_in\"") << "capture groups";
    QTest::newRow("two groups") << q("^(a)(\\\\d+)$", ", \"orientation\": \"out_in\"")
                                << "2 capture groups";
    QTest::newRow("broken") << q("^a(\\\\d+$", ", \"orientation\": \"out_in\"") << "not valid";
    QTest::newRow("order") << R"x({"fused": {"parameter": "(\\d)", "orientation": "out_in",
                                  "order": "x"}})x"
                           << "fused.order";
    QTest::newRow("twice") << R"x({"fused": {"parameter": "(\\d)", "orientation": "out_in",
                                  "order": "per_head"}, "K": {"parameter": "(\\d)",
                                  "orientation": "out_in"}})x"
                           << "already part of fused";
    QTest::newRow("number") << R"x({"O": {"parameter": 3}})x"
                            << "O.parameter";
    QTest::newRow("overlap") << R"x({"Q": {"parameter": "^l(\\d+)w$", "orientation": "out_in"},
                                    "K": {"parameter": "^l(\\d+).$", "orientation": "out_in"}})x"
                             << "matches the patterns of Q and of K";
    QTest::newRow("fused list") << R"x({"fused": []})x"
                                << "fused";
}

void TestHeadLayout::userLayoutMistakes() {
    QFETCH(QString, json);
    QFETCH(QString, complaint);
    ModelShape s = shapeOf(rows()[0], 2);
    s.layoutJson = json.toStdString();
    try {
        HeadLayout(s, {"l0w"});
        QFAIL("accepted");
    } catch (const InputError& e) {
        QVERIFY2(QString::fromStdString(e.problem()).contains(complaint), e.what());
    }
}

void TestHeadLayout::shapesAreChecked() {
    const HeadLayout layout = layoutOf(rows()[0], "", true);
    layout.checkShape("h.0.attn.c_attn.weight", {12, 36}, "f");
    layout.checkShape("h.0.attn.c_attn.bias", {36}, "f");
    layout.checkShape("h.0.attn.c_proj.bias", {12}, "f");
    layout.checkShape("other", {1, 2, 3}, "f");
    for (const auto& wrong : std::vector<std::vector<std::int64_t>>{
             {36, 12}, {12, 24}, {12}, {12, 36, 1}, {}, {12, 0}}) {
        try {
            layout.checkShape("h.0.attn.c_attn.weight", wrong, "f");
            QFAIL("a wrong shape was accepted");
        } catch (const InputError& e) {
            QVERIFY(e.problem().find("[12, 36]") != std::string::npos);
            QCOMPARE(e.innerPath(), std::string("h.0.attn.c_attn.weight"));
        }
    }
    // Interleaved per head can't be shared.
    const auto all = rows();
    Row neox = *std::find_if(all.begin(), all.end(), [](const Row& r) {
        return std::string(r.architecture) == "gpt_neox";
    });
    neox.kv = 2;
    QVERIFY_EXCEPTION_THROWN(layoutOf(neox, "", false), InputError);
}

void TestHeadLayout::runawayPatternsEnd() {
    ModelShape s = shapeOf(rows()[0], 2);
    s.layoutJson = R"({"Q": {"parameter": "^(?:a+)+(\\d+)$", "orientation": "out_in"}})";
    QElapsedTimer timer;
    timer.start();
    const HeadLayout layout(s, {std::string(3000, 'a'), "aa1"});
    QVERIFY(timer.elapsed() < 2000);
    QCOMPARE(layout.parameters().size(), std::size_t(1));
}

void TestHeadLayout::everyRegisteredArchitectureIsTested() {
    std::set<std::string> tested;
    for (const Latent& m : latentModels()) {
        tested.insert(m.architecture);
    }
    for (const Row& r : rows()) {
        tested.insert(r.architecture);
    }
    const auto known = knownArchitectures();
    QCOMPARE(std::set<std::string>(known.begin(), known.end()), tested);
}

QTEST_GUILESS_MAIN(TestHeadLayout)
#include "tst_head_layout.moc"
