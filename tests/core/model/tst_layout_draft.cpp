// SPDX-License-Identifier: GPL-3.0-or-later
// Layouts made by hand: patterns, the first guess, what matches, and that the file that comes out
// finds the same heads.
#include "base/Error.h"
#include "model/LayoutDraft.h"

#include <QElapsedTimer>
#include <QTest>

#include <algorithm>

using namespace qkov;
using namespace qkov::model;

namespace {

ModelShape modelShape(std::int64_t layers, std::int64_t heads, std::int64_t kv, std::int64_t d,
                      std::int64_t hidden) {
    ModelShape s;
    s.name = "unknown";
    s.architecture = "unheard_of";
    s.numLayers = layers;
    s.numHeads = heads;
    s.numKvHeads = kv;
    s.headDim = s.vHeadDim = d;
    s.hiddenDim = hidden;
    return s;
}

using Shapes = std::vector<NamedShape>;

void addLayers(Shapes& list, std::int64_t layers, const std::string& pattern,
               std::vector<std::int64_t> shape) {
    for (std::int64_t l = 0; l < layers; ++l) {
        std::string name = pattern;
        name.replace(name.find("{layer}"), 7, std::to_string(l));
        list.push_back({name, shape});
    }
}

/// 3 layers, 4 heads of 8, 2 kv heads, hidden 40 with separate projections under new names.
Shapes separateModel() {
    Shapes list{{"tok.weight", {100, 40}}};
    addLayers(list, 3, "net.{layer}.att.wq.weight", {32, 40});
    addLayers(list, 3, "net.{layer}.att.wk.weight", {16, 40});
    addLayers(list, 3, "net.{layer}.att.wv.weight", {16, 40});
    addLayers(list, 3, "net.{layer}.att.wo.weight", {40, 32});
    addLayers(list, 3, "net.{layer}.att.wq.bias", {32});
    addLayers(list, 3, "net.{layer}.att.q_norm.weight", {8});
    addLayers(list, 3, "net.{layer}.mlp.proj_out.weight", {40, 160});
    return list;
}

QString words(const std::vector<std::string>& lines) {
    QStringList list;
    for (const auto& l : lines) {
        list << QString::fromStdString(l);
    }
    return list.join('\n');
}

} // namespace

class TestLayoutDraft : public QObject {
    Q_OBJECT

  private slots:
    void patternsBecomeExpressions() {
        QCOMPARE(patternExpression("h.{layer}.attn.q_proj.weight"),
                 std::string("^h\\.(\\d+)\\.attn\\.q_proj\\.weight$"));
        QCOMPARE(patternExpression("*h.{layer}.w"), std::string("^.*h\\.(\\d+)\\.w$"));
        QCOMPARE(patternExpression("^x(\\d+)$"), std::string("^x(\\d+)$"));
        for (const char* bad : {"h.weight", "h.{layer}.{layer}", "^h$", "^(a)(b)", "^(\\d+"}) {
            QVERIFY_EXCEPTION_THROWN(patternExpression(bad), InputError);
        }
        // Characters that mean something in expressions are only themselves.
        QCOMPARE(patternExpression("a+b(c)[{layer}]"), std::string("^a\\+b\\(c\\)\\[(\\d+)\\]$"));
    }

    void namesBecomePatterns() {
        QCOMPARE(patternOf("model.layers.12.w1.weight"),
                 std::string("model.layers.{layer}.w1.weight"));
        QCOMPARE(patternOf("block3_q"), std::string("block{layer}_q"));
        QCOMPARE(patternOf("w1.layers.3.q"), std::string("w1.layers.{layer}.q"));
        QCOMPARE(patternOf("embed.weight"), std::string());
    }

    void filesGoBackAndForth() {
        LayoutDraft d;
        d.name = "mine";
        d.fusedBlocks = {Block::Q, Block::K, Block::V};
        d.order = FusedOrder::perHead;
        d.fused = {"blocks.{layer}.mix.weight", "blocks.{layer}.mix.bias", false};
        d.parts[3] = {"*blocks.{layer}.out.weight", "", true};
        QVERIFY(draftOf(toLayoutJson(d)) == d);
        d.fusedBlocks = {Block::K, Block::V};
        d.parts[0] = {"^(?:a|b)\\.(\\d+)\\.q$", "", false};
        QVERIFY(draftOf(toLayoutJson(d)) == d);
        // An expression without an anchor still finds the same.
        const auto loose = draftOf(R"x({"Q": {"parameter": "q(\\d+)", "orientation": "out_in"}})x");
        const auto check = checkLayout(loose, modelShape(20, 2, 2, 4, 8), {{"xx.q12.w", {8, 8}}});
        QCOMPARE(check.matches.size(), std::size_t(1));
        QCOMPARE(check.matches[0].layer.value, std::int64_t(12));
        QVERIFY_EXCEPTION_THROWN(draftOf("{"), InputError);
        QVERIFY_EXCEPTION_THROWN(toLayoutJson({}), InputError);
    }

