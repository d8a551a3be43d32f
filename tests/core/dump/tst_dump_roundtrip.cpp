// SPDX-License-Identifier: GPL-3.0-or-later
// What the writer stores is what the reader gives back, number by number, in any piece.
#include "DumpFixture.h"

#include <QtTest>

#include <cmath>
#include <set>
#include <unistd.h>

using namespace fixture;

namespace {

constexpr const char* attn0 = "transformer.h.0.attn.c_attn.weight";
constexpr const char* proj1 = "transformer.h.1.attn.c_proj.weight";

std::vector<std::int64_t> all(std::int64_t n) {
    std::vector<std::int64_t> v(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < v.size(); ++i) {
        v[i] = static_cast<std::int64_t>(i);
    }
    return v;
}

} // namespace

class TestDumpRoundtrip : public QObject {
    Q_OBJECT
  private slots:
    void metadata();
    void dense_data();
    void dense();
    void factored_data();
    void factored();
    void storedFactors();
    void contributions();
    void fisher();
    void headTypes();
    void refusals();
    void nothingAppearsBeforeCommit();
    void lossOfTinyNumbersIsCounted();
};

void TestDumpRoundtrip::metadata() {
    const Folder dir;
    auto shape = gpt2Shape();
    {
        DumpWriter w(dir / "a.qkov", shape, "test 1");
        auto s = samples(3);
        s[1].text = "caf\xc3\xa9\nline";
        w.beginTask("arith", "mean", s, {{1, 2}, {}, {3}});
        w.declareGradients(attn0, {6, 18}, DType::f32);
        w.writeGradients(attn0, 0, 3, randoms(3 * 108, 1).data());
        w.beginTask("code", "sum", samples(2, "c"));
        w.declareGradients(attn0, {6, 18}, DType::f32);
        w.writeGradients(attn0, 0, 2, randoms(2 * 108, 2).data());
        w.writeLosses(std::vector<float>{7, 8});
        w.commit();
    }
    const DumpReader r(dir / "a.qkov");
    QCOMPARE(r.info().createdBy, std::string("test 1"));
    QCOMPARE(r.info().createdAt.size(), std::size_t(20));
    QCOMPARE(r.info().model.name, std::string("tiny"));
    QCOMPARE(r.info().model.numHeads, 2);
    QCOMPARE(r.info().tasks.size(), std::size_t(2));
    const TaskInfo* arith = r.info().task("arith");
    QVERIFY(arith && r.info().task("code") && !r.info().task("none"));
    QCOMPARE(arith->samples[1].text, std::string("caf\xc3\xa9\nline"));
    QCOMPARE(arith->samples[1].group, std::string("odd"));
    QCOMPARE(arith->samples[2].tokens, 5);
    QCOMPARE(arith->samples[2].loss, 1.0f);
    QCOMPARE(arith->sampleIndex("s2"), 2);
    QCOMPARE(arith->sampleIndex("c0"), -1);
    QCOMPARE(r.info().task("code")->samples[1].loss, 8.0f);
    QCOMPARE(r.info().task("code")->lossReduction, std::string("sum"));
    QCOMPARE(r.info().fingerprint.size(), std::size_t(32));
    QCOMPARE(DumpReader(dir / "a.qkov").info().fingerprint, r.info().fingerprint);
    QVERIFY(detectFileKind(dir / "a.qkov") == FileKind::dump);
}

void TestDumpRoundtrip::dense_data() {
    QTest::addColumn<int>("dtype");
    QTest::newRow("f16") << int(DType::f16);
    QTest::newRow("bf16") << int(DType::bf16);
    QTest::newRow("f32") << int(DType::f32);
    QTest::newRow("f64") << int(DType::f64);
}

