// SPDX-License-Identifier: GPL-3.0-or-later
#include "Hdf5Fixture.h"

#include "dump/Contents.h"
#include "dump/Validate.h"

#include <QtTest>
#include <fstream>

using namespace fixture;
namespace fs = std::filesystem;

namespace {

const std::string key = "model.layers.0.self_attn.k_proj.weight";
const std::string output = "model.layers.0.self_attn.o_proj.weight";

bool mentions(const std::vector<std::string>& problems, const std::string& text) {
    return std::any_of(problems.begin(), problems.end(),
                       [&](const std::string& p) { return p.find(text) != std::string::npos; });
}

} // namespace

class TestDumpValidate : public QObject {
    Q_OBJECT
  private slots:
    void init();
    void soundDumpHasNoProblems();
    void everyBadNumberIsReported();
    void paddingIsIgnored();
    void whatTheFormatAsksFor();
    void everySampleColumn();
    void noTaskIsSound();
    void structureIsReportedWhole();
    void whatCantBeOpened();
    void cancelled();
    void missingBlocks();
    void listsWithoutALayout();

  private:
    fs::path m_file;
    std::unique_ptr<Folder> m_dir;
};

void TestDumpValidate::init() {
    m_dir = std::make_unique<Folder>();
    m_file = *m_dir / "d.qkov";
    writeBase(m_file);
}

void TestDumpValidate::soundDumpHasNoProblems() {
    double last = 0;
    Job job({}, [&](const Progress& p) { last = p.fraction; });
    QCOMPARE(validateDump(m_file, job), std::vector<std::string>());
    QCOMPARE(last, 1.0);
}

void TestDumpValidate::everyBadNumberIsReported() {
    auto values = queryValues();
    values[3 * 60 + 2 * 10 + 7] = std::numeric_limits<float>::quiet_NaN();
    values[5 * 60] = std::numeric_limits<float>::quiet_NaN();
    values[6 * 60 + 59] = -std::numeric_limits<float>::infinity();
    change(m_file, [&](hid_t f) {
        replace(f, queryPath, Recipe{}, values);
        std::vector<float> c(140, 1.0f);
        c[2 * 20 + 13] = -1e-30f;
        const h5::Handle set(H5Dopen2(f, ("/tasks/t/contributions/" + key).c_str(), H5P_DEFAULT),
                             H5Dclose);
        H5Dwrite(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, c.data());
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const h5::Handle reduced(
            H5Dopen2(f, ("/tasks/t/fisher/structural/" + key).c_str(), H5P_DEFAULT), H5Dclose);
        H5Dwrite(reduced.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, &nan);
    });
    Job job;
    const auto problems = validateDump(m_file, job);
    QCOMPARE(problems.size(), std::size_t(3)); // NaN is what an absent head's Fisher is
    QVERIFY(mentions(problems, queryPath + ": 2 NaN, the first at sample 3 (id \"s3\"), [2, 7]"));
    QVERIFY(mentions(problems, queryPath + ": 1 infinite, at sample 6 (id \"s6\"), [5, 9]"));
    QVERIFY(mentions(problems, key + ": 1 negative, at sample 2 (id \"s2\"), [1, 3]"));
}

void TestDumpValidate::paddingIsIgnored() {
    change(m_file, [&](hid_t f) {
        Recipe r;
        r.dims = {7, 3, 6};
        std::vector<float> values(7 * 3 * 6, 1.0f);
        values[3 * 18] = std::numeric_limits<float>::quiet_NaN();        // sample 3 has no tokens
        values[1 * 18 + 2 * 6] = std::numeric_limits<float>::infinity(); // sample 1 has two
        replace(f, "/tasks/t/factors/" + output + "/input", r, values);
    });
    Job job;
    QCOMPARE(validateDump(m_file, job), std::vector<std::string>());
    const DumpReader reader(m_file);
    std::vector<float> g(2 * 60);
    reader.readGradients(reader.info().tasks[0], output, std::vector<std::int64_t>{1, 3},
                         Region{0, 10, 0, 6}, g.data());
    QVERIFY(std::all_of(g.begin(), g.end(), [](float v) { return std::isfinite(v); }));
    QCOMPARE(g[60], 0.0f);
}

/// What can be read without is told all the same.
void TestDumpValidate::whatTheFormatAsksFor() {
    change(m_file, [&](hid_t f) {
        H5Adelete_by_name(f, "/tasks/t", "loss_reduction", H5P_DEFAULT);
        H5Ldelete(f, "/tasks/t/samples/n_tokens", H5P_DEFAULT);
    });
    Job job;
    const auto problems = validateDump(m_file, job);
    QCOMPARE(problems.size(), std::size_t(3)); // one of them: contributions per token
    QVERIFY(mentions(problems, "/tasks/t: attribute loss_reduction is missing"));
    QVERIFY(mentions(problems, "/tasks/t/samples/n_tokens: is missing"));
}