    void separateProjectionsAreGuessed() {
        const auto shape = modelShape(3, 4, 2, 8, 40);
        const auto list = separateModel();
        const LayoutDraft d = guessLayout(shape, list);
        QVERIFY(d.fusedBlocks.empty());
        QCOMPARE(d.parts[0].pattern, std::string("net.{layer}.att.wq.weight"));
        QCOMPARE(d.parts[0].bias, std::string("net.{layer}.att.wq.bias"));
        QCOMPARE(d.parts[1].pattern, std::string("net.{layer}.att.wk.weight"));
        QCOMPARE(d.parts[2].pattern, std::string("net.{layer}.att.wv.weight"));
        QCOMPARE(d.parts[3].pattern, std::string("net.{layer}.att.wo.weight"));
        const LayoutCheck c = checkLayout(d, shape, list);
        QVERIFY2(c.usable(), qPrintable(words(c.problems)));
        QVERIFY(c.complete());
        QCOMPARE(c.matches.size(), std::size_t(15));
        QVERIFY(std::all_of(c.matches.begin(), c.matches.end(), [](auto& m) { return m.fits; }));
        QCOMPARE(c.parts[0].matrices, std::size_t(3));
        QCOMPARE(c.parts[0].biases, std::size_t(3));
        // What comes out is a layout that HeadLayout takes.
        ModelShape own = shape;
        own.layoutJson = toLayoutJson(d);
        QCOMPARE(layoutProblem(own, list, true), std::string());
        QVERIFY(!layoutProblem(shape, list, true).empty());
    }

    /// Every architecture of the registry, called by another name: the guess finds its matrices.
    void knownNamesAreGuessed_data() {
        QTest::addColumn<QStringList>("patterns"); // Q K V O, or fused and O
        QTest::addColumn<int>("order");
        QTest::addColumn<bool>("inOut");
        QTest::addColumn<bool>("shared");
        const auto row = [](const char* name, const QStringList& patterns, FusedOrder order,
                            bool inOut, bool shared) {
            QTest::newRow(name) << patterns << static_cast<int>(order) << inOut << shared;
        };
        using enum FusedOrder;
        row("gpt2",
            {"transformer.h.{layer}.attn.c_attn.weight",
             "transformer.h.{layer}.attn.c_proj.weight"},
            concatenated, true, false);
        row("llama",
            {"model.layers.{layer}.self_attn.q_proj.weight",
             "model.layers.{layer}.self_attn.k_proj.weight",
             "model.layers.{layer}.self_attn.v_proj.weight",
             "model.layers.{layer}.self_attn.o_proj.weight"},
            concatenated, false, true);
        row("gpt_neox",
            {"layers.{layer}.attention.query_key_value.weight",
             "layers.{layer}.attention.dense.weight"},
            perHead, false, false);
        row("falcon",
            {"h.{layer}.self_attention.query_key_value.weight",
             "h.{layer}.self_attention.dense.weight"},
            perKvGroup, false, true);
        row("mpt", {"blocks.{layer}.attn.Wqkv.weight", "blocks.{layer}.attn.out_proj.weight"},
            concatenated, false, false);
        row("internlm2",
            {"model.layers.{layer}.attention.wqkv.weight",
             "model.layers.{layer}.attention.wo.weight"},
            perKvGroup, false, true);
        row("bert",
            {"encoder.layer.{layer}.attention.self.query.weight",
             "encoder.layer.{layer}.attention.self.key.weight",
             "encoder.layer.{layer}.attention.self.value.weight",
             "encoder.layer.{layer}.attention.output.dense.weight"},
            concatenated, false, false);
        row("diffusers-like",
            {"blocks.{layer}.attn1.to_q.weight", "blocks.{layer}.attn1.to_k.weight",
             "blocks.{layer}.attn1.to_v.weight", "blocks.{layer}.attn1.to_out.weight"},
            concatenated, false, false);
    }
    void knownNamesAreGuessed() {
        QFETCH(QStringList, patterns);
        QFETCH(int, order);
        QFETCH(bool, inOut);
        QFETCH(bool, shared);
        const auto shape = modelShape(4, 6, shared ? 2 : 6, 8, 48);
        const std::int64_t kv = shape.numKvHeads * 8;
        Shapes list{{"wte.weight", {200, 48}}, {"lm_head.weight", {200, 48}}};
        const auto turned = [inOut](std::int64_t out, std::int64_t in) {
            return inOut ? std::vector{in, out} : std::vector{out, in};
        };
        const std::string last = patterns.back().toStdString();
        addLayers(list, 4, last, turned(48, 48));
        if (patterns.size() == 2) {
            addLayers(list, 4, patterns[0].toStdString(), turned(48 + 2 * kv, 48));
        } else {
            addLayers(list, 4, patterns[0].toStdString(), turned(48, 48));
            addLayers(list, 4, patterns[1].toStdString(), turned(kv, 48));
            addLayers(list, 4, patterns[2].toStdString(), turned(kv, 48));
        }
        // What only looks like attention.
        addLayers(list, 4, "h.{layer}.mlp.c_proj.weight", turned(48, 192));
        addLayers(list, 4, "h.{layer}.output.dense.weight", turned(48, 192));
        addLayers(list, 4, "h.{layer}.crossattention.c_attn.weight", turned(96, 48));
        addLayers(list, 4, "h.{layer}.attn.bias", {1, 1});
        const LayoutDraft d = guessLayout(shape, list);
        QCOMPARE(QString::fromStdString(d.parts[3].pattern), patterns.back());
        QCOMPARE(d.parts[3].inOut, inOut);
        if (patterns.size() == 2) {
            QCOMPARE(d.fusedBlocks.size(), std::size_t(3));
            QCOMPARE(QString::fromStdString(d.fused.pattern), patterns[0]);
            QCOMPARE(static_cast<int>(d.order), order);
            QCOMPARE(d.fused.inOut, inOut);
        } else {
            QVERIFY(d.fusedBlocks.empty());
            for (int b = 0; b < 3; ++b) {
                QCOMPARE(QString::fromStdString(d.parts[std::size_t(b)].pattern), patterns[b]);
            }
        }
        const LayoutCheck c = checkLayout(d, shape, list);
        QVERIFY2(c.usable() && c.complete(), qPrintable(words(c.problems) + words(c.gaps)));
    }