void TestDumpRoundtrip::dense() {
    QFETCH(int, dtype);
    const auto type = static_cast<DType>(dtype);
    const Folder dir;
    const std::int64_t n = 7, rows = 6, columns = 18;
    const auto values = randoms(static_cast<std::size_t>(n * rows * columns), 5);
    {
        DumpWriter w(dir / "d.qkov", gpt2Shape(), "test");
        w.beginTask("t", "mean", samples(n));
        w.declareGradients(attn0, {rows, columns}, type);
        w.writeGradients(attn0, 0, 4, values.data());
        w.writeGradients(attn0, 4, 3, values.data() + 4 * rows * columns);
        w.declareGradients("transformer.h.0.attn.c_attn.bias", {columns}, type);
        w.writeGradients("transformer.h.0.attn.c_attn.bias", 0, n, values.data());
        w.commit();
    }
    const DumpReader r(dir / "d.qkov");
    const TaskInfo& t = r.info().tasks[0];
    QVERIFY(t.parameters.at(attn0).storage == Storage::dense);
    QVERIFY(t.parameters.at(attn0).dtype == type);
    QVERIFY(r.direct(t, attn0, Part::gradients).has_value());
    std::mt19937 engine(3);
    const auto pick = [&](std::int64_t limit) {
        return static_cast<std::int64_t>(engine() % static_cast<unsigned>(limit));
    };
    for (int round = 0; round < 50; ++round) {
        std::vector<std::int64_t> some;
        for (std::int64_t k = 1 + pick(9); k > 0; --k) {
            some.push_back(pick(n));
        }
        Region g;
        g.row = pick(rows);
        g.rows = 1 + pick(rows - g.row);
        g.column = round % 3 ? pick(columns) : 0;
        g.columns = round % 3 ? 1 + pick(columns - g.column) : columns;
        const auto count = static_cast<std::size_t>(g.count());
        std::vector<float> f(some.size() * count);
        std::vector<double> d(f.size()), c(f.size());
        r.readGradients(t, attn0, some, g, f.data());
        r.readGradients(t, attn0, some, g, d.data());
        r.readContributions(t, attn0, some, g, c.data());
        for (std::size_t i = 0; i < f.size(); ++i) {
            const std::int64_t s = some[i / count];
            const auto k = static_cast<std::int64_t>(i % count);
            const std::int64_t at =
                (s * rows + g.row + k / g.columns) * columns + g.column + k % g.columns;
            const float wanted = stored(values[static_cast<std::size_t>(at)], type);
            QCOMPARE(f[i], wanted);
            QCOMPARE(d[i], double(wanted));
            QCOMPARE(c[i], double(wanted) * double(wanted));
        }
    }
    std::vector<float> bias(2 * 5);
    r.readGradients(t, "transformer.h.0.attn.c_attn.bias", std::vector<std::int64_t>{6, 0},
                    Region{4, 5, 0, 1}, bias.data());
    QCOMPARE(bias[0], stored(values[6 * 18 + 4], type));
    QCOMPARE(bias[9], stored(values[8], type));
    QVERIFY_THROWS_EXCEPTION(InputError,
                             r.readGradients(t, attn0, all(1), Region{0, 7, 0, 1}, bias.data()));
    QVERIFY_THROWS_EXCEPTION(InputError, r.readGradients(t, attn0, std::vector<std::int64_t>{7},
                                                         Region{0, 1, 0, 1}, bias.data()));
}

void TestDumpRoundtrip::factored_data() {
    QTest::addColumn<int>("dtype");
    QTest::addColumn<bool>("conv1d");
    QTest::newRow("f32 linear") << int(DType::f32) << false;
    QTest::newRow("f32 conv1d") << int(DType::f32) << true;
    QTest::newRow("f16 linear") << int(DType::f16) << false;
    QTest::newRow("f16 conv1d") << int(DType::f16) << true;
    QTest::newRow("bf16 linear") << int(DType::bf16) << false;
}

