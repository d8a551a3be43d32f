// SPDX-License-Identifier: GPL-3.0-or-later
// config.json → DecoderSpec: defaults of the published classes, and nothing ignored that changes
// the numbers.
#include "base/Error.h"
#include "collect/DecoderSpec.h"
#include "model/ModelConfig.h"

#include <QtTest>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

using namespace qkov;
using namespace qkov::collect;
using nlohmann::json;

namespace {

const std::filesystem::path data = std::filesystem::path(QKOV_TEST_DATA) / "collect";

json configOf(const QString& name) {
    std::ifstream in(data / name.toStdString() / "config.json");
    return json::parse(in);
}

DecoderSpec specOf(const json& config) {
    return decoderSpec(model::shapeFromConfig(config.dump(), "config.json"), "config.json",
                       {"lm_head.weight", "embed_out.weight"});
}

/// The golden's config with some keys set, or removed where the patch says "absent".
json patched(const QString& name, const QByteArray& patch) {
    json config = configOf(name);
    const json changes = json::parse(patch.toStdString());
    for (const auto& [key, value] : changes.items()) {
        if (value == "absent") {
            config.erase(key);
        } else {
            config[key] = value;
        }
    }
    return config;
}

} // namespace

class TestDecoderSpec : public QObject {
    Q_OBJECT

  private slots:
    void everyArchitectureHasAGolden();
    void absentKeysMeanTheClassDefaults();
    void windows();
    void longRotations();
    void nestedConfigs_data();
    void nestedConfigs();
    void refusals_data();
    void refusals();
};

void TestDecoderSpec::everyArchitectureHasAGolden() {
    std::set<std::string> seen;
    for (const auto& entry : std::filesystem::directory_iterator(data)) {
        if (exists(entry.path() / "expected.safetensors")) {
            seen.insert(
                configOf(QString::fromStdString(entry.path().filename().string()))["model_type"]
                    .get<std::string>());
        }
    }
    const auto known = collectableArchitectures();
    QCOMPARE((std::vector<std::string>(seen.begin(), seen.end())), known);
    QCOMPARE(known.size(), std::size_t(16));
}

void TestDecoderSpec::absentKeysMeanTheClassDefaults() {
    DecoderSpec s = specOf(patched("gemma2", R"({"attn_logit_softcapping": "absent",
        "final_logit_softcapping": "absent", "sliding_window": "absent"})"));
    QCOMPARE(s.attentionSoftcap, 50.0);
    QCOMPARE(s.logitSoftcap, 30.0);
    QCOMPARE(s.windows, (std::vector<std::int64_t>{4096, 0}));
    s = specOf(patched("gemma2", R"({"attn_logit_softcapping": null,
        "final_logit_softcapping": null, "sliding_window": null})"));
    QCOMPARE(s.attentionSoftcap, 0.0);
    QCOMPARE(s.logitSoftcap, 0.0);
    QVERIFY(s.windows.empty());
    s = specOf(patched("mistral", R"({"sliding_window": "absent"})"));
    QCOMPARE(s.windows, (std::vector<std::int64_t>{4096, 4096}));
    s = specOf(patched("mistral", R"({"sliding_window": null})"));
    QVERIFY(s.windows.empty());
    s = specOf(patched("gptj", R"({"rotary_dim": "absent", "n_embd": 240})"));
    QCOMPARE(s.rotary.dim, std::int64_t(64));
    s = specOf(patched("gpt_neox", R"({"rotary_pct": "absent", "partial_rotary_factor": "absent",
        "rotary_emb_base": "absent", "rope_theta": "absent"})"));
    QCOMPARE(s.rotary.dim, std::int64_t(2));
    QCOMPARE(s.rotary.theta, 10000.0);
    s = specOf(patched("qwen3", R"({"rms_norm_eps": "absent", "head_dim": "absent"})"));
    QCOMPARE(s.normEpsilon, 1e-6);
    QCOMPARE(s.headDim, std::int64_t(128));
    s = specOf(patched("gemma", R"({"head_dim": "absent"})"));
    QCOMPARE(s.headDim, std::int64_t(256));
}

void TestDecoderSpec::windows() {
    QCOMPARE(specOf(patched("qwen2", R"({"max_window_layers": 1})")).windows,
             (std::vector<std::int64_t>{0, 5}));
    QVERIFY(specOf(patched("qwen2", R"({"use_sliding_window": false})")).windows.empty());
    QCOMPARE(
        specOf(patched("gemma2", R"({"layer_types": ["full_attention", "sliding_attention"]})"))
            .windows,
        (std::vector<std::int64_t>{0, 4}));
}

