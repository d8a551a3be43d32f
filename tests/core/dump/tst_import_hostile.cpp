// SPDX-License-Identifier: GPL-3.0-or-later
// Stores come from strangers: whatever is in them, an import ends with a dump or with one line.
#include "base/Error.h"
#include "core/dump/StoreFixture.h"
#include "dump/Import.h"

#include <QTemporaryDir>
#include <QtTest>

#include <filesystem>
#include <optional>
#include <sys/stat.h>

using namespace qkov;
using namespace fixture;

class TestImportHostile : public QObject {
    Q_OBJECT

  private slots:
    void init() { m_folder.emplace(); }
    void hostileBergson_data();
    void hostileBergson();
    void hostileLogix_data();
    void hostileLogix();
    void hostileSamples_data();
    void hostileSamples();
    void hostileFiles();
    void neverOverItsInput();
    void everyTruncation();

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
    /// One line, and nothing was written.
    void refused(const dump::ImportRequest& r, const QString& what) {
        const QString message = failure(r);
        QVERIFY2(message.contains(what), qPrintable("said: " + message));
        QVERIFY2(!message.contains('\n'), qPrintable(message));
        const QStringList left = QDir(m_folder->path()).entryList({"out*", "*tmp*", "*.new"});
        QVERIFY2(left.isEmpty(), qPrintable(left.join(' ')));
        // A preview says it in its place, or finds it only while reading: it never throws.
        dump::previewImport(r);
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

namespace {

/// A store's info.json with one thing changed.
QByteArray info(const QByteArray& change) {
    const QByteArray good =
        R"("num_items":2,"num_grads":2,"base_dtype":"float32","attribute_tokens":false,"grad_sizes":{"h.0.attn.c_attn":48,"h.0.attn.c_proj":16})";
    const qsizetype colon = change.indexOf(':');
    const QByteArray key = change.left(colon + 1);
    const qsizetype at = good.indexOf(key);
    if (at < 0) {
        return "{" + good + "," + change + "}";
    }
    qsizetype end = good.indexOf(",\"", at);
    if (key.startsWith("\"grad_sizes")) {
        end = -1;
    }
    return "{" + good.left(at) + change + (end < 0 ? QByteArray() : good.mid(end)) + "}";
}

} // namespace

void TestImportHostile::hostileBergson_data() {
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<QString>("message");
    const auto row = [](const char* name, const QByteArray& json, const char* message) {
        QTest::newRow(name) << json << QString(message);
    };
    row("empty file", "", "is not valid JSON");
    row("cut", info("\"x\":1").left(60), "is not valid JSON");
    row("invalid UTF-8", "{\"\xff\":1}", "is not valid JSON");
    row("a list", "[1,2]", "is not a JSON object");
    row("deep", QByteArray(100000, '['), "is nested too deeply");
    row("deep objects", QByteArray("{\"a\":").repeated(1000), "is nested too deeply");
    row("key twice", info("\"num_grads\":2,\"num_grads\":4"), "has the key 'num_grads' twice");
    row("module twice", info(R"("grad_sizes":{"h.0.attn.c_attn":48,"h.0.attn.c_attn":16})"),
        "has the key 'h.0.attn.c_attn' twice");
    row("negative rows", info("\"num_grads\":-2"), "is not a sensible number");
    row("huge rows", info("\"num_grads\":18446744073709551615"), "is not a sensible number");
    row("larger than 64 bits", info("\"num_grads\":36893488147419103232"),
        "is not a sensible number");
    row("rows as text", info("\"num_grads\":\"2\""), "is not a sensible number");
    row("rows as fraction", info("\"num_grads\":2.5"), "is not a sensible number");
    row("rows as bool", info("\"num_grads\":true"), "is not a sensible number");
    row("no rows", info("\"num_grads\":0,\"num_items\":0").replace("\"num_items\":2,", ""),
        "holds no samples");
    row("size zero", info(R"("grad_sizes":{"h.0.attn.c_attn":0})"), "is not a sensible size");
    row("size negative", info(R"("grad_sizes":{"h.0.attn.c_attn":-48})"), "is not a sensible size");
    row("size 2^64 - 16", info(R"("grad_sizes":{"h.0.attn.c_attn":18446744073709551600})"),
        "is not a sensible size");
    row("sizes whose sum overflows", info(R"("grad_sizes":{"a":1099511627776,"b":1099511627776})"),
        "is not a sensible size");
    // 2^28 rows of 2^40 - 1 numbers: their bytes don't fit 64 bits.
    row("product overflows",
        info(R"("grad_sizes":{"a":1099511627775})")
            .replace("\"num_items\":2,\"num_grads\":2",
                     "\"num_items\":268435456,\"num_grads\":268435456"),
        "the file may be truncated");
    row("no sizes", info("\"grad_sizes\":{}"), "is not an object of sizes");
    row("sizes as list", info("\"grad_sizes\":[48]"), "is not an object of sizes");
    row("type", info("\"base_dtype\":\"float31\""), "has the type 'float31'");
    row("integer type", info("\"base_dtype\":\"int32\""), "has the type 'int32'");
    row("type as number", info("\"base_dtype\":4"), "base_dtype");
    row("type in a path", info("\"base_dtype\":\"../../../etc/passwd\""), "has the type");
    row("tokens as text", info("\"attribute_tokens\":\"yes\""), "is neither true nor false");
    row("tokens without offsets", info("\"attribute_tokens\":true"), "offsets.npy");
    row("name with a path",
        info(R"("grad_sizes":{"../../h.0.attn.c_attn":48,"/h.0.attn.c_proj":16})"),
        "no attention matrices");
    row("name with a NUL", info(R"("grad_sizes":{"h.0.attn.c_attn\u0000":48,"x":16})"),
        "no attention matrices");
    row("name with a line break", info(R"("grad_sizes":{"a\nqkov: done":48,"x":16})"),
        "no attention matrices");
    row("sizes of another model", info(R"("grad_sizes":{"h.0.attn.c_attn":32,"x":32})"),
        "but the model's matrix is [12, 4]");
}

void TestImportHostile::hostileBergson() {
    QFETCH(QByteArray, json);
    QFETCH(QString, message);
    auto r = request(gpt2Config);
    bergson(at("store"), 2, false);
    put(at("store/gradients.bin"), QByteArray(2 * 64 * 4, '\0'));
    put(at("store/info.json"), info("\"base_dtype\":\"float32\""));
    QCOMPARE(failure(r), QString()); // what is changed below is sound
    QVERIFY(QFile::remove(at("out.h5")));
    put(at("store/info.json"), json);
    refused(r, message);
}

void TestImportHostile::hostileLogix_data() {
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<QString>("message");
    const QByteArray good =
        R"([{"data_id":"a","path":[["model.layers.0.self_attn.q_proj","grad"]],"offset":0,"shape":[[4,6]],"block_size":24,"dtype":"float32"}])";
    const auto row = [&](const char* name, const QByteArray& from, const QByteArray& to,
                         const char* message) {
        QByteArray json = good;
        if (from.isEmpty()) {
            json = to;
        } else {
            QVERIFY2(json.contains(from), name);
            json.replace(from, to);
        }
        QTest::newRow(name) << json << QString(message);
    };
    const QByteArray entry = good.mid(1, good.size() - 2);
    row("sound", "", good, "");
    row("empty file", "", " ", "is not valid JSON");
    row("cut", "", good.left(70), "is not valid JSON");
    row("an object", "", entry, "is not a JSON list");
    row("a number", "", "7", "is not a JSON list");
    row("zero samples", "", "[]", "holds no samples");
    row("entries of numbers", "", "[1,2,3]", "has no data_id");
    row("entries of lists", "", "[[[]]]", "has no data_id");
    row("deep", "", QByteArray(50000, '['), "is nested too deeply");
    row("the same sample twice", "", "[" + entry + "," + entry + "]", "has the sample 'a' twice");
    row("key twice", "\"offset\":0", "\"offset\":0,\"offset\":8", "has the key 'offset' twice");
    row("id of a kind", "\"data_id\":\"a\"", "\"data_id\":{\"x\":1}", "data_id");
    row("id null", "\"data_id\":\"a\"", "\"data_id\":null", "data_id");
    row("type", "float32", "complex64", "has the type 'complex64'");
    row("type missing", ",\"dtype\":\"float32\"", "", "has no dtype");
    row("type a number", "\"float32\"", "4", "has the type '4'");
    row("offset negative", "\"offset\":0", "\"offset\":-4", "has an offset");
    row("offset huge", "\"offset\":0", "\"offset\":18446744073709551615", "has an offset");
    row("offset as float", "\"offset\":0", "\"offset\":1e300", "has an offset");
    row("offset behind the end", "\"offset\":0", "\"offset\":9223372036854775807", "truncated");
    row("offset a little behind", "\"offset\":0", "\"offset\":4", "truncated");
    row("shape negative", "[[4,6]]", "[[-4,-6]]", "has an impossible shape");
    row("shape whose product overflows", "[[4,6]]", "[[4294967296,4294967296]]",
        "has an impossible shape");
    row("shape as float", "[[4,6]]", "[[4.0,6.0]]", "has an impossible shape");
    row("shape of truths", "[[4,6]]", "[[true,24]]", "has an impossible shape");
    row("shape as text", "[[4,6]]", "[\"4x6\"]", "has a shape that is no list");
    row("shapes no list", "[[4,6]]", "24", "shapes");
    row("more shapes", "[[4,6]]", "[[4,6],[1,1]]", "1 paths and 2 shapes");
    row("path of numbers", "[[\"model.layers.0.self_attn.q_proj\",\"grad\"]]", "[[1,2]]",
        "no list of texts");
    row("path empty", "[[\"model.layers.0.self_attn.q_proj\",\"grad\"]]", "[[]]", "an empty path");
    row("block size", "\"block_size\":24", "\"block_size\":25", "but block_size is 25");
    row("absolute path", "model.layers.0.self_attn.q_proj", "/etc/passwd", "no attention matrices");
    row("path upwards", "model.layers.0.self_attn.q_proj", "../../model.layers.0.self_attn.q_proj",
        "no attention matrices");
    row("nothing logged", "grad", "forward", "logs no gradients");
    row("block twice", "\"grad\"]],\"offset\":0,\"shape\":[[4,6]],\"block_size\":24",
        "\"grad\"],[\"model.layers.0.self_attn.q_proj\",\"grad\"]],\"offset\":0,\"shape\":[[2,6],["
        "2,"
        "6]],\"block_size\":24",
        "twice");
    // 2^21 blocks of 2^43 bytes: their sum is 0 in 64 bits.
    QByteArray paths, shapes;
    for (int i = 0; i < (1 << 21); ++i) {
        paths += i ? ",\"b\"" : "\"b\"";
        shapes += i ? ",[1099511627776]" : "[1099511627776]";
    }
    row("sum overflows", "",
        "[{\"data_id\":1,\"path\":[" + paths + "],\"offset\":0,\"shape\":[" + shapes +
            "],\"dtype\":\"float64\"}]",
        "truncated");
}

void TestImportHostile::hostileLogix() {
    QFETCH(QByteArray, json);
    QFETCH(QString, message);
    auto r = request(llamaConfig);
    QDir().mkpath(at("store"));
    put(at("store/log_rank_0_chunk_0.mmap"), QByteArray(24 * 4, '\0'));
    put(at("store/log_rank_0_chunk_0_metadata.json"), json);
    if (message.isEmpty()) {
        QCOMPARE(failure(r), QString());
        return;
    }
    refused(r, message);
}

void TestImportHostile::hostileSamples_data() {
    QTest::addColumn<QByteArray>("lines");
    QTest::addColumn<QString>("message");
    const auto row = [](const char* name, const QByteArray& lines, const char* message) {
        QTest::newRow(name) << lines << QString(message);
    };
    row("too few", "{}\n", "has 1 samples, the store 2");
    row("no JSON", "{}\n{\n", "line 2");
    row("a list", "{}\n[]\n", "line 2");
    row("tokens negative", "{}\n{\"n_tokens\":-1}\n", "n_tokens");
    row("tokens too many", "{}\n{\"n_tokens\":4294967297}\n", "n_tokens");
    row("tokens as float", "{}\n{\"n_tokens\":1e300}\n", "n_tokens");
    row("id of a kind", "{}\n{\"id\":{\"a\":[]}}\n", "wrong type");
    row("text of a kind", "{}\n{\"text\":3}\n", "wrong type");
    row("id twice", "{\"id\":\"x\"}\n{\"id\":\"x\"}\n", "has the id 'x' twice");
    row("id of another's place", "{\"id\":1}\n{}\n", "has the id '1' twice");
}

void TestImportHostile::hostileSamples() {
    QFETCH(QByteArray, lines);
    QFETCH(QString, message);
    auto r = request(gpt2Config);
    bergson(at("store"), 2, false);
    put(at("samples.jsonl"), lines);
    r.tasks[0].samples = at("samples.jsonl").toStdString();
    refused(r, message);
}

void TestImportHostile::hostileFiles() {
    auto r = request(gpt2Config);
    const auto fresh = [&] {
        QDir(at("store")).removeRecursively();
        bergson(at("store"), 2, false);
    };
    const std::string store = at("store").toStdString();
    const auto link = [&](const char* target, const char* name) {
        std::filesystem::remove(store + "/" + name);
        std::filesystem::create_symlink(target, store + "/" + name);
    };
    fresh();
    link("gradients.bin", "gradients.bin"); // to itself
    refused(r, "can't be read");
    fresh();
    link("/nowhere", "info.json");
    refused(r, "is missing");
    fresh();
    link("/dev/zero", "gradients.bin");
    refused(r, "is not a regular file");
    fresh();
    std::filesystem::remove(store + "/info.json");
    QCOMPARE(::mkfifo((store + "/info.json").c_str(), 0600), 0);
    refused(r, "is not a regular file"); // and isn't waited for
    fresh();
    std::filesystem::remove(store + "/gradients.bin");
    std::filesystem::create_directory(store + "/gradients.bin");
    refused(r, "is not a regular file");
    fresh();
    r.tasks[0].samples = store;
    refused(r, "is a folder");
    r.tasks[0].samples.clear();
    // A link to a store elsewhere is one.
    QVERIFY(QDir().rename(at("store"), at("elsewhere")));
    std::filesystem::create_symlink("elsewhere", store);
    QCOMPARE(failure(r), QString());
    // A layout that takes any name doesn't make one of a path.
    QVERIFY(QFile::remove(at("out.h5")));
    put(at("elsewhere/info.json"), info(R"("grad_sizes":{"../../h.0.attn.c_attn":48,"x":23})"));
    put(at("layout.json"), R"x({"fused": {"parameter": "^.*h\\.(\\d+)\\.attn\\.c_attn\\.weight$",
                              "order": "concatenated", "orientation": "in_out"}})x");
    auto own = request(R"({"model_type":"mine","n_layer":1,"n_head":2,"n_embd":4})");
    own.layout = at("layout.json").toStdString();
    refused(own, "can't be the name of a parameter");
    put(at("config.json"), gpt2Config);
    // A LogIX log without its numbers.
    r.tasks[0].store = at("log").toStdString();
    QDir().mkpath(at("log"));
    put(at("log/log_0_metadata.json"), "[]");
    refused(r, "log_0.mmap");
    // The second store is bad: the first one is not half imported.
    r.tasks.push_back({"u", at("nowhere").toStdString(), {}});
    r.tasks[0].store = store;
    refused(r, "is not a folder");
    // Numbers that float32 can't hold.
    std::filesystem::remove(store);
    QDir(at("elsewhere")).removeRecursively();
    r.tasks.pop_back();
    QDir().mkpath(at("store"));
    put(at("store/info.json"),
        R"({"num_grads":1,"base_dtype":"float64","grad_sizes":{"h.0.attn.c_proj":16}})");
    std::vector<double> numbers(16, 1e300);
    put(at("store/gradients.bin"), QByteArray(reinterpret_cast<const char*>(numbers.data()), 128));
    refused(r, "too large for float32");
}