void TestDumpRoundtrip::factored() {
    QFETCH(int, dtype);
    QFETCH(bool, conv1d);
    const auto type = static_cast<DType>(dtype);
    const Folder dir;
    // Square for Conv1D's c_proj (only the layout tells rows from columns), odd sizes for Linear.
    const auto shape = conv1d ? gpt2Shape(2, 3, 11) : llamaShape(2, 3, 1, 7, 37);
    const std::string name = conv1d ? proj1 : "model.layers.1.self_attn.q_proj.weight";
    const std::int64_t n = 5, tokens = 9, dIn = conv1d ? 33 : 37, dOut = conv1d ? 33 : 21;
    const auto x = randoms(static_cast<std::size_t>(n * tokens * dIn), 1, 3);
    const auto g = randoms(static_cast<std::size_t>(n * tokens * dOut), 2, 1e-5f);
    const std::vector<std::int32_t> lengths{9, 1, 0, 4, 7};
    {
        DumpWriter w(dir / "f.qkov", shape, "test");
        w.beginTask("t", "mean", samples(n));
        w.declareFactors(name, tokens + 2, dIn, dOut, type);
        w.writeFactors(name, 0, 2, tokens, x.data(), g.data(), lengths.data());
        w.writeFactors(name, 2, 3, tokens, x.data() + 2 * tokens * dIn,
                       g.data() + 2 * tokens * dOut, lengths.data() + 2);
        w.commit();
    }
    const DumpReader r(dir / "f.qkov");
    const TaskInfo& t = r.info().tasks[0];
    const ParameterEntry& e = t.parameters.at(name);
    QVERIFY(e.storage == Storage::factored);
    QCOMPARE(e.maxTokens, tokens + 2);
    QCOMPARE(e.shape, (conv1d ? std::vector<std::int64_t>{dIn, dOut}
                              : std::vector<std::int64_t>{dOut, dIn}));
    QCOMPARE(e.inputSize(), dIn);
    QCOMPARE(e.outputSize(), dOut);
    const double tolerance = type == DType::f32 ? 1e-6 : type == DType::f16 ? 1.5e-3 : 1.2e-2;
    std::mt19937 engine(3);
    const auto pick = [&](std::int64_t limit) {
        return static_cast<std::int64_t>(engine() % static_cast<unsigned>(limit));
    };
    for (int round = 0; round < 20; ++round) {
        const std::vector<std::int64_t> some{pick(n), pick(n), pick(n)};
        Region q;
        q.row = round ? pick(e.shape[0]) : 0;
        q.rows = round ? 1 + pick(e.shape[0] - q.row) : e.shape[0];
        q.column = round ? pick(e.shape[1]) : 0;
        q.columns = round ? 1 + pick(e.shape[1] - q.column) : e.shape[1];
        const auto count = static_cast<std::size_t>(q.count());
        std::vector<float> f(3 * count);
        std::vector<double> d(3 * count);
        r.readGradients(t, name, some, q, f.data());
        r.readGradients(t, name, some, q, d.data());
        for (std::size_t i = 0; i < f.size(); ++i) {
            const std::int64_t s = some[i / count];
            const std::int64_t row = q.row + static_cast<std::int64_t>(i % count) / q.columns;
            const std::int64_t column = q.column + static_cast<std::int64_t>(i % count) % q.columns;
            const std::int64_t in = conv1d ? row : column;
            const std::int64_t out = conv1d ? column : row;
            double wanted = 0, size = 0;
            for (std::int64_t k = 0; k < lengths[static_cast<std::size_t>(s)]; ++k) {
                const double p = double(x[static_cast<std::size_t>((s * tokens + k) * dIn + in)]) *
                                 double(g[static_cast<std::size_t>((s * tokens + k) * dOut + out)]);
                wanted += p;
                size += std::abs(p);
            }
            QVERIFY(std::abs(d[i] - wanted) <= tolerance * size);
            QVERIFY(std::abs(double(f[i]) - d[i]) <= 1e-6 * size);
        }
    }
    // The factors themselves, packed, in part.
    std::vector<float> xs(11 * 3), gs(11 * 2);
    r.readFactors(t, name, std::vector<std::int64_t>{4, 3}, {5, 3}, {1, 2}, xs.data(), gs.data());
    QCOMPARE(r.factorLengths(t, name)[4], 7);
    const double product = double(xs[7 * 3 + 1]) * double(gs[7 * 2]); // sample 3, token 0
    const double wanted = double(x[static_cast<std::size_t>(3 * tokens * dIn + 6)]) *
                          double(g[static_cast<std::size_t>(3 * tokens * dOut + 1)]);
    QVERIFY(std::abs(product - wanted) <= tolerance * std::abs(wanted));
}