    void shapesSpeakWhereNamesDont() {
        const auto shape = modelShape(2, 2, 2, 4, 8);
        Shapes list{{"embed.weight", {20, 8}}};
        addLayers(list, 2, "blocks.{layer}.mix.weight", {24, 8});
        addLayers(list, 2, "blocks.{layer}.mix.bias", {24});
        addLayers(list, 2, "blocks.{layer}.out.weight", {8, 8});
        const LayoutDraft d = guessLayout(shape, list);
        QCOMPARE(d.fused.pattern, std::string("blocks.{layer}.mix.weight"));
        QCOMPARE(d.fused.bias, std::string("blocks.{layer}.mix.bias"));
        QCOMPARE(d.parts[3].pattern, std::string("blocks.{layer}.out.weight"));
        // Names without any meaning: nothing is guessed, nothing fails.
        Shapes mute;
        addLayers(mute, 2, "z.{layer}.a", {8, 8});
        const LayoutDraft none = guessLayout(shape, mute);
        QVERIFY(none.parts[0].pattern.empty() && none.fused.pattern.empty());
        QVERIFY(!checkLayout(none, shape, mute).usable());
        QVERIFY(!checkLayout(guessLayout(shape, {}), shape, {}).usable());
    }

    void latentKeysAndValuesInOne() {
        auto shape = modelShape(2, 4, 2, 8, 40);
        shape.vHeadDim = 12;
        Shapes list;
        addLayers(list, 2, "l.{layer}.attn.q.weight", {32, 40});
        addLayers(list, 2, "l.{layer}.attn.kv.weight", {40, 40});
        addLayers(list, 2, "l.{layer}.attn.out.weight", {40, 48});
        const LayoutDraft d = guessLayout(shape, list);
        QVERIFY((d.fusedBlocks == std::vector{Block::K, Block::V}));
        const LayoutCheck c = checkLayout(d, shape, list);
        QVERIFY2(c.usable() && c.complete(), qPrintable(words(c.problems)));
        ModelShape own = shape;
        own.layoutJson = toLayoutJson(d);
        std::vector<std::string> names;
        for (const auto& p : list) {
            names.push_back(p.name);
        }
        const HeadLayout layout(own, names);
        const auto v = layout.slice(Block::V, LayerIndex(1), HeadIndex(3));
        QVERIFY(v && v->start == 16 + 12 && v->length == 12);
    }

