// SPDX-License-Identifier: GPL-3.0-or-later
// Dumps as other tools write them: other byte order, chunks, filters, links, virtual datasets.
#include "Hdf5Fixture.h"

#include "base/Threads.h"

#include <QtTest>

using namespace fixture;
namespace fs = std::filesystem;

namespace {

/// Random pieces, in random order, against the values.
bool readsAs(const fs::path& file, const std::vector<float>& values) {
    const DumpReader r(file);
    const TaskInfo& t = r.info().tasks.at(0);
    std::mt19937 engine(11);
    const auto pick = [&](std::int64_t limit) {
        return static_cast<std::int64_t>(engine() % static_cast<unsigned>(limit));
    };
    for (int round = 0; round < 40; ++round) {
        std::vector<std::int64_t> some;
        if (round % 4 == 0) {
            some = {0, 1, 2, 3, 4, 5, 6};
        } else {
            for (std::int64_t k = 1 + pick(8); k > 0; --k) {
                some.push_back(pick(querySamples));
            }
        }
        Region g{pick(queryRows), 0, 0, queryColumns};
        g.rows = 1 + pick(queryRows - g.row);
        if (round % 2) {
            g.column = pick(queryColumns);
            g.columns = 1 + pick(queryColumns - g.column);
        }
        const auto count = static_cast<std::size_t>(g.count());
        std::vector<float> f(some.size() * count);
        std::vector<double> d(f.size());
        r.readGradients(t, query, some, g, f.data());
        r.readGradients(t, query, some, g, d.data());
        const DType type = t.parameters.at(query).dtype;
        std::vector<std::byte> raw(f.size() * dtypeSize(type));
        r.readRaw(t, query, Part::gradients, some, g, raw.data());
        std::vector<float> fromRaw(f.size());
        convertToFloat(raw.data(), type, f.size(), fromRaw.data());
        for (std::size_t i = 0; i < f.size(); ++i) {
            const auto k = static_cast<std::int64_t>(i % count);
            const std::int64_t at =
                (some[i / count] * queryRows + g.row + k / g.columns) * queryColumns + g.column +
                k % g.columns;
            const float wanted = values[static_cast<std::size_t>(at)];
            if (f[i] != wanted || d[i] != double(wanted) || fromRaw[i] != wanted) {
                return false;
            }
        }
    }
    return true;
}

h5::Handle bigHalf() {
    h5::Handle type = storedType(DType::f16);
    H5Tset_order(type.get(), H5T_ORDER_BE);
    return type;
}

/// A folder with a base dump and two files of 3 and 4 samples beside it.
struct Sharded {
    Folder dir;
    fs::path dump = dir / "dump.qkov";
    explicit Sharded(hsize_t samplesInFirst = 3) {
        writeBase(dump);
        const auto values = queryValues();
        const std::size_t one = queryRows * queryColumns;
        for (int part = 0; part < 2; ++part) {
            const hsize_t n = part == 0 ? samplesInFirst : 7 - samplesInFirst;
            const std::size_t first = part == 0 ? 0 : samplesInFirst * one;
            const fs::path file = dir.path() / ("shard" + std::to_string(part) + ".h5");
            const h5::Lock lock;
            const h5::Handle id(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                                H5Fclose);
            Recipe recipe;
            recipe.type = part == 0 ? H5T_IEEE_F32BE : H5T_IEEE_F32LE;
            recipe.chunk = {2, 4, 10};
            recipe.gzip = true;
            recipe.dims[0] = std::int64_t(n);
            replace(id.get(), "/g", recipe,
                    {values.begin() + std::ptrdiff_t(first),
                     values.begin() + std::ptrdiff_t(first + n * one)});
        }
    }
    void makeVirtual(const std::function<void(hid_t creation, hid_t space)>& extra = {},
                     const char* second = "shard1.h5", hsize_t samplesInFirst = 3) {
        change(dump, [&](hid_t file) {
            H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
            const hsize_t all[] = {7, 6, 10};
            const h5::Handle space(H5Screate_simple(3, all, nullptr), H5Sclose);
            const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
            for (int part = 0; part < 2; ++part) {
                const hsize_t start[] = {part == 0 ? 0 : samplesInFirst, 0, 0};
                const hsize_t count[] = {part == 0 ? samplesInFirst : 7 - samplesInFirst, 6, 10};
                const h5::Handle source(H5Screate_simple(3, count, nullptr), H5Sclose);
                H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr);
                H5Pset_virtual(creation.get(), space.get(), part == 0 ? "shard0.h5" : second, "/g",
                               source.get());
            }
            if (extra) {
                extra(creation.get(), space.get());
            }
            H5Sselect_all(space.get());
            const h5::Handle set(H5Dcreate2(file, queryPath.c_str(), H5T_IEEE_F32LE, space.get(),
                                            H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                                 H5Dclose);
            if (!set) {
                throw std::runtime_error("no virtual dataset");
            }
        });
    }
};

std::string complaint(const fs::path& file) {
    try {
        const DumpReader r(file);
        return "accepted";
    } catch (const InputError& e) {
        return e.what();
    }
}

} // namespace

