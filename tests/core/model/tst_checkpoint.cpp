// SPDX-License-Identifier: GPL-3.0-or-later
// Model folders, sound and hostile.
#include "base/Error.h"
#include "model/Checkpoint.h"

#include <QTemporaryDir>
#include <QtTest>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

using namespace qkov;
using namespace qkov::model;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

struct Tensor {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
};

/// GPT-2 of 2 layers, 2 heads of 3.
std::vector<Tensor> tensors(const std::string& prefix = "transformer.") {
    std::vector<Tensor> all{{prefix + "wte.weight", "F32", {10, 6}}};
    for (int l = 0; l < 2; ++l) {
        const std::string p = prefix + "h." + std::to_string(l) + ".attn.";
        all.push_back({p + "c_attn.weight", "F32", {6, 18}});
        all.push_back({p + "c_attn.bias", "F16", {18}});
        all.push_back({p + "c_proj.weight", "BF16", {6, 6}});
        all.push_back({p + "c_proj.bias", "F64", {6}});
        all.push_back({p + "bias", "U8", {1, 1, 5, 5}});
    }
    return all;
}

std::int64_t sizeOf(const Tensor& t) {
    std::int64_t n = t.dtype == "F64" ? 8 : t.dtype == "F32" ? 4 : t.dtype == "U8" ? 1 : 2;
    for (const std::int64_t d : t.shape) {
        n *= d;
    }
    return n;
}

Json headerOf(const std::vector<Tensor>& list, std::int64_t& at) {
    Json header;
    header["__metadata__"] = {{"format", "pt"}};
    at = 0;
    for (const Tensor& t : list) {
        header[t.name] = {
            {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {at, at + sizeOf(t)}}};
        at += sizeOf(t);
    }
    return header;
}

void writeRaw(const fs::path& file, std::uint64_t headerLength, const std::string& header,
              std::size_t data) {
    std::ofstream out(file, std::ios::binary);
    for (int i = 0; i < 8; ++i) {
        out.put(static_cast<char>(headerLength >> (8 * i)));
    }
    out << header;
    for (std::size_t i = 0; i < data; ++i) {
        out.put(static_cast<char>(i % 251));
    }
}

void writeTensors(const fs::path& file, const std::vector<Tensor>& list) {
    std::int64_t bytes = 0;
    const std::string header = headerOf(list, bytes).dump();
    writeRaw(file, header.size(), header, static_cast<std::size_t>(bytes));
}

void writeText(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
}

constexpr const char* config = R"({"model_type":"gpt2","n_layer":2,"n_head":2,"n_embd":6})";

std::string complaint(const fs::path& path) {
    try {
        Checkpoint::open(path);
    } catch (const InputError& e) {
        return e.what();
    }
    return "accepted";
}

} // namespace

class TestCheckpoint : public QObject {
    Q_OBJECT
  private slots:
    void init();
    void single();
    void withoutPrefix();
    void sharded();
    void shardMistakes();
    void headers_data();
    void headers();
    void configMistakes();
    void shapesAgainstConfig();
    void missingLayers();
    void folders();

  private:
    fs::path path(const char* name) const { return fs::path(m_dir->path().toStdString()) / name; }
    fs::path folder() const { return m_dir->path().toStdString(); }
    std::unique_ptr<QTemporaryDir> m_dir;
};

void TestCheckpoint::init() {
    m_dir = std::make_unique<QTemporaryDir>();
    writeText(path("config.json"), config);
}

void TestCheckpoint::single() {
    writeTensors(path("model.safetensors"), tensors());
    for (const fs::path& p : {folder(), path("config.json"), path("model.safetensors")}) {
        const Checkpoint c = Checkpoint::open(p);
        QCOMPARE(c.shape().numHeads, 2);
        QCOMPARE(c.shape().name, folder().filename().string());
        QCOMPARE(c.layout().parameters().size(), std::size_t(4));
        QCOMPARE(c.tensors().size(), std::size_t(9)); // buffers of bytes are no weights
        QCOMPARE(c.parameterCount(), 60 + 2 * (108 + 18 + 36 + 6));
        QCOMPARE(c.bytes(), fs::file_size(path("model.safetensors")));
        const TensorEntry& t = c.require("transformer.h.0.attn.c_attn.weight");
        QVERIFY(t.dtype == DType::f32);
        QCOMPARE(t.count(), 108);
        QCOMPARE(int(t.data[0]), 240); // behind the embedding's 240 bytes
        QVERIFY(c.find("h.1.attn.c_proj.weight") != nullptr);
        QVERIFY(c.find("h.2.attn.c_proj.weight") == nullptr);
        QVERIFY_EXCEPTION_THROWN(c.require("lm_head.weight"), InputError);
        QVERIFY_EXCEPTION_THROWN(c.require("transformer.h.0.attn.bias"), InputError);
    }
}

