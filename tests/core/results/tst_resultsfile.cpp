// SPDX-License-Identifier: GPL-3.0-or-later
#include "MakeScores.h"
#include "base/Error.h"
#include "dump/Hdf5.h"
#include "results/ResultsFile.h"

#include <QtTest>

#include <QTemporaryDir>
#include <functional>

using namespace qkov;
using qkov::test::makeScores;
using qkov::test::same;
using qkov::test::Shape;

class TestResultsFile : public QObject {
    Q_OBJECT

  private slots:
    void comesBackWhole_data();
    void comesBackWhole();
    void layoutIsTheFormats();
    void cancelKeepsTheOldFile();
    void unwritablePlaces();
    void refuses_data();
    void refuses();
    void truncatedAtEveryLength();
    void meansAreComputedWhenAbsent();
    void pooledPairs();
    void largeFileOpensAtOnce();

  private:
    std::filesystem::path path(const char* name) const {
        return std::filesystem::path(m_dir.path().toStdString()) / name;
    }
    QTemporaryDir m_dir;
};

void TestResultsFile::comesBackWhole_data() {
    QTest::addColumn<int>("variant");
    QTest::addColumn<bool>("complete");
    QTest::newRow("magnitude") << int(engine::Variant::magnitude) << true;
    QTest::newRow("cosine, cancelled") << int(engine::Variant::cosine) << false;
}

void TestResultsFile::comesBackWhole() {
    QFETCH(int, variant);
    QFETCH(bool, complete);
    Shape shape;
    shape.variant = engine::Variant(variant);
    shape.lastLayerComputed = complete;
    const auto s = makeScores(shape, 7);
    Job job;
    results::writeResults(path("whole.qkov-results"), *s, job);
    const auto t = results::openResults(path("whole.qkov-results"));
    const auto& h = s->header();
    const auto& g = t->header();

    QCOMPARE(g.model.name, h.model.name);
    QCOMPARE(g.model.architecture, h.model.architecture);
    QCOMPARE(g.model.configJson, h.model.configJson);
    QCOMPARE(g.model.numLayers, h.model.numLayers);
    QCOMPARE(g.model.numHeads, h.model.numHeads);
    QCOMPARE(g.model.numKvHeads, h.model.numKvHeads);
    QCOMPARE(g.model.headDim, h.model.headDim);
    QCOMPARE(g.model.vHeadDim, h.model.vHeadDim);
    QCOMPARE(g.dumpName, h.dumpName);
    QCOMPARE(g.dumpFingerprint, h.dumpFingerprint);
    QCOMPARE(g.taskA, h.taskA);
    QCOMPARE(g.taskB, h.taskB);
    QCOMPARE(g.createdBy, h.createdBy);
    QCOMPARE(g.createdAt, h.createdAt);
    QCOMPARE(g.configJson, h.configJson);
    QVERIFY(engine::toJson(g.request) == engine::toJson(h.request));
    QVERIFY(g.layers == h.layers && g.heads == h.heads && g.blocks == h.blocks);
    QVERIFY(g.missing == h.missing && g.notes == h.notes);
    QVERIFY(g.headTypes.names == h.headTypes.names && g.headTypes.type == h.headTypes.type);
    QVERIFY(g.headTypes.scores == h.headTypes.scores);
    QCOMPARE(g.readSeconds, h.readSeconds);
    QCOMPARE(g.totalSeconds, h.totalSeconds);
    QCOMPARE(g.nA(), h.nA());
    QCOMPARE(g.nB(), h.nB());
    for (std::size_t i = 0; i < h.nA(); ++i) {
        QCOMPARE(g.samplesA[i].id, h.samplesA[i].id);
        QCOMPARE(g.samplesA[i].text, h.samplesA[i].text);
        QCOMPARE(g.samplesA[i].group, h.samplesA[i].group);
        QCOMPARE(g.samplesA[i].tokens, h.samplesA[i].tokens);
        QCOMPARE(g.samplesA[i].loss, h.samplesA[i].loss);
    }
    QCOMPARE(t->complete(), complete);
    for (const Block b : allBlocks) {
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            QCOMPARE(t->computed(l), s->computed(l));
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                QVERIFY(same(t->mean(b, l, c), s->mean(b, l, c)));
                const auto x = s->health(b, l, c);
                const auto y = t->health(b, l, c);
                QVERIFY(same(x.min, y.min) && same(x.median, y.median) && same(x.max, y.max) &&
                        same(x.shareBelow, y.shareBelow) && same(x.lambda, y.lambda));
                const auto u = s->pairs(b, l, c);
                const auto v = t->pairs(b, l, c);
                QCOMPARE(v.size(), u.size());
                for (std::size_t k = 0; k < u.size(); ++k) {
                    QVERIFY(same(u[k], v[k]));
                }
            }
        }
    }
    // And again from the file that was read.
    results::writeResults(path("again.qkov-results"), *t, job);
    const auto again = results::openResults(path("again.qkov-results"));
    for (std::size_t c = 0; c < h.heads.size(); ++c) {
        QVERIFY(same(again->pairs(Block::Q, 0, c), s->pairs(Block::Q, 0, c)));
    }
}