    void wrongShapesNameBoth() {
        const auto shape = modelShape(3, 4, 2, 8, 40);
        auto list = separateModel();
        LayoutDraft d = guessLayout(shape, list);
        std::swap(d.parts[0], d.parts[1]);
        const LayoutCheck c = checkLayout(d, shape, list);
        QVERIFY(!c.usable());
        QCOMPARE(c.parts[0].wrong, std::size_t(3));
        QVERIFY2(QString::fromStdString(c.parts[0].problem)
                     .contains("net.0.att.wk.weight with shape [16, 40]; the heads need [32, any]"),
                 c.parts[0].problem.c_str());
        QCOMPARE(c.parts[2].wrong, std::size_t(0));
        for (const auto& m : c.matches) {
            QCOMPARE(m.fits, m.blocks.front() != Block::Q && m.blocks.front() != Block::K);
        }
    }

    void mistakesAreSaid() {
        const auto shape = modelShape(3, 4, 2, 8, 40);
        const auto list = separateModel();
        const LayoutDraft good = guessLayout(shape, list);
        const auto problem = [&](const std::string& pattern) {
            LayoutDraft d = good;
            d.parts[1] = {pattern, {}, false};
            const auto c = checkLayout(d, shape, list);
            return c.usable() ? QString() : QString::fromStdString(c.parts[1].problem);
        };
        QVERIFY(problem("net.0.att.wk.weight").contains("{layer}"));
        QVERIFY(problem("net.{layer}.att.nothing").contains("matches no parameter"));
        QVERIFY(problem("net.{layer}.att.wq.weight").contains("which is Q"));
        QVERIFY(problem("net.{layer}.*weight").contains("both of layer 0") ||
                problem("net.{layer}.*weight").contains("which is Q"));
        QVERIFY(problem("^(((").contains("not valid"));
        // A layer the model lacks.
        auto longer = list;
        longer.push_back({"net.3.att.wk.weight", {16, 40}});
        const auto c = checkLayout(good, shape, longer);
        QVERIFY(!c.usable());
        QVERIFY(QString::fromStdString(c.parts[1].problem).contains("3 layers"));
        // One bad part leaves the others judged.
        LayoutDraft d = good;
        d.parts[1].pattern = "broken";
        const auto rest = checkLayout(d, shape, list);
        QVERIFY(rest.parts[0].problem.empty());
        QVERIFY(
            std::any_of(rest.matches.begin(), rest.matches.end(), [](auto& m) { return m.fits; }));
        QCOMPARE(rest.gaps.size(), std::size_t(1));
        QCOMPARE(rest.gaps[0], std::string("layers 0-2: no K"));
    }

    void ordersThatDontGoWithTheHeads() {
        const auto shape = modelShape(2, 4, 2, 8, 40);
        Shapes list;
        addLayers(list, 2, "l.{layer}.qkv.weight", {64, 40});
        addLayers(list, 2, "l.{layer}.o.weight", {40, 32});
        LayoutDraft d = guessLayout(shape, list);
        QVERIFY(checkLayout(d, shape, list).usable());
        d.order = FusedOrder::perHead;
        const auto c = checkLayout(d, shape, list);
        QVERIFY(!c.usable());
        QVERIFY(QString::fromStdString(c.fused.problem).contains("key/value heads"));
        QVERIFY(c.parts[3].problem.empty() && c.parts[3].wrong == 0);
    }

    void manyParametersAreQuick() {
        const auto shape = modelShape(500, 4, 4, 8, 32);
        Shapes list;
        for (const char* p : {"net.{layer}.attn.q_proj.weight", "net.{layer}.attn.k_proj.weight",
                              "net.{layer}.attn.v_proj.weight", "net.{layer}.attn.o_proj.weight",
                              "net.{layer}.mlp.a.weight", "net.{layer}.mlp.b.weight"}) {
            addLayers(list, 500, p, {32, 32});
        }
        QElapsedTimer timer;
        timer.start();
        const auto d = guessLayout(shape, list);
        QVERIFY(checkLayout(d, shape, list).usable());
        QVERIFY2(timer.elapsed() < 2000, qPrintable(QString::number(timer.elapsed())));
    }
};

QTEST_APPLESS_MAIN(TestLayoutDraft)
#include "tst_layout_draft.moc"