void TestImportHostile::neverOverItsInput() {
    auto r = request(gpt2Config);
    bergson(at("store"), 2, false);
    put(at("samples.jsonl"), "{}\n{}\n");
    r.tasks[0].samples = at("samples.jsonl").toStdString();
    std::filesystem::create_symlink(at("store/gradients.bin").toStdString(),
                                    at("alias").toStdString());
    for (const char* file : {"store/gradients.bin", "store/info.json", "store/../store/info.json",
                             "samples.jsonl", "config.json", "alias"}) {
        QFile before(at(file));
        QVERIFY(before.open(QIODevice::ReadOnly));
        const QByteArray bytes = before.readAll();
        r.out = at(file).toStdString();
        Job job;
        QVERIFY_EXCEPTION_THROWN(dump::importStores(r, job), UsageError);
        before.seek(0);
        QCOMPARE(before.readAll(), bytes);
    }
}

void TestImportHostile::everyTruncation() {
    auto r = request(gpt2Config);
    bergson(at("store"), 2, false, true);
    QCOMPARE(failure(r), QString());
    QVERIFY(QFile::remove(at("out.h5")));
    for (const char* name : {"store/info.json", "store/offsets.npy", "store/gradients.bin"}) {
        QFile file(at(name));
        QVERIFY(file.open(QIODevice::ReadOnly));
        const QByteArray bytes = file.readAll();
        file.close();
        for (qsizetype n = 0; n<bytes.size(); n += bytes.size()> 300 ? 7 : 1) {
            QVERIFY(file.open(QIODevice::WriteOnly));
            file.write(bytes.left(n));
            file.close();
            refused(r, "store/");
        }
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(bytes + "x");
        file.close();
        refused(r, "store/");
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(bytes);
        file.close();
    }
    QCOMPARE(failure(r), QString());
}

QTEST_APPLESS_MAIN(TestImportHostile)
#include "tst_import_hostile.moc"