void TestResultsFile::layoutIsTheFormats() {
    const auto s = makeScores(Shape{}, 9);
    Job job;
    results::writeResults(path("layout.h5"), *s, job);
    const h5::Object root = h5::openFile(path("layout.h5"));
    QCOMPARE(root.requireString("format"), std::string("qkov-results"));
    QCOMPARE(root.requireInt("format_version"), std::int64_t(1));
    for (const char* attribute : {"created_by", "created_at", "config_json", "dump_name",
                                  "dump_fingerprint", "task_a", "task_b", "device"}) {
        QVERIFY(root.stringAttribute(attribute).has_value());
    }
    const h5::Object q = root.group("scores").dataset("Q");
    const h5::Lock lock;
    const h5::Handle creation(H5Dget_create_plist(q.id()), H5Pclose);
    QCOMPARE(H5Pget_layout(creation.get()), H5D_CHUNKED);
    hsize_t chunk[4] = {};
    QCOMPARE(H5Pget_chunk(creation.get(), 4, chunk), 4);
    QVERIFY(chunk[0] == 1 && chunk[1] == 1 && chunk[2] == 4 && chunk[3] == 3);
    const h5::Handle type(H5Dget_type(q.id()), H5Tclose);
    QVERIFY(H5Tequal(type.get(), H5T_IEEE_F32LE) > 0);
    const h5::Handle mean(H5Dget_type(root.group("layer_head_mean").dataset("Q").id()), H5Tclose);
    QVERIFY(H5Tequal(mean.get(), H5T_IEEE_F64LE) > 0);
    QVERIFY(!root.group("scores").has("V"));
}

void TestResultsFile::cancelKeepsTheOldFile() {
    Job job;
    results::writeResults(path("keep.h5"), *makeScores(Shape{}, 1), job);
    const auto before = results::openResults(path("keep.h5"))->pairs(Block::Q, 0, 0);
    CancelToken token;
    Job cancelled(token);
    token.cancel();
    QVERIFY_EXCEPTION_THROWN(
        results::writeResults(path("keep.h5"), *makeScores(Shape{}, 2), cancelled), Cancelled);
    QVERIFY(!before.empty());
    QVERIFY(same(results::openResults(path("keep.h5"))->pairs(Block::Q, 0, 0), before));
    for (const auto& entry : std::filesystem::directory_iterator(m_dir.path().toStdString())) {
        QVERIFY2(entry.path().string().find(".tmp-") == std::string::npos, entry.path().c_str());
    }
}

void TestResultsFile::unwritablePlaces() {
    Job job;
    const auto s = makeScores(Shape{}, 1);
    QVERIFY_EXCEPTION_THROWN(results::writeResults(path("no/such/folder/x.h5"), *s, job),
                             InputError);
    QVERIFY_EXCEPTION_THROWN(results::writeResults(path("."), *s, job), InputError);
    QVERIFY_EXCEPTION_THROWN(results::writeResults("/dev/full", *s, job), InputError);
    QVERIFY(std::filesystem::is_character_file("/dev/full"));
}

using Damage = std::function<void(hid_t file)>;
Q_DECLARE_METATYPE(Damage)