void TestDecoderSpec::longRotations() {
    // Phi-3: the ratio of the two lengths, whatever a factor says; 4096 where one is absent.
    const double expected = std::sqrt(1 + std::log(64.0 / 8) / std::log(8.0));
    const DecoderSpec s = specOf(patched("phi3", R"({"rope_scaling": {"type": "longrope",
        "factor": 3.0, "short_factor": [1, 1, 1], "long_factor": [2, 2, 2]}})"));
    QVERIFY(std::abs(s.rotary.attentionFactor - expected) < 1e-12);
    const DecoderSpec d = specOf(patched(
        "phi3",
        R"({"original_max_position_embeddings": "absent", "max_position_embeddings": 8192})"));
    QCOMPARE(d.rotary.originalMaxPositions, std::int64_t(4096));
    // What newer configs call it.
    const DecoderSpec n = specOf(patched("llama_scaled", R"({"rope_scaling": "absent",
        "rope_theta": "absent", "rope_parameters": {"rope_type": "linear", "factor": 2.0,
        "rope_theta": 700.0, "partial_rotary_factor": 0.5}})"));
    QCOMPARE(n.rotary.theta, 700.0);
    QCOMPARE(n.rotary.dim, std::int64_t(4));
    QCOMPARE(n.rotary.factor, 2.0);
}

void TestDecoderSpec::nestedConfigs_data() {
    QTest::addColumn<QString>("name");
    for (const char* name : {"llama_scaled", "gemma2", "qwen2", "mistral"}) {
        QTest::newRow(name) << name;
    }
}

void TestDecoderSpec::nestedConfigs() {
    QFETCH(QString, name);
    const json flat = configOf(name);
    const json nested{{"model_type", "llava"}, {"vocab_size", 7}, {"text_config", flat}};
    const DecoderSpec a = specOf(flat), b = specOf(nested);
    QCOMPARE(b.vocabulary, a.vocabulary);
    QCOMPARE(b.maxPositions, a.maxPositions);
    QCOMPARE(b.rotary.theta, a.rotary.theta);
    QCOMPARE(b.rotary.scaling, a.rotary.scaling);
    QCOMPARE(b.windows, a.windows);
    QCOMPARE(b.attentionSoftcap, a.attentionSoftcap);
    QCOMPARE(b.head, a.head);
    QCOMPARE(b.mlpDim, a.mlpDim);
}

void TestDecoderSpec::refusals_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QByteArray>("patch");
    QTest::addColumn<QString>("key");
    const auto row = [](const char* what, const char* name, const char* patch, const char* key) {
        QTest::newRow(what) << name << QByteArray(patch) << key;
    };
    row("yarn's mscale", "llama_yarn",
        R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mscale": 0.7}})",
        "rope_scaling.mscale");
    row("sections", "llama_tied",
        R"({"rope_scaling": {"type": "default", "mrope_section": [1, 1, 1]}})",
        "rope_scaling.mrope_section");
    row("unknown scaling", "llama_tied", R"({"rope_scaling": {"type": "other", "factor": 2.0}})",
        "rope_scaling.rope_type");
    row("no factor", "llama_tied", R"({"rope_scaling": {"type": "linear"}})",
        "rope_scaling.factor");
    row("scaled without a length", "llama_dynamic", R"({"max_position_embeddings": "absent"})",
        "max_position_embeddings");
    row("per kind of layer", "gemma2",
        R"({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}})",
        "rope_parameters.full_attention");
    row("quantized", "llama_tied", R"({"quantization_config": {"quant_method": "gptq"}})",
        "quantization_config");
    row("another kind of layer", "qwen2",
        R"({"layer_types": ["full_attention", "chunked_attention"]})", "layer_types");
    row("too few layers listed", "qwen2", R"({"layer_types": ["full_attention"]})", "layer_types");
    row("slides without a window", "gemma2",
        R"({"sliding_window": null, "layer_types": ["sliding_attention", "full_attention"]})",
        "sliding_window");
    row("gemma2's scale", "gemma2", R"({"query_pre_attn_scalar": "absent"})",
        "query_pre_attn_scalar");
    row("activation", "llama_tied", R"({"hidden_act": "mish"})", "hidden_act");
    row("local attention", "gpt_neo", R"({"attention_layers": ["global", "strided"]})",
        "attention_types");
    row("rotary size", "gptj", R"({"rotary_dim": 64})", "rotary");
    row("mpt norm", "mpt", R"({"norm_type": "rmsnorm"})", "norm_type");
    row("mpt bias", "mpt", R"({"no_bias": false})", "no_bias");
    row("mpt mlp", "mpt", R"({"ffn_config": {"ffn_type": "mptglu"}})", "ffn_config.ffn_type");
    row("mpt norms of q and k", "mpt", R"({"attn_config": {"qk_ln": true}})", "attn_config.qk_ln");
    row("mpt positions", "mpt", R"({"attn_config": {"alibi": false}})", "attn_config.alibi");
    row("falcon one after the other", "falcon_grouped", R"({"parallel_attn": false})",
        "parallel_attn");
    row("another model", "llama_tied", R"({"model_type": "mamba"})", "model_type");
}

void TestDecoderSpec::refusals() {
    QFETCH(QString, name);
    QFETCH(QByteArray, patch);
    QFETCH(QString, key);
    QVERIFY(specOf(configOf(name)).layers > 0);
    try {
        specOf(patched(name, patch));
        QFAIL("accepted");
    } catch (const InputError& e) {
        const QString said = QString::fromUtf8(e.what());
        QVERIFY2(said.contains(key) && said.contains("config.json"), qPrintable(said));
    }
}

QTEST_APPLESS_MAIN(TestDecoderSpec)
#include "tst_decoder_spec.moc"