/// Bits as given, balanced or not, whole samples and shorter ones, of an owner and of one that
/// shares its input.
void TestDumpRoundtrip::storedFactors() {
    const Folder dir;
    const std::int64_t n = 4, most = 6, dIn = 37, dOut = 21, dShared = 7;
    const std::string owner = "model.layers.1.self_attn.q_proj.weight";
    const std::string sharer = "model.layers.1.self_attn.k_proj.weight";
    const std::vector<std::int32_t> lengths{6, 1, 0, 4};
    std::mt19937 engine(8);
    const auto halves = [&](std::int64_t count) {
        std::vector<std::uint16_t> values(static_cast<std::size_t>(count));
        for (auto& v : values) {
            v = static_cast<std::uint16_t>(engine() & 0xfbff); // finite, subnormal ones included
        }
        return values;
    };
    const auto x = halves(n * most * dIn), g = halves(n * most * dOut),
               h = halves(n * most * dShared);
    {
        DumpWriter w(dir / "s.qkov", llamaShape(2, 3, 1, 7, 37), "test");
        w.beginTask("t", "mean", samples(n));
        w.declareFactors(owner, most, dIn, dOut, DType::f16);
        w.declareFactorsSharing(sharer, owner, dShared, DType::f16);
        for (std::int64_t s = n - 1; s >= 0; --s) {
            const std::int32_t length = lengths[static_cast<std::size_t>(s)];
            w.writeStoredFactors(owner, s, length, x.data() + s * most * dIn,
                                 g.data() + s * most * dOut);
            w.writeStoredFactors(sharer, s, length, nullptr, h.data() + s * most * dShared);
        }
        QVERIFY_EXCEPTION_THROWN(w.writeStoredFactors(owner, 0, 7, x.data(), g.data()), Error);
        QVERIFY_EXCEPTION_THROWN(w.writeStoredFactors(owner, n, 1, x.data(), g.data()), Error);
        w.commit();
    }
    const DumpReader r(dir / "s.qkov");
    const TaskInfo& t = r.info().tasks[0];
    for (std::int64_t s = 0; s < n; ++s) {
        const std::int64_t length = lengths[static_cast<std::size_t>(s)];
        QCOMPARE(r.factorLengths(t, sharer)[static_cast<std::size_t>(s)], length);
        const auto same = [&](const std::string& name, const std::vector<std::uint16_t>& gradients,
                              std::int64_t width) {
            std::vector<std::uint16_t> in(static_cast<std::size_t>(length * dIn));
            std::vector<std::uint16_t> out(static_cast<std::size_t>(length * width));
            r.readFactorsRaw(t, name, std::span(&s, 1), {0, dIn}, {0, width}, in.data(),
                             out.data());
            return std::equal(in.begin(), in.end(), x.begin() + s * most * dIn) &&
                   std::equal(out.begin(), out.end(), gradients.begin() + s * most * width);
        };
        QVERIFY(same(owner, g, dOut));
        QVERIFY(same(sharer, h, dShared));
        const auto padding = [&](const std::string& name, Part part, std::int64_t width) {
            const auto direct = r.direct(t, name, part);
            std::vector<std::uint16_t> rest(static_cast<std::size_t>((most - length) * width));
            const auto at = static_cast<off_t>(direct->offset) + (s * most + length) * width * 2;
            const auto bytes = static_cast<ssize_t>(rest.size() * 2);
            return ::pread(direct->fd, rest.data(), rest.size() * 2, at) == bytes &&
                   std::all_of(rest.begin(), rest.end(), [](auto v) { return v == 0; });
        };
        QVERIFY(padding(owner, Part::input, dIn));
        QVERIFY(padding(owner, Part::gradOutput, dOut));
        QVERIFY(padding(sharer, Part::gradOutput, dShared));
    }
}