void TestCheckpoint::withoutPrefix() {
    writeTensors(path("model.safetensors"), tensors(""));
    const Checkpoint c = Checkpoint::open(folder());
    QCOMPARE(c.require("transformer.wte.weight").name, std::string("wte.weight"));
    QCOMPARE(c.layout().slice(Block::Q, LayerIndex(1), HeadIndex(1))->parameter,
             std::string("h.1.attn.c_attn.weight"));
}

void TestCheckpoint::sharded() {
    const auto all = tensors();
    const std::vector<Tensor> one(all.begin(), all.begin() + 4), two(all.begin() + 4, all.end());
    writeTensors(path("model-00001-of-00002.safetensors"), one);
    writeTensors(path("model-00002-of-00002.safetensors"), two);
    Json index;
    for (const Tensor& t : one) {
        index["weight_map"][t.name] = "model-00001-of-00002.safetensors";
    }
    for (const Tensor& t : two) {
        index["weight_map"][t.name] = "model-00002-of-00002.safetensors";
    }
    writeText(path("model.safetensors.index.json"), index.dump());
    for (const fs::path& p : {folder(), path("model-00002-of-00002.safetensors"),
                              path("model.safetensors.index.json")}) {
        const Checkpoint c = Checkpoint::open(p);
        QCOMPARE(c.tensors().size(), std::size_t(9));
        QCOMPARE(c.require(all[7].name).file.filename().string(),
                 std::string("model-00002-of-00002.safetensors"));
    }
}

void TestCheckpoint::shardMistakes() {
    const auto all = tensors();
    writeTensors(path("a.safetensors"), all);
    writeTensors(path("b.safetensors"), {all[0]});
    const auto index = [&](const Json& map) {
        writeText(path("model.safetensors.index.json"), Json{{"weight_map", map}}.dump());
        return complaint(folder());
    };
    QVERIFY(complaint(folder()).find("index") != std::string::npos);
    QVERIFY(index({{all[1].name, "c.safetensors"}}).find("c.safetensors: is missing") !=
            std::string::npos);
    QVERIFY(index({{all[1].name, "../a.safetensors"}}).find("file name") != std::string::npos);
    QVERIFY(index({{all[1].name, 3}}).find("file name") != std::string::npos);
    QVERIFY(index({{"other", "a.safetensors"}}).find("not there") != std::string::npos);
    QVERIFY(index({{all[1].name, "a.safetensors"}, {all[0].name, "b.safetensors"}})
                .find("is also in") != std::string::npos);
    QVERIFY(index(Json::object()).find("empty") != std::string::npos);
    writeText(path("model.safetensors.index.json"), "{");
    QVERIFY(complaint(folder()).find("weight_map") != std::string::npos);
}

