// SPDX-License-Identifier: GPL-3.0-or-later
// Files that can't be used are refused with the path inside them and what is wrong.
#include "Hdf5Fixture.h"

#include <QtTest>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <unistd.h>

using namespace fixture;
namespace fs = std::filesystem;

namespace {

const std::string key = "/tasks/t/contributions/model.layers.0.self_attn.k_proj.weight";
const std::string output = "/tasks/t/factors/model.layers.0.self_attn.o_proj.weight";
const std::string fisher = "/tasks/t/fisher/structural/" + query;
const std::string keyFisher = "/tasks/t/fisher/structural/model.layers.0.self_attn.k_proj.weight";

struct Case {
    const char* name;
    std::function<void(hid_t)> edit;
    std::string path;      ///< inside the file, as the error names it
    std::string complaint; ///< part of what it says
};

h5::Object at(hid_t file, const std::string& path) {
    return h5::Object(h5::Handle(H5Oopen(file, path.c_str(), H5P_DEFAULT), H5Oclose), "x", path);
}

void remove(hid_t file, const std::string& path) {
    H5Ldelete(file, path.c_str(), H5P_DEFAULT);
}

void removeAttribute(hid_t file, const std::string& path, const char* name) {
    H5Adelete_by_name(file, path.c_str(), name, H5P_DEFAULT);
}

template <class T>
auto attribute(const std::string& path, const char* name, T value) {
    return [=](hid_t file) { h5::writeAttribute(at(file, path), name, value); };
}

/// A one-dimensional dataset of int64.
auto integers(const std::string& path, std::vector<std::int64_t> values) {
    return [=](hid_t file) {
        remove(file, path);
        const hsize_t n = values.size();
        const h5::Handle space(H5Screate_simple(1, &n, nullptr), H5Sclose);
        const h5::Handle set(H5Dcreate2(file, path.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT,
                                        H5P_DEFAULT, H5P_DEFAULT),
                             H5Dclose);
        H5Dwrite(set.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    };
}

auto floats(const std::string& path, h5::Dims dims, hid_t type = H5T_IEEE_F32LE) {
    return [=](hid_t file) {
        Recipe r;
        r.dims = dims;
        r.type = type;
        replace(file, path, r, std::vector<float>(std::size_t(h5::product(dims)), 1.0f));
    };
}

std::vector<Case> cases() {
    const std::string samplesPath = "/tasks/t/samples";
    std::vector<Case> all;
    const auto add = [&](const char* name, std::function<void(hid_t)> edit, std::string path,
                         std::string text) {
        all.push_back({name, std::move(edit), std::move(path), std::move(text)});
    };
    add(
        "no format", [](hid_t f) { removeAttribute(f, "/", "format"); }, "/", "not a dump");
    add("results", attribute("/", "format", std::string("qkov-results")), "/", "qkov-results");
    add("version", attribute("/", "format_version", std::int64_t(2)), "/", "format_version is 2");
    add("version text", attribute("/", "format_version", std::string("1")), "/", "not an integer");
    add(
        "no model", [](hid_t f) { remove(f, "/model"); }, "/model", "is missing");
    add(
        "no heads", [](hid_t f) { removeAttribute(f, "/model", "num_heads"); }, "/model",
        "num_heads is missing");
    add("kv don't divide", attribute("/model", "num_kv_heads", std::int64_t(2)), "/model",
        "3 heads can't share 2");
    add("negative layers", attribute("/model", "num_layers", std::int64_t(-1)), "/model",
        "layers is -1");
    add("absurd heads", attribute("/model", "num_heads", std::int64_t(1) << 40), "/model",
        "number of heads");
    add("architecture", attribute("/model", "architecture", std::string("new")), "/model",
        "unknown architecture \"new\" (known: ");
    add("layout", attribute("/model", "layout_json", std::string("{")), "/model", "layout: ");
    add("head size", attribute("/model", "head_dim", std::int64_t(3)), queryPath,
        "has shape [6, 10], but 3 heads");
    add(
        "no tasks", [](hid_t f) { remove(f, "/tasks"); }, "/tasks", "is missing");
    add(
        "empty tasks", [](hid_t f) { remove(f, "/tasks/t"); }, "/tasks", "holds no task");
    add(
        "task is a dataset",
        [](hid_t f) {
            remove(f, "/tasks/t");
            floats("/tasks/t", {2})(f);
        },
        "/tasks/t", "is not a group");
    add("reduction", attribute("/tasks/t", "loss_reduction", std::string("max")), "/tasks/t",
        "loss_reduction is \"max\"");
    add(
        "no samples", [=](hid_t f) { remove(f, samplesPath); }, samplesPath, "is missing");
    add(
        "no ids", [=](hid_t f) { remove(f, samplesPath + "/id"); }, samplesPath + "/id",
        "is missing");
    add("ids twice", integers(samplesPath + "/id", {1, 2, 3, 4, 2, 6, 7}), samplesPath + "/id",
        "\"2\" is the id of samples 1 and 4");
    add("float ids", floats(samplesPath + "/id", {7}), samplesPath + "/id", "strings");
    add("no ids at all", integers(samplesPath + "/id", {}), samplesPath + "/id", "no samples");
    add("id rank", floats(samplesPath + "/id", {7, 1}), samplesPath + "/id", "one dimension");
    add("other count", integers(samplesPath + "/n_tokens", {1, 2, 3}), samplesPath + "/n_tokens",
        "has 3 entries, samples/id has 7");
    add("negative tokens", integers(samplesPath + "/n_tokens", {1, 2, -3, 4, 5, 6, 7}),
        samplesPath + "/n_tokens", "entry 2 is -3");
    add(
        "text length",
        [=](hid_t f) {
            remove(f, samplesPath + "/text");
            h5::writeStrings(at(f, samplesPath), "text", {"a", "b"});
        },
        samplesPath + "/text", "has 2 entries");
    add("samples disagree", floats(queryPath, {6, 6, 10}), queryPath, "the task has 7 samples");
    add("wrong shape", floats(queryPath, {7, 10, 6}), queryPath, "[10, 6]");
    add("wrong rank", floats(queryPath, {7, 60}), queryPath, "[60]");
    add("rank 4", floats(queryPath, {7, 6, 5, 2}), queryPath, "[7, 6, 5, 2]");
    add("integers", floats(queryPath, {7, 6, 10}, H5T_STD_I32LE), queryPath, "holds integers");
    add("plain uint16", floats(queryPath, {7, 6, 10}, H5T_STD_U16LE), queryPath, "bfloat16");
    add(
        "gradients is a dataset",
        [](hid_t f) {
            remove(f, "/tasks/t/gradients");
            floats("/tasks/t/gradients", {7})(f);
        },
        "/tasks/t/gradients", "is not a group");
    add(
        "parameter is a group",
        [](hid_t f) {
            remove(f, queryPath);
            h5::createGroup(at(f, "/tasks/t/gradients"), query);
        },
        queryPath, "is not a dataset");
    add(
        "dangling link",
        [](hid_t f) {
            remove(f, queryPath);
            H5Lcreate_soft("/nowhere", f, queryPath.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        },
        queryPath, "can't be opened");
    add(
        "layer beyond",
        [](hid_t f) {
            floats("/tasks/t/gradients/model.layers.1.self_attn.q_proj.weight", {7, 6, 10})(f);
        },
        "model.layers.1.self_attn.q_proj.weight", "1 layers");
    add(
        "names",
        [](hid_t f) {
            for (const char* group : {"gradients", "contributions", "factors", "fisher"}) {
                remove(f, std::string("/tasks/t/") + group);
            }
            h5::createGroup(at(f, "/tasks/t"), "gradients");
            floats("/tasks/t/gradients/h.0.attn.c_attn.weight", {7, 6, 10})(f);
        },
        "/tasks", "none of its 1 parameters (\"h.0.attn.c_attn.weight\"");
    add(
        "stored twice",
        [](hid_t f) {
            floats("/tasks/t/gradients/model.layers.0.self_attn.o_proj.weight", {7, 10, 6})(f);
        },
        output, "also stored under gradients/");
    add("definition", attribute(key, "definition", std::string("g")), key, "definition is \"g\"");
    add(
        "per token without tokens", [=](hid_t f) { remove(f, samplesPath + "/n_tokens"); }, key,
        "n_tokens of sample 0");
    add("contribution shape", floats(key, {7, 3, 10}), key, "[3, 10]");
    add(
        "no length", [](hid_t f) { remove(f, output + "/length"); }, output + "/length",
        "is missing");
    add("length", integers(output + "/length", {3, 2, 4, 0, 0, 0, 0}), output + "/length",
        "entry 2 is 4, expected 0 to 3");
    add("lengths", integers(output + "/length", {3, 2}), output + "/length", "has 2 entries");
    add(
        "no input", [](hid_t f) { remove(f, output + "/input"); }, output + "/input", "is missing");
    add("factor rank", floats(output + "/input", {7, 3}), output + "/input", "2 dimensions");
    add("factor tokens", floats(output + "/input", {7, 4, 6}), output + "/grad_output",
        "3 tokens, input for 4");
    add("factor width", floats(output + "/input", {7, 3, 5}), output, "[10, 5]");
    add("factor samples", floats(output + "/grad_output", {6, 3, 10}), output + "/grad_output",
        "7 samples");
    add(
        "fisher shape",
        [](hid_t f) {
            remove(f, fisher);
            floats(fisher, {6, 9})(f);
            attribute(fisher, "estimator", std::string("ema"))(f);
        },
        fisher, "[6, 9]");
    add("estimator", attribute(fisher, "estimator", std::string("median")), fisher,
        "estimator is \"median\"");
    add(
        "no estimator",
        [](hid_t f) {
            removeAttribute(f, fisher, "estimator");
            removeAttribute(f, "/tasks/t/fisher/structural", "estimator");
        },
        fisher, "estimator is missing");
    add(
        "decay",
        [](hid_t f) {
            attribute(fisher, "decay", 1.0)(f);
            attribute(keyFisher, "decay", 1.0)(f);
        },
        keyFisher, "decay is 1.0");
    add("n_samples", attribute(keyFisher, "n_samples", std::int64_t(0)), keyFisher,
        "n_samples is 0");
    add("resolution", attribute(fisher, "resolution", std::string("x")), fisher,
        "resolution is \"x\"");
    add("reduction", attribute(fisher, "reduction", std::string("max")), fisher,
        "reduction is \"max\"");
    add("sets disagree", attribute(fisher, "decay", 0.5), fisher, "differ");
    add("head fisher", attribute(keyFisher, "resolution", std::string("type")), keyFisher,
        "has shape [1], expected [2]");
    add(
        "type without types",
        [](hid_t f) {
            remove(f, "/head_types");
            attribute(keyFisher, "resolution", std::string("type"))(f);
        },
        keyFisher, "no /head_types");
    add(
        "type range",
        [](hid_t f) {
            const std::uint8_t types[] = {0, 2, 1};
            H5Dwrite(at(f, "/head_types").id(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                     types);
        },
        "/head_types", "holds type 2");
    add(
        "type names", [](hid_t f) { removeAttribute(f, "/head_types", "names"); }, "/head_types",
        "names");
    add(
        "type shape",
        [](hid_t f) {
            const auto names = attribute("/head_types", "names", std::vector<std::string>{"a"});
            remove(f, "/head_types");
            floats("/head_types", {3, 1}, H5T_STD_U8LE)(f);
            names(f);
        },
        "/head_types", "[3, 1]");
    return all;
}

} // namespace

class TestDumpBad : public QObject {
    Q_OBJECT
  private slots:
    void initTestCase();
    void theBaseIsGood();
    void refused_data();
    void refused();
    void strangersAreOnlyNoted();
    void notAFile();
    void negativeFisher();
    void nothingOfDumpSizeIsAllocated();

  private:
    Folder m_dir;
};

void TestDumpBad::initTestCase() {
    writeBase(m_dir / "base");
}

void TestDumpBad::theBaseIsGood() {
    const DumpReader r(m_dir / "base");
    QCOMPARE(r.info().tasks[0].parameters.size(), std::size_t(3));
    QVERIFY(r.info().notes.empty());
}

void TestDumpBad::refused_data() {
    QTest::addColumn<int>("index");
    const auto all = cases();
    for (std::size_t i = 0; i < all.size(); ++i) {
        QTest::newRow(all[i].name) << int(i);
    }
}

void TestDumpBad::refused() {
    QFETCH(int, index);
    const Case c = cases()[std::size_t(index)];
    const fs::path file = m_dir / "bad";
    fs::copy_file(m_dir / "base", file, fs::copy_options::overwrite_existing);
    change(file, c.edit);
    try {
        const DumpReader r(file);
        QFAIL("accepted");
    } catch (const InputError& e) {
        QCOMPARE(e.innerPath(), c.path);
        QCOMPARE(e.file(), file);
        QVERIFY2(std::string(e.what()).find(c.complaint) != std::string::npos, e.what());
    }
}

void TestDumpBad::strangersAreOnlyNoted() {
    const fs::path file = m_dir / "strange";
    fs::copy_file(m_dir / "base", file, fs::copy_options::overwrite_existing);
    change(file, [](hid_t f) {
        floats("/tasks/t/gradients/lm_head.weight", {7, 20, 10})(f);
        floats("/tasks/t/gradients/conv.weight", {7, 2, 3, 4})(f);
        floats("/tasks/t/gradients/model.layers.0.self_attn.q_norm.weight", {3, 2})(f);
        h5::createGroup(at(f, "/tasks/t/fisher"), "variance");
    });
    const DumpReader r(file);
    const TaskInfo& t = r.info().tasks[0];
    QVERIFY(t.parameters.contains("lm_head.weight"));
    QVERIFY(!t.parameters.contains("conv.weight"));
    QCOMPARE(r.info().notes.size(), std::size_t(3));
    QVERIFY(!r.layout().find("lm_head.weight"));
}

void TestDumpBad::notAFile() {
    const auto complaint = [](const fs::path& file) {
        try {
            const DumpReader r(file);
            return std::string("accepted");
        } catch (const InputError& e) {
            return std::string(e.what());
        }
    };
    QVERIFY(complaint(m_dir / "none").find("does not exist") != std::string::npos);
    QVERIFY(complaint(m_dir.path()).find("is not a file") != std::string::npos);
    std::ofstream(m_dir / "text") << "hello";
    QVERIFY(complaint(m_dir / "text").find("not an HDF5 file") != std::string::npos);
    std::ofstream(m_dir / "empty").flush();
    QVERIFY(complaint(m_dir / "empty").find("not an HDF5 file") != std::string::npos);
    fs::copy_file(m_dir / "base", m_dir / "cut");
    fs::resize_file(m_dir / "cut", fs::file_size(m_dir / "base") / 2);
    QVERIFY(complaint(m_dir / "cut").find("is cut off: ") != std::string::npos);
    fs::copy_file(m_dir / "base", m_dir / "busy");
    const int writer = ::open((m_dir / "busy").c_str(), O_RDWR);
    QCOMPARE(::flock(writer, LOCK_EX), 0); // as HDF5 does in a program that writes
    QVERIFY(complaint(m_dir / "busy").find("open for writing") != std::string::npos);
    ::close(writer);
    QCOMPARE(complaint(m_dir / "busy"), std::string("accepted"));
    QVERIFY_EXCEPTION_THROWN(detectFileKind(m_dir / "text"), InputError);
    QVERIFY_EXCEPTION_THROWN(detectFileKind(m_dir.path()), InputError);
    QVERIFY_EXCEPTION_THROWN(detectFileKind(m_dir / "none"), InputError);
    std::ofstream(m_dir / "config.json") << "{}";
    QVERIFY(detectFileKind(m_dir.path()) == FileKind::modelDirectory);
}

void TestDumpBad::negativeFisher() {
    const fs::path file = m_dir / "negative";
    fs::copy_file(m_dir / "base", file, fs::copy_options::overwrite_existing);
    change(file, [](hid_t f) {
        std::vector<double> values(60, 0.5);
        values[13] = -1;
        H5Dwrite(at(f, fisher).id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                 values.data());
    });
    const DumpReader r(file);
    const TaskInfo& t = r.info().tasks[0];
    std::vector<double> values(60);
    try {
        r.readFisherElements(t, t.fisher.at("structural"), query, Region{0, 6, 0, 10},
                             values.data());
        QFAIL("a negative Fisher was read");
    } catch (const InputError& e) {
        QCOMPARE(e.innerPath(), fisher);
        QVERIFY(e.problem().find("[1, 3]") != std::string::npos);
    }
}

void TestDumpBad::nothingOfDumpSizeIsAllocated() {
    // Sizes only a hostile file has, without the bytes: refused before anything is allocated.
    const fs::path file = m_dir / "huge";
    for (const bool chunked : {false, true}) {
        fs::copy_file(m_dir / "base", file, fs::copy_options::overwrite_existing);
        change(file, [&](hid_t f) {
            for (const char* name : {"id", "n_tokens", "text"}) {
                const std::string path = std::string("/tasks/t/samples/") + name;
                remove(f, path);
                const hsize_t n = hsize_t(1) << 40, chunk = 1024;
                const h5::Handle space(H5Screate_simple(1, &n, nullptr), H5Sclose);
                const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
                if (chunked) {
                    H5Pset_chunk(creation.get(), 1, &chunk);
                }
                const h5::Handle set(H5Dcreate2(f, path.c_str(), H5T_STD_I64LE, space.get(),
                                                H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                                     H5Dclose);
            }
        });
        QVERIFY_EXCEPTION_THROWN(DumpReader{file}, InputError);
    }
}

QTEST_GUILESS_MAIN(TestDumpBad)
#include "tst_dump_bad.moc"