void TestDumpRoundtrip::contributions() {
    const Folder dir;
    auto values = randoms(3 * 108, 1);
    for (float& v : values) {
        v = std::abs(v);
    }
    const auto write = [&](const char* name, bool perToken) {
        DumpWriter w(dir / name, gpt2Shape(), "test");
        w.beginTask("t", "mean", samples(3));
        w.declareContributions(attn0, {6, 18}, DType::f32, perToken);
        w.writeContributions(attn0, 0, 3, values.data());
        w.commit();
    };
    const Region part{2, 1, 3, 2};
    const std::vector<std::int64_t> some{2, 0};
    float g[4], c[4];
    for (const bool perToken : {false, true}) {
        write("c.qkov", perToken);
        const DumpReader r(dir / "c.qkov");
        const TaskInfo& t = r.info().tasks[0];
        QVERIFY(t.parameters.at(attn0).storage == Storage::contributions);
        QCOMPARE(t.parameters.at(attn0).contributionsPerToken, perToken);
        r.readContributions(t, attn0, some, part, c);
        r.readGradients(t, attn0, some, part, g);
        const float v = values[2 * 108 + 2 * 18 + 3];
        QCOMPARE(c[0], v);
        QCOMPARE(g[0], std::sqrt(perToken ? v * 5 : v));
        QCOMPARE(g[2], std::sqrt(values[2 * 18 + 3] * (perToken ? 3.0f : 1.0f)));
    }
    values[108 + 2 * 18 + 4] = -0.5f;
    write("negative.qkov", false);
    const DumpReader r(dir / "negative.qkov");
    try {
        r.readContributions(r.info().tasks[0], attn0, all(3), Region{0, 6, 0, 18},
                            std::vector<float>(3 * 108).data());
        QFAIL("a negative contribution was read");
    } catch (const InputError& e) {
        QCOMPARE(e.innerPath(), std::string("/tasks/t/contributions/") + attn0);
        QVERIFY(e.problem().find("\"s1\"") != std::string::npos);
        QVERIFY(e.problem().find("[2, 4]") != std::string::npos);
    }
}

void TestDumpRoundtrip::fisher() {
    const Folder dir;
    const auto shape = llamaShape(1, 4, 2, 2, 8);
    const std::string q = "model.layers.0.self_attn.q_proj.weight";
    const std::string k = "model.layers.0.self_attn.k_proj.weight";
    std::vector<double> element(64);
    for (std::size_t i = 0; i < element.size(); ++i) {
        element[i] = 1e-10 * double(i);
    }
    {
        DumpWriter w(dir / "f.qkov", shape, "test");
        w.beginTask("t", "mean", samples(2));
        w.declareGradients(q, {8, 8}, DType::f32);
        w.writeGradients(q, 0, 2, randoms(128, 1).data());
        FisherSet set;
        set.name = "structural";
        set.estimator = "ema";
        set.decay = 0.9;
        set.samples = 5;
        set.biasCorrected = false;
        w.writeFisher(set, {q, {8, 8}, Resolution::element, false}, element);
        w.writeFisher(set, {k, {2}, Resolution::head, true}, std::vector<double>{1e-60, 3});
        w.commit();
    }
    const DumpReader r(dir / "f.qkov");
    const TaskInfo& t = r.info().tasks[0];
    const FisherSet& set = t.fisher.at("structural");
    QCOMPARE(set.samples, 5);
    QVERIFY(!set.biasCorrected);
    QVERIFY(set.parameters.at(k).reducedBySum);
    const double scale = 1 / (1 - std::pow(0.9, 5));
    double part[6];
    r.readFisherElements(t, set, q, Region{3, 2, 1, 3}, part);
    QVERIFY(std::abs(part[4] - element[4 * 8 + 2] * scale) <= 1e-7 * part[4]);
    const auto reduced = r.readFisherReduced(t, set, k);
    QVERIFY(std::abs(reduced[0] - 1e-60 * scale) <= 1e-12 * 1e-60); // not lost in float32
    QVERIFY(std::abs(reduced[1] - 3 * scale) <= 1e-12);
    QVERIFY_THROWS_EXCEPTION(InputError, r.readFisherElements(t, set, k, Region{0, 1, 0, 1}, part));
}