void TestCheckpoint::headers_data() {
    QTest::addColumn<QByteArray>("header");
    QTest::addColumn<quint64>("length"); // 0: the header's own
    QTest::addColumn<int>("data");
    QTest::addColumn<QString>("complaint");
    const auto row = [](const char* name, const char* header, quint64 length, int data,
                        const char* text) {
        QTest::newRow(name) << QByteArray(header) << length << data << text;
    };
    row("longer than the file", "{}", 1000, 4, "more than the file has");
    row("longer than allowed", "{}", 100000001, 4, "allows");
    row("enormous", "{}", ~quint64(0), 4, "allows");
    row("not JSON", "{\"a\"", 0, 0, "not a JSON object");
    row("array", "[1]", 0, 0, "not a JSON object");
    row("text", "\"x\"", 0, 0, "not a JSON object");
    row("entry", R"({"a": 3})", 0, 0, "a: the header entry");
    row("no shape", R"({"a": {"dtype":"F32","data_offsets":[0,4]}})", 0, 4, "lacks");
    row("dtype", R"({"a": {"dtype":"Q4","shape":[1],"data_offsets":[0,4]}})", 0, 4,
        "a: unknown dtype \"Q4\"");
    row("outside", R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 0, 4, "outside");
    row("backwards", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 0, 4, "outside");
    row("size", R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 0, 4, "needs 8");
    row("negative", R"({"a": {"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 0, 4,
        "dimension");
    row("fraction", R"({"a": {"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 0, 4,
        "dimension");
    row("offset", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":["0",4]}})", 0, 4, "offset");
    row("three", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 0, 4, "two");
    row("overflow", R"({"a": {"dtype":"F32","shape":[4294967296,4294967296],
        "data_offsets":[0,0]}})",
        0, 0, "larger than any memory");
    row("wraps to 4", R"({"a": {"dtype":"F32","shape":[4611686018427387905],
        "data_offsets":[0,4]}})",
        0, 4, "larger than any memory");
    row("overlap", R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
        0, 8, "overlap");
    row("same place", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "b": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
        0, 4, "overlap");
    row("hole", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "b": {"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
        0, 12, "belong to no tensor");
    row("begins late", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 0, 8,
        "belong to no tensor");
    row("rest", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 0, 8, "ends");
    row("twice", R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
        0, 4, "a: is listed twice");
    row("zero and overflow", R"({"a": {"dtype":"F32","shape":[0,4294967296,4294967296,0],
        "data_offsets":[0,0]}})",
        0, 0, "layer 0 has no Q");
}

void TestCheckpoint::headers() {
    QFETCH(QByteArray, header);
    QFETCH(quint64, length);
    QFETCH(int, data);
    QFETCH(QString, complaint);
    writeRaw(path("model.safetensors"), length ? length : quint64(header.size()),
             header.toStdString(), size_t(data));
    const auto text = QString::fromStdString(::complaint(folder()));
    QVERIFY2(text.contains(complaint), qPrintable(text));
    QVERIFY(!text.contains('\n'));
}

void TestCheckpoint::configMistakes() {
    writeTensors(path("model.safetensors"), tensors());
    writeText(path("config.json"), R"({"model_type":"rwkv","n_layer":2,"n_head":2,"n_embd":6})");
    QVERIFY(complaint(folder()).find("unknown architecture \"rwkv\" (known: bert") !=
            std::string::npos);
    fs::remove(path("config.json"));
    QVERIFY(complaint(folder()).find("config.json: is missing") != std::string::npos);
}

void TestCheckpoint::shapesAgainstConfig() {
    auto all = tensors();
    all[1].shape = {18, 6}; // a Linear's orientation
    writeTensors(path("model.safetensors"), all);
    const std::string text = complaint(folder());
    QVERIFY(text.find("transformer.h.0.attn.c_attn.weight") != std::string::npos);
    QVERIFY(text.find("[18, 6]") != std::string::npos && text.find("[6, 18]") != std::string::npos);
    all = tensors();
    all[1].dtype = "U8";
    writeTensors(path("model.safetensors"), all);
    QVERIFY(complaint(folder()).find("dtype U8") != std::string::npos);
}

void TestCheckpoint::missingLayers() {
    auto all = tensors();
    all.erase(all.begin() + 8); // layer 1's c_proj.weight
    writeTensors(path("model.safetensors"), all);
    QVERIFY(complaint(folder()).find("layer 1 has no O") != std::string::npos);
    writeTensors(path("model.safetensors"), tensors());
    writeText(path("config.json"), R"({"model_type":"gpt2","n_layer":1,"n_head":2,"n_embd":6})");
    QVERIFY(complaint(folder()).find("config.json says 1 layers") != std::string::npos);
}

void TestCheckpoint::folders() {
    QVERIFY(complaint(path("none")).find("does not exist") != std::string::npos);
    QVERIFY(complaint(folder()).find("holds no safetensors") != std::string::npos);
    writeText(path("pytorch_model.bin"), "x");
    QVERIFY(complaint(folder()).find("pickled") != std::string::npos);
    writeText(path("model.safetensors"), "1234567");
    QVERIFY(complaint(folder()).find("too short") != std::string::npos);
    writeText(path("model.safetensors"), "");
    QVERIFY(complaint(folder()).find("too short") != std::string::npos);
}

QTEST_GUILESS_MAIN(TestCheckpoint)
#include "tst_checkpoint.moc"