class TestDumpForeign : public QObject {
    Q_OBJECT
  private slots:
    void types_data();
    void types();
    void chunks_data();
    void chunks();
    void compact();
    void externalLink();
    void virtualDataset();
    void virtualSourceMissing();
    void virtualSourceTooSmall();
    void virtualWithHole();
    void userBlock();
    void missingChunks();
    void otherSampleColumns();
    void sharedInputs();
    void severalThreads();
};

void TestDumpForeign::types_data() {
    QTest::addColumn<QString>("type");
    for (const char* type : {"f16 big", "bf16", "bf16 big", "f32 big", "f64", "f64 big"}) {
        QTest::newRow(type) << type;
    }
}

void TestDumpForeign::types() {
    QFETCH(QString, type);
    const Folder dir;
    writeBase(dir / "d");
    const h5::Lock lock;
    const h5::Handle half = bigHalf();
    Recipe r;
    r.type = type == "f16 big"    ? half.get()
             : type == "bf16"     ? H5T_STD_U16LE
             : type == "bf16 big" ? H5T_STD_U16BE
             : type == "f32 big"  ? H5T_IEEE_F32BE
             : type == "f64"      ? H5T_IEEE_F64LE
                                  : H5T_IEEE_F64BE;
    r.memory = type.startsWith("bf16") ? DType::bf16 : DType::f32;
    const auto values = r.memory == DType::bf16 ? bfloatValues() : queryValues();
    for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{}, {2, 4, 3}}) {
        r.chunk = chunk;
        change(dir / "d", [&](hid_t file) { replace(file, queryPath, r, values); });
        QVERIFY(readsAs(dir / "d", values));
        const DumpReader reader(dir / "d");
        const auto direct = reader.direct(reader.info().tasks[0], query, Part::gradients);
        QCOMPARE(direct.has_value(), chunk.empty() && !type.endsWith("big"));
    }
}

void TestDumpForeign::chunks_data() {
    QTest::addColumn<QList<int>>("chunk");
    QTest::addColumn<bool>("gzip");
    QTest::newRow("per sample") << QList<int>{1, 6, 10} << false;
    QTest::newRow("odd") << QList<int>{3, 4, 7} << false;
    QTest::newRow("odd gzip") << QList<int>{3, 4, 7} << true;
    QTest::newRow("all samples") << QList<int>{7, 1, 2} << true;
    QTest::newRow("single numbers") << QList<int>{1, 1, 1} << false;
}