/// One bad column of the samples hides neither the others nor the numbers.
void TestDumpValidate::everySampleColumn() {
    change(m_file, [&](hid_t f) {
        const auto shorter = [&](const char* name) {
            const std::string path = std::string("/tasks/t/samples/") + name;
            Recipe r;
            r.dims = {2};
            replace(f, path, r, std::vector<float>(2, 1.0f));
        };
        shorter("loss");
        shorter("n_tokens");
        std::vector<float> values(420, 1.0f);
        values[5] = std::numeric_limits<float>::quiet_NaN();
        replace(f, queryPath, Recipe{}, values);
    });
    Job job;
    const auto problems = validateDump(m_file, job);
    QVERIFY(mentions(problems, "/tasks/t/samples/loss: has 2 entries"));
    QVERIFY(mentions(problems, "/tasks/t/samples/n_tokens: has 2 entries"));
    QVERIFY(mentions(problems, queryPath + ": 1 NaN"));
}

void TestDumpValidate::noTaskIsSound() {
    change(m_file, [&](hid_t f) {
        H5Gcreate2(f, "/tasks/empty", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Ldelete(f, "/tasks/t/samples", H5P_DEFAULT);
    });
    Job job;
    const auto problems = validateDump(m_file, job);
    QCOMPARE(problems.size(), std::size_t(2));
    QVERIFY(mentions(problems, "/tasks/empty/samples: is missing"));
    QVERIFY(mentions(problems, "/tasks/t/samples: is missing"));
}

void TestDumpValidate::structureIsReportedWhole() {
    change(m_file, [&](hid_t f) {
        Recipe r;
        r.dims = {7, 10, 6};
        replace(f, queryPath, r, std::vector<float>(420, 1.0f));
        H5Ldelete(f, ("/tasks/t/factors/" + output + "/length").c_str(), H5P_DEFAULT);
        H5Gcreate2(f, "/tasks/empty", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    });
    Job job;
    const auto problems = validateDump(m_file, job);
    QCOMPARE(problems.size(), std::size_t(3));
    QVERIFY(mentions(problems, queryPath + ": has shape [10, 6]"));
    QVERIFY(mentions(problems, output + "/length: is missing"));
    QVERIFY(mentions(problems, "/tasks/empty/samples: is missing"));
}

void TestDumpValidate::whatCantBeOpened() {
    Job job;
    std::ofstream(*m_dir / "text") << "hello";
    QVERIFY(mentions(validateDump(*m_dir / "text", job), "not an HDF5 file"));
    QVERIFY(mentions(validateDump(*m_dir / "none", job), "does not exist"));
}

void TestDumpValidate::cancelled() {
    const CancelToken token;
    token.cancel();
    Job job(token);
    QVERIFY_EXCEPTION_THROWN(validateDump(m_file, job), Cancelled);
}

void TestDumpValidate::missingBlocks() {
    const fs::path file = *m_dir / "m.qkov";
    {
        DumpWriter w(file, gpt2Shape(6, 2, 3), "test");
        w.beginTask("a", "mean", samples(1));
        for (const int layer : {0, 1, 4}) {
            const std::string p = "h." + std::to_string(layer) + ".attn.";
            w.declareGradients(p + "c_attn.weight", {6, 18}, DType::f32);
            w.writeGradients(p + "c_attn.weight", 0, 1, randoms(108, 1).data());
            w.declareGradients(p + "c_attn.bias", {18}, DType::f32);
            w.writeGradients(p + "c_attn.bias", 0, 1, randoms(18, 1).data());
        }
        w.declareGradients("h.4.attn.c_proj.weight", {6, 6}, DType::f32);
        w.writeGradients("h.4.attn.c_proj.weight", 0, 1, randoms(36, 1).data());
        w.beginTask("b", "mean", samples(1));
        w.commit();
    }
    const DumpReader r(file);
    const TaskContents a = contentsOf(r, *r.info().task("a"));
    QCOMPARE(a.missing, (std::vector<std::string>{"layers 0-1: no O", "layers 2-3: no Q, K, V, O",
                                                  "layer 5: no Q, K, V, O"}));
    QVERIFY(a.present[4][3] && !a.present[0][3] && a.biases[0][0] && !a.biases[4][3]);
    QCOMPARE(contentsOf(r, *r.info().task("b")).missing,
             std::vector<std::string>{"layers 0-5: no Q, K, V, O"});
}

void TestDumpValidate::listsWithoutALayout() {
    change(m_file, [&](hid_t f) {
        const h5::Object model(h5::Handle(H5Oopen(f, "/model", H5P_DEFAULT), H5Oclose), "x", "/");
        h5::writeAttribute(model, "architecture", std::string("unheard-of"));
    });
    QVERIFY_EXCEPTION_THROWN(DumpReader{m_file}, InputError);
    const ParameterList list = listParameters(m_file);
    QCOMPARE(list.model.architecture, std::string("unheard-of"));
    QCOMPARE(list.model.numHeads, 3);
    QCOMPARE(list.parameters.size(), std::size_t(3));
    QCOMPARE(list.parameters[2].name, query);
    QCOMPARE(list.parameters[2].shape, (std::vector<std::int64_t>{6, 10}));
    QCOMPARE(list.parameters[1].name, output);
    QCOMPARE(list.parameters[1].shape, (std::vector<std::int64_t>{10, 6}));
    // With a layout of the user's it opens.
    const DumpReader r(m_file, R"({"Q": {"parameter": "layers\\.(\\d+)\\..*q_proj\\.weight$",
                                        "orientation": "out_in"}})");
    QCOMPARE(r.layout().parameters().size(), std::size_t(1));
}

QTEST_GUILESS_MAIN(TestDumpValidate)
#include "tst_dump_validate.moc"