namespace {

void remove(hid_t file, const char* name) {
    H5Ldelete(file, name, H5P_DEFAULT);
}

void text(hid_t file, const char* name, const char* value) {
    if (H5Aexists(file, name) > 0) {
        H5Adelete(file, name);
    }
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t id = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(id, type, &value);
    H5Aclose(id);
    H5Sclose(space);
    H5Tclose(type);
}

/// A dataset of this shape; nothing is written to it.
void dataset(hid_t file, const char* name, hid_t type, std::vector<hsize_t> dims,
             const void* values = nullptr) {
    if (H5Lexists(file, name, H5P_DEFAULT) > 0) {
        remove(file, name);
    }
    const hid_t space = H5Screate_simple(int(dims.size()), dims.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    for (hsize_t& d : dims) {
        d = std::min<hsize_t>(d, 64);
    }
    H5Pset_chunk(creation, int(dims.size()), dims.data());
    const hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (values) {
        H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    }
    H5Dclose(id);
    H5Pclose(creation);
    H5Sclose(space);
}

} // namespace

void TestResultsFile::refuses_data() {
    QTest::addColumn<Damage>("damage");
    QTest::addColumn<QString>("place");
    QTest::addColumn<QString>("problem");
    const auto row = [](const char* name, const char* place, const char* problem, Damage damage) {
        QTest::newRow(name) << damage << QString::fromUtf8(place) << QString::fromUtf8(problem);
    };
    row("a dump", "/", "has format 'qkov-dump'", [](hid_t f) { text(f, "format", "qkov-dump"); });
    row("no format", "/", "attribute format is missing", [](hid_t f) { H5Adelete(f, "format"); });
    row("version 2", "/", "has format_version 2", [](hid_t f) {
        const hid_t a = H5Aopen(f, "format_version", H5P_DEFAULT);
        const std::int64_t two = 2;
        H5Awrite(a, H5T_NATIVE_INT64, &two);
        H5Aclose(a);
    });
    row("no config", "/", "attribute config_json is missing",
        [](hid_t f) { H5Adelete(f, "config_json"); });
    row("broken config", "/", "config_json is not JSON",
        [](hid_t f) { text(f, "config_json", "{"); });
    row("config is a list", "/", "not an object", [](hid_t f) { text(f, "config_json", "[]"); });
    row("unknown mode", "/", "unknown mode",
        [](hid_t f) { text(f, "config_json", "{\"mode\": \"guess\"}"); });
    row("wrong kind", "/", "threads has a value of the wrong kind",
        [](hid_t f) { text(f, "config_json", "{\"threads\": \"many\"}"); });
    row("no layers", "/layers", "is missing", [](hid_t f) { remove(f, "layers"); });
    row("layers two-dimensional", "/layers", "expected one dimension", [](hid_t f) {
        dataset(f, "layers", H5T_NATIVE_INT, {3, 1});
    });
    row("layers without end", "/layers", "more than is possible",
        [](hid_t f) { dataset(f, "layers", H5T_NATIVE_INT, {hsize_t(1) << 60}); });
    row("layers never written", "/layers", "never written",
        [](hid_t f) { dataset(f, "layers", H5T_NATIVE_INT, {3}); });
    row("a layer twice", "/layers", "holds 2 twice", [](hid_t f) {
        const int v[3] = {2, 2, 3};
        dataset(f, "layers", H5T_NATIVE_INT, {3}, v);
    });
    row("a negative head", "/heads", "negative number -1", [](hid_t f) {
        const int v[5] = {-1, 2, 3, 4, 5};
        dataset(f, "heads", H5T_NATIVE_INT, {5}, v);
    });
    row("a head beyond the model's", "/model", "disagrees with /layers or /heads", [](hid_t f) {
        const int v[5] = {0, 1, 2, 3, 6};
        dataset(f, "heads", H5T_NATIVE_INT, {5}, v);
    });
    row("heads of text", "/heads", "does not hold integers",
        [](hid_t f) { dataset(f, "heads", H5T_C_S1, {5}); });
    row("no samples", "/samples_a/id", "is missing", [](hid_t f) { remove(f, "samples_a/id"); });
    row("ids that are floats", "/samples_b/id", "does not hold strings",
        [](hid_t f) { dataset(f, "samples_b/id", H5T_NATIVE_DOUBLE, {3}); });
    row("an id twice", "/samples_b/id", "holds the id '7' twice", [](hid_t f) {
        const int v[3] = {7, 1, 7};
        dataset(f, "samples_b/id", H5T_NATIVE_INT, {3}, v);
    });
    row("too few texts", "/samples_a/text", "has shape [2], expected [4]",
        [](hid_t f) { dataset(f, "samples_a/text", H5T_C_S1, {2}); });
    row("no scores", "/scores", "is missing", [](hid_t f) { remove(f, "scores"); });
    row("no block", "/scores", "holds none of Q, K, V, O", [](hid_t f) {
        remove(f, "scores/Q");
        remove(f, "scores/K");
        remove(f, "scores/O");
    });
    row("scores of another shape", "/scores/O", "has shape [3, 5, 3, 4], expected [3, 5, 4, 3]",
        [](hid_t f) {
            dataset(f, "scores/O", H5T_NATIVE_FLOAT, {3, 5, 3, 4});
        });
    row("scores with holes", "/scores/O", "never written", [](hid_t f) {
        dataset(f, "scores/O", H5T_NATIVE_FLOAT, {3, 5, 4, 3});
    });
    row("integer scores", "/scores/O", "does not hold floating-point", [](hid_t f) {
        dataset(f, "scores/O", H5T_NATIVE_INT, {3, 5, 4, 3});
    });
    row("scores are a group", "/scores/O", "is not a dataset", [](hid_t f) {
        remove(f, "scores/O");
        H5Gclose(H5Gcreate2(f, "scores/O", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    });
    row("scores lead nowhere", "/scores/O", "can't be opened", [](hid_t f) {
        remove(f, "scores/O");
        H5Lcreate_external("gone.h5", "/x", f, "scores/O", H5P_DEFAULT, H5P_DEFAULT);
    });
    row("means of another shape", "/layer_head_mean/Q", "has shape [5, 3]", [](hid_t f) {
        dataset(f, "layer_head_mean/Q", H5T_NATIVE_DOUBLE, {5, 3});
    });
    row("health of another shape", "/fisher_health/Q", "has shape [3, 5]", [](hid_t f) {
        dataset(f, "fisher_health/Q", H5T_NATIVE_DOUBLE, {3, 5});
    });
    row("head types of another shape", "/head_types", "has shape [2, 2]", [](hid_t f) {
        dataset(f, "head_types", H5T_NATIVE_UCHAR, {2, 2});
    });
    row("an unknown head type", "/head_types", "holds type 9", [](hid_t f) {
        const hid_t d = H5Dopen2(f, "head_types", H5P_DEFAULT);
        std::vector<unsigned char> v(30, 9);
        H5Dwrite(d, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, v.data());
        H5Dclose(d);
    });
    row("heads that don't divide", "/model", "must be a multiple", [](hid_t f) {
        const hid_t g = H5Gopen2(f, "model", H5P_DEFAULT);
        const hid_t a = H5Aopen(g, "num_kv_heads", H5P_DEFAULT);
        const std::int64_t four = 4;
        H5Awrite(a, H5T_NATIVE_INT64, &four);
        H5Aclose(a);
        H5Gclose(g);
    });
}

void TestResultsFile::refuses() {
    QFETCH(Damage, damage);
    QFETCH(QString, place);
    QFETCH(QString, problem);
    const auto file = path("damaged.h5");
    Job job;
    results::writeResults(file, *makeScores(Shape{}, 4), job);
    {
        const h5::Lock lock;
        const hid_t f = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        QVERIFY(f >= 0);
        damage(f);
        H5Fclose(f);
    }
    try {
        results::openResults(file);
        QFAIL("was opened");
    } catch (const InputError& e) {
        const QString what = QString::fromUtf8(e.what());
        QVERIFY2(what.contains(problem), e.what());
        QCOMPARE(QString::fromStdString(e.innerPath()), place);
        QVERIFY2(what.startsWith(QString::fromStdString(file.string())), e.what());
        QVERIFY(!what.contains(QChar('\n')));
    }
}

void TestResultsFile::truncatedAtEveryLength() {
    const auto file = path("full.h5");
    Job job;
    results::writeResults(file, *makeScores(Shape{}, 4), job);
    QFile in(QString::fromStdString(file.string()));
    QVERIFY(in.open(QIODevice::ReadOnly));
    const QByteArray bytes = in.readAll();
    for (qsizetype length = 0; length < bytes.size(); length += 97) {
        QFile out(QString::fromStdString(path("cut.h5").string()));
        QVERIFY(out.open(QIODevice::WriteOnly | QIODevice::Truncate));
        out.write(bytes.left(length));
        out.close();
        QVERIFY_EXCEPTION_THROWN(results::openResults(path("cut.h5")), InputError);
    }
}

void TestResultsFile::meansAreComputedWhenAbsent() {
    const auto file = path("nomeans.h5");
    Job job;
    const auto s = makeScores(Shape{}, 4);
    results::writeResults(file, *s, job);
    {
        const h5::Lock lock;
        const hid_t f = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        remove(f, "layer_head_mean");
        remove(f, "fisher_health");
        remove(f, "model");
        remove(f, "head_types");
        H5Fclose(f);
    }
    const auto t = results::openResults(file);
    for (std::size_t l = 0; l < 3; ++l) {
        for (std::size_t c = 0; c < 5; ++c) {
            const double a = s->mean(Block::O, l, c);
            const double b = t->mean(Block::O, l, c);
            QVERIFY(same(a, b) || std::abs(a - b) < 1e-12);
            QVERIFY(std::isnan(t->health(Block::O, l, c).min));
        }
    }
}

void TestResultsFile::pooledPairs() {
    Shape shape;
    const auto s = makeScores(shape, 4);
    Shape all = shape;
    all.nA = all.nB = shape.nA + shape.nB;
    const auto pooled = makeScores(all, 5);
    Job job;
    results::writeResults(path("pooled.h5"), *s, job);
    QVERIFY(!results::openPooled(path("pooled.h5")));
    results::writeResults(path("pooled.h5"), *s, job, pooled.get());
    const auto t = results::openPooled(path("pooled.h5"));
    QVERIFY(t);
    const auto& h = t->header();
    QCOMPARE(h.nA(), all.nA);
    QCOMPARE(h.nB(), all.nB);
    QCOMPARE(h.samplesB[1].id, s->header().samplesA[1].id);
    QCOMPARE(h.samplesA[shape.nA].id, s->header().samplesB[0].id);
    QVERIFY(h.request.variant == engine::Variant::profile);
    for (const Block b : allBlocks) {
        for (std::size_t c = 0; c < h.heads.size(); ++c) {
            QVERIFY(same(t->pairs(b, 1, c), pooled->pairs(b, 1, c)));
            const double mean = pooled->mean(b, 1, c);
            QVERIFY(same(t->mean(b, 1, c), mean) || std::abs(t->mean(b, 1, c) - mean) < 1e-12);
        }
    }
    QVERIFY(same(results::openResults(path("pooled.h5"))->pairs(Block::Q, 0, 0),
                 s->pairs(Block::Q, 0, 0)));
}

void TestResultsFile::largeFileOpensAtOnce() {
    // 16 × 16 cells of 150 × 150 pairs in three blocks: 69 MB of scores.
    Shape shape;
    shape.modelLayers = shape.modelHeads = shape.kvHeads = 16;
    shape.layers.clear();
    shape.heads.clear();
    for (std::int32_t i = 0; i < 16; ++i) {
        shape.layers.push_back(i);
        shape.heads.push_back(i);
    }
    shape.nA = shape.nB = 150;
    const auto s = makeScores(shape, 1);
    Job job;
    results::writeResults(path("large.h5"), *s, job);
    QElapsedTimer timer;
    timer.start();
    const auto t = results::openResults(path("large.h5"));
    const qint64 opened = timer.restart();
    const auto pairs = t->pairs(Block::O, 15, 15);
    const qint64 cell = timer.elapsed();
    QVERIFY2(opened < 500, qPrintable(QString::number(opened)));
    QVERIFY2(cell < 100, qPrintable(QString::number(cell)));
    const auto expected = s->pairs(Block::O, 15, 15);
    QVERIFY(same(pairs, expected));
}

QTEST_APPLESS_MAIN(TestResultsFile)
#include "tst_resultsfile.moc"