void TestDumpForeign::chunks() {
    QFETCH(QList<int>, chunk);
    QFETCH(bool, gzip);
    const Folder dir;
    writeBase(dir / "d");
    Recipe r;
    r.chunk.assign(chunk.begin(), chunk.end());
    r.gzip = gzip;
    change(dir / "d", [&](hid_t file) { replace(file, queryPath, r, queryValues()); });
    QVERIFY(readsAs(dir / "d", queryValues()));
}

void TestDumpForeign::compact() {
    const Folder dir;
    writeBase(dir / "d");
    Recipe r;
    r.compact = true;
    change(dir / "d", [&](hid_t file) { replace(file, queryPath, r, queryValues()); });
    QVERIFY(readsAs(dir / "d", queryValues()));
}

void TestDumpForeign::externalLink() {
    const Sharded s(6);
    const fs::path other = s.dir / "other.h5";
    {
        const h5::Lock lock;
        const h5::Handle id(H5Fcreate(other.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                            H5Fclose);
        replace(id.get(), "/deep", Recipe{}, queryValues());
    }
    change(s.dump, [&](hid_t file) {
        H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
        H5Lcreate_external("other.h5", "/deep", file, queryPath.c_str(), H5P_DEFAULT, H5P_DEFAULT);
    });
    QVERIFY(readsAs(s.dump, queryValues()));
    const std::string before = DumpReader(s.dump).info().fingerprint;
    change(other, [&](hid_t file) { replace(file, "/more", Recipe{}, queryValues()); });
    QVERIFY(DumpReader(s.dump).info().fingerprint != before);
    fs::remove(other);
    const std::string text = complaint(s.dump);
    QVERIFY2(text.find(queryPath) != std::string::npos, text.c_str());
}

void TestDumpForeign::virtualDataset() {
    Sharded s;
    s.makeVirtual();
    QVERIFY(readsAs(s.dump, queryValues()));
}

void TestDumpForeign::virtualSourceMissing() {
    Sharded s;
    s.makeVirtual();
    fs::remove(s.dir / "shard1.h5");
    const std::string text = complaint(s.dump);
    QVERIFY2(text.find("shard1.h5") != std::string::npos, text.c_str());
    QVERIFY2(text.find(queryPath) != std::string::npos, text.c_str());
    Sharded t;
    t.makeVirtual();
    change(t.dir / "shard0.h5", [](hid_t file) { H5Ldelete(file, "/g", H5P_DEFAULT); });
    QVERIFY(complaint(t.dump).find("shard0.h5") != std::string::npos);
}

void TestDumpForeign::virtualSourceTooSmall() {
    Sharded s;
    s.makeVirtual();
    change(s.dir / "shard1.h5", [](hid_t file) {
        Recipe r;
        r.dims[0] = 3;
        replace(file, "/g", r, std::vector<float>(180, 1.0f));
    });
    const std::string text = complaint(s.dump);
    QVERIFY2(text.find("[3, 6, 10]") != std::string::npos, text.c_str());
}

void TestDumpForeign::virtualWithHole() {
    Sharded s;
    change(s.dump, [&](hid_t file) {
        H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
        const hsize_t all[] = {7, 6, 10}, count[] = {3, 6, 10}, start[] = {0, 0, 0};
        const h5::Handle space(H5Screate_simple(3, all, nullptr), H5Sclose);
        const h5::Handle source(H5Screate_simple(3, count, nullptr), H5Sclose);
        const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr);
        H5Pset_virtual(creation.get(), space.get(), "shard0.h5", "/g", source.get());
        H5Sselect_all(space.get());
        const h5::Handle set(H5Dcreate2(file, queryPath.c_str(), H5T_IEEE_F32LE, space.get(),
                                        H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                             H5Dclose);
    });
    const std::string text = complaint(s.dump);
    QVERIFY2(text.find("180 of 420") != std::string::npos, text.c_str());
}

void TestDumpForeign::userBlock() {
    const Folder dir;
    writeBase(dir / "base");
    {
        const h5::Lock lock;
        const h5::Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
        H5Pset_userblock(creation.get(), 2048);
        const h5::Handle from(H5Fopen((dir / "base").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT),
                              H5Fclose);
        const h5::Handle to(
            H5Fcreate((dir / "shifted").c_str(), H5F_ACC_TRUNC, creation.get(), H5P_DEFAULT),
            H5Fclose);
        for (const char* name : {"model", "tasks", "head_types"}) {
            QVERIFY(H5Ocopy(from.get(), name, to.get(), name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
        }
        const h5::Object root(h5::Handle(H5Oopen(to.get(), "/", H5P_DEFAULT), H5Oclose), "x", "/");
        h5::writeAttribute(root, "format", std::string("qkov-dump"));
        h5::writeAttribute(root, "format_version", std::int64_t(1));
    }
    QVERIFY(readsAs(dir / "shifted", queryValues()));
    const DumpReader r(dir / "shifted");
    QVERIFY(r.direct(r.info().tasks[0], query, Part::gradients).has_value());
}

void TestDumpForeign::missingChunks() {
    const Folder dir;
    writeBase(dir / "d");
    change(dir / "d", [&](hid_t file) {
        H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
        const hsize_t all[] = {7, 6, 10}, chunk[] = {1, 6, 10};
        const h5::Handle space(H5Screate_simple(3, all, nullptr), H5Sclose);
        const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
        H5Pset_chunk(creation.get(), 3, chunk);
        const h5::Handle set(H5Dcreate2(file, queryPath.c_str(), H5T_IEEE_F32LE, space.get(),
                                        H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                             H5Dclose);
        const hsize_t start[] = {0, 0, 0}, count[] = {6, 6, 10};
        const h5::Handle memory(H5Screate_simple(3, count, nullptr), H5Sclose);
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr);
        const auto values = queryValues();
        H5Dwrite(set.get(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT,
                 values.data());
    });
    const std::string text = complaint(dir / "d");
    QVERIFY2(text.find("1 of 7 chunks were never written") != std::string::npos, text.c_str());
    QVERIFY(text.find(queryPath) != std::string::npos);
    // Contiguous, never written.
    change(dir / "d", [&](hid_t file) {
        H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
        const hsize_t all[] = {7, 6, 10};
        const h5::Handle space(H5Screate_simple(3, all, nullptr), H5Sclose);
        const h5::Handle set(H5Dcreate2(file, queryPath.c_str(), H5T_IEEE_F32LE, space.get(),
                                        H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Dclose);
    });
    QVERIFY(complaint(dir / "d").find("was never written") != std::string::npos);
}

void TestDumpForeign::otherSampleColumns() {
    const Folder dir;
    writeBase(dir / "d");
    const auto column = [](hid_t file, const char* name, hid_t type, hid_t memory,
                           const void* values) {
        const std::string path = std::string("/tasks/t/samples/") + name;
        H5Ldelete(file, path.c_str(), H5P_DEFAULT);
        const hsize_t n = 7;
        const h5::Handle space(H5Screate_simple(1, &n, nullptr), H5Sclose);
        const h5::Handle set(H5Dcreate2(file, path.c_str(), type, space.get(), H5P_DEFAULT,
                                        H5P_DEFAULT, H5P_DEFAULT),
                             H5Dclose);
        H5Dwrite(set.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    };
    change(dir / "d", [&](hid_t file) {
        const std::int64_t ids[] = {5, -3, 9000000000, 7, 8, 9, 10};
        column(file, "id", H5T_STD_I64BE, H5T_NATIVE_INT64, ids);
        const h5::Handle fixed(H5Tcopy(H5T_C_S1), H5Tclose);
        H5Tset_size(fixed.get(), 4);
        H5Tset_strpad(fixed.get(), H5T_STR_NULLPAD);
        column(file, "text", fixed.get(), fixed.get(), "abcdxy\0\0\xff\xfezz\0\0\0\0aaaabbbbcccc");
        const std::uint8_t tokens[] = {1, 2, 3, 4, 5, 6, 255};
        column(file, "n_tokens", H5T_STD_U8LE, H5T_NATIVE_UINT8, tokens);
        H5Ldelete(file, "/tasks/t/samples/group", H5P_DEFAULT);
        H5Ldelete(file, "/tasks/t/samples/loss", H5P_DEFAULT);
    });
    const DumpReader r(dir / "d");
    const auto& s = r.info().tasks[0].samples;
    QCOMPARE(s[2].id, std::string("9000000000"));
    QCOMPARE(s[1].id, std::string("-3"));
    QCOMPARE(s[0].text, std::string("abcd"));
    QCOMPARE(s[1].text, std::string("xy"));
    QCOMPARE(s[2].text, std::string("\xEF\xBF\xBD\xEF\xBF\xBDzz"));
    QCOMPARE(s[6].tokens, 255);
    QVERIFY(s[0].group.empty() && std::isnan(s[0].loss));
}

void TestDumpForeign::sharedInputs() {
    const Folder dir;
    writeBase(dir / "d");
    change(dir / "d", [&](hid_t file) { // V's factors share O's lengths and grad_output, say
        const std::string v = "/tasks/t/factors/model.layers.0.self_attn.v_proj.weight";
        const std::string o = "/tasks/t/factors/model.layers.0.self_attn.o_proj.weight";
        const h5::Handle group(H5Gcreate2(file, v.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               H5Gclose);
        H5Lcreate_hard(file, (o + "/grad_output").c_str(), file, (v + "/input").c_str(),
                       H5P_DEFAULT, H5P_DEFAULT);
        H5Lcreate_hard(file, (o + "/length").c_str(), file, (v + "/length").c_str(), H5P_DEFAULT,
                       H5P_DEFAULT);
        Recipe r;
        r.dims = {7, 3, 2};
        replace(file, v + "/grad_output", r, std::vector<float>(42, 1.0f));
    });
    const DumpReader r(dir / "d");
    const TaskInfo& t = r.info().tasks[0];
    const std::string v = "model.layers.0.self_attn.v_proj.weight";
    std::vector<double> g(20);
    std::vector<float> x(20);
    r.readGradients(t, v, std::vector<std::int64_t>{1}, Region{0, 2, 0, 10}, g.data());
    r.readFactors(t, v, std::vector<std::int64_t>{1}, {0, 10}, {}, x.data(), nullptr);
    for (std::size_t i = 0; i < 10; ++i) {
        QCOMPARE(g[i], double(x[i]) + double(x[10 + i]));
        QCOMPARE(g[10 + i], g[i]);
    }
}

void TestDumpForeign::severalThreads() {
    Sharded s;
    const auto values = queryValues();
    for (const bool throughHdf5 : {false, true}) {
        if (throughHdf5) {
            s.makeVirtual();
        }
        const DumpReader r(s.dump);
        const TaskInfo& t = r.info().tasks[0];
        std::atomic<int> wrong{0};
        parallelFor(200, 4, [&](std::size_t i, int) {
            const std::int64_t sample = static_cast<std::int64_t>(i % 7);
            std::vector<float> f(60);
            r.readGradients(t, query, std::vector<std::int64_t>{sample}, Region{0, 6, 0, 10},
                            f.data());
            for (std::size_t k = 0; k < 60; ++k) {
                wrong += f[k] != values[static_cast<std::size_t>(sample) * 60 + k];
            }
            r.readGradients(t, "model.layers.0.self_attn.o_proj.weight",
                            std::vector<std::int64_t>{sample}, Region{0, 10, 0, 6}, f.data());
        });
        QCOMPARE(wrong.load(), 0);
    }
}

QTEST_GUILESS_MAIN(TestDumpForeign)
#include "tst_dump_foreign.moc"