void TestDumpRoundtrip::headTypes() {
    const Folder dir;
    {
        DumpWriter w(dir / "h.qkov", gpt2Shape(), "test");
        w.writeHeadTypes({{"induction", "other"}, {0, 1, 1, 0}, {1, 2, 3, 4, 5, 6, 7, 8}});
        w.beginTask("t", "mean", samples(1));
        w.declareGradients(attn0, {6, 18}, DType::f16);
        w.writeGradients(attn0, 0, 1, randoms(108, 1).data());
        w.commit();
    }
    const DumpReader r(dir / "h.qkov");
    QCOMPARE(r.info().headTypes.names, (std::vector<std::string>{"induction", "other"}));
    QCOMPARE(r.info().headTypes.type, (std::vector<std::uint8_t>{0, 1, 1, 0}));
    QCOMPARE(r.info().headTypes.scores[5], 6.0f);
}

void TestDumpRoundtrip::refusals() {
    const Folder dir;
    DumpWriter w(dir / "x.qkov", gpt2Shape(), "test");
    auto twice = samples(2);
    twice[1].id = twice[0].id;
    QVERIFY_THROWS_EXCEPTION(InputError, w.beginTask("t", "mean", twice));
    QVERIFY_THROWS_EXCEPTION(InputError, w.beginTask("u", "mean", {}));
    QVERIFY_THROWS_EXCEPTION(UsageError, w.beginTask("a/b", "mean", samples(1)));
    w.beginTask("v", "mean", samples(1));
    w.declareGradients(attn0, {6, 18}, DType::f16);
    std::vector<float> values(108, 1.0f);
    values[100] = 65520.0f;
    QVERIFY_THROWS_EXCEPTION(InputError, w.writeGradients(attn0, 0, 1, values.data()));
    values[100] = std::numeric_limits<float>::infinity(); // the reader's affair
    w.writeGradients(attn0, 0, 1, values.data());
    w.beginTask("w", "mean", samples(2));
    w.declareGradients(attn0, {6, 18}, DType::f16);
    w.writeGradients(attn0, 0, 1, randoms(108, 1).data());
    QVERIFY_THROWS_EXCEPTION(InputError, w.commit()); // sample 1 was never written
    QVERIFY_THROWS_EXCEPTION(InputError,
                             DumpWriter(dir.path() / "no" / "x.qkov", gpt2Shape(), "test"));
}

void TestDumpRoundtrip::nothingAppearsBeforeCommit() {
    const Folder dir;
    {
        DumpWriter w(dir / "x.qkov", gpt2Shape(), "test");
        w.beginTask("v", "mean", samples(1));
        QVERIFY(!std::filesystem::exists(dir / "x.qkov"));
    }
    QVERIFY(std::filesystem::is_empty(dir.path()));
}

void TestDumpRoundtrip::lossOfTinyNumbersIsCounted() {
    const Folder dir;
    DumpWriter w(dir / "x.qkov", gpt2Shape(), "test");
    w.beginTask("v", "mean", samples(1));
    w.declareGradients(attn0, {6, 18}, DType::f16);
    std::vector<float> values(108, 0.0f);
    for (std::size_t i = 0; i < 50; ++i) {
        values[i * 2] = i < 13 ? 1e-9f : 1.0f;
    }
    w.writeGradients(attn0, 0, 1, values.data());
    QCOMPARE(w.storageLoss().written, 50u);
    QCOMPARE(w.storageLoss().underflowed, 13u);
    // As factors the same gradients survive: 1e-9 beside inputs of 100.
    w.declareFactors(proj1, 1, 6, 6, DType::f16);
    const std::vector<float> x(6, 100.0f), g(6, 1e-9f);
    const std::int32_t one = 1;
    w.writeFactors(proj1, 0, 1, 1, x.data(), g.data(), &one);
    QCOMPARE(w.storageLoss().underflowed, 13u);
}

QTEST_GUILESS_MAIN(TestDumpRoundtrip)
#include "tst_dump_roundtrip.moc"
