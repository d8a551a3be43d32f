// SPDX-License-Identifier: GPL-3.0-or-later
// Token ids against those of the `tokenizers` and `sentencepiece` packages (tests/data/text).
#include "base/Error.h"
#include "text/Tokenizer.h"

#include <nlohmann/json.hpp>

#include <QTemporaryDir>
#include <QTest>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

using qkov::InputError;
using qkov::text::Tokenizer;
namespace fs = std::filesystem;

namespace {
const fs::path dataDirectory = fs::path(QKOV_TEST_DATA) / "text";

constexpr std::int32_t notCompared = 0xFFFF; ///< make_tokenizers.py says when

std::vector<std::string> strings() {
    std::ifstream in(dataDirectory / "strings.json");
    return nlohmann::json::parse(in).get<std::vector<std::string>>();
}

std::vector<std::vector<std::int32_t>> expected(const std::string& family) {
    std::ifstream in(dataDirectory / family / "expected.u16", std::ios::binary);
    const auto next = [&] {
        unsigned char b[2] = {};
        in.read(reinterpret_cast<char*>(b), 2);
        return std::int32_t(b[0] | (b[1] << 8));
    };
    std::vector<std::vector<std::int32_t>> out;
    while (in.peek() != std::ifstream::traits_type::eof()) {
        const std::int32_t count = next();
        if (count == notCompared) {
            out.push_back({notCompared});
            continue;
        }
        std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
        for (auto& id : ids)
            id = next();
        out.push_back(std::move(ids));
    }
    return out;
}

QByteArray written(const std::vector<std::int32_t>& ids) {
    QByteArray out;
    for (const auto id : ids)
        out += QByteArray::number(id) + ' ';
    return out;
}

void write(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
}

/// The message of the InputError that opening throws.
std::string refusal(const fs::path& directory) {
    try {
        Tokenizer::fromModelDirectory(directory);
    } catch (const InputError& error) {
        return error.what();
    }
    return {};
}
} // namespace

class TestTokenizer : public QObject {
    Q_OBJECT

  private slots:
    void families_data();
    void families();
    void sameFromManyThreads();
    void longTextsAreFast();
    void demoTokensAreBytes();
    void invalidUtf8_data();
    void invalidUtf8();
    void specialTokensOfTheConfig();
    void refusals();
    void damagedFilesAreRefusedOrRead();
};

void TestTokenizer::families_data() {
    QTest::addColumn<QString>("kind");
    for (const char* name : {"gpt2", "gpt2-files", "neox", "llama3", "qwen2", "falcon", "starcoder",
                             "deepseek", "o200k", "cl100k", "bloom", "flags"})
        QTest::newRow(name) << "byte-level BPE";
    for (const char* name : {"llama2", "metaspace"})
        QTest::newRow(name) << "BPE";
    for (const char* name : {"sp-llama", "sp-gemma", "sp-unigram"})
        QTest::newRow(name) << "SentencePiece";
}

void TestTokenizer::families() {
    QFETCH(QString, kind);
    const std::string family = QTest::currentDataTag();
    const auto texts = strings();
    const auto want = expected(family);
    QVERIFY(texts.size() >= 2000);
    QCOMPARE(want.size(), texts.size());
    const Tokenizer tokenizer = Tokenizer::fromModelDirectory(dataDirectory / family);
    QCOMPARE(QString::fromStdString(tokenizer.kind()), kind);
    int wrong = 0, compared = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (want[i] == std::vector<std::int32_t>{notCompared})
            continue;
        ++compared;
        const auto got = tokenizer.encode(texts[i]);
        if (got == want[i])
            continue;
        if (++wrong <= 5)
            qWarning().noquote() << "string" << i
                                 << QByteArray::fromStdString(
                                        nlohmann::json(texts[i]).dump(-1, ' ', true))
                                 << "\n  got     " << written(got) << "\n  expected"
                                 << written(want[i]);
    }
    QCOMPARE(wrong, 0);
    QVERIFY(compared >= (family == "sp-unigram" ? 1500 : 2000));
}

void TestTokenizer::sameFromManyThreads() {
    const auto texts = strings();
    const auto want = expected("qwen2");
    const Tokenizer tokenizer = Tokenizer::fromModelDirectory(dataDirectory / "qwen2");
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < texts.size(); ++i) {
                const std::size_t k = (i * (t + 1) + t) % texts.size();
                wrong += tokenizer.encode(texts[k]) != want[k];
            }
        });
    for (auto& thread : threads)
        thread.join();
    QCOMPARE(wrong.load(), 0);
}

void TestTokenizer::longTextsAreFast() {
    // One word of 200,000 characters, and as many spaces: a quadratic merge would take minutes.
    const Tokenizer tokenizer = Tokenizer::fromModelDirectory(dataDirectory / "gpt2");
    std::string word;
    for (int i = 0; i < 200000; ++i)
        word += char('a' + (i * 7 + i / 3) % 26);
    QElapsedTimer timer;
    timer.start();
    QVERIFY(!tokenizer.encode(word).empty());
    QVERIFY(!tokenizer.encode(std::string(200000, ' ')).empty());
    QVERIFY2(timer.elapsed() < 5000, QByteArray::number(timer.elapsed()));
}

void TestTokenizer::demoTokensAreBytes() {
    const Tokenizer tokenizer = Tokenizer::fromModelDirectory(fs::path(QKOV_RESOURCES) / "demo");
    QCOMPARE(tokenizer.vocabularySize(), 256);
    for (const std::string& text : strings()) {
        const auto ids = tokenizer.encode(text);
        QCOMPARE(ids.size(), text.size());
        for (std::size_t i = 0; i < ids.size(); ++i)
            QCOMPARE(ids[i], std::int32_t(static_cast<unsigned char>(text[i])));
    }
}

void TestTokenizer::invalidUtf8_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("byte");
    QTest::newRow("stray continuation") << QByteArray("ab\x80") << 2;
    QTest::newRow("overlong slash") << QByteArray("\xC0\xAF") << 0;
    QTest::newRow("overlong three") << QByteArray("x\xE0\x80\xAF") << 1;
    QTest::newRow("surrogate") << QByteArray("\xED\xA0\x80") << 0;
    QTest::newRow("past the last character") << QByteArray("\xF4\x90\x80\x80") << 0;
    QTest::newRow("cut short") << QByteArray("né\xE2\x82") << 3;
    QTest::newRow("latin-1") << QByteArray("caf\xE9 au lait") << 3;
    QTest::newRow("five bytes") << QByteArray("\xF8\x88\x80\x80\x80") << 0;
}

void TestTokenizer::invalidUtf8() {
    QFETCH(QByteArray, text);
    QFETCH(int, byte);
    for (const char* family : {"gpt2", "sp-llama"}) {
        const Tokenizer tokenizer = Tokenizer::fromModelDirectory(dataDirectory / family);
        try {
            tokenizer.encode(text.toStdString());
            QFAIL("invalid UTF-8 was accepted");
        } catch (const InputError& error) {
            const QString message = error.what();
            QVERIFY2(message.contains(QString("byte %1").arg(byte)), error.what());
        }
    }
}

void TestTokenizer::specialTokensOfTheConfig() {
    QTemporaryDir folder;
    const fs::path directory = folder.path().toStdString();
    const auto ids = [&](const char* text) {
        return Tokenizer::fromModelDirectory(directory).encode(text);
    };
    fs::copy_file(dataDirectory / "llama2" / "tokenizer.json", directory / "tokenizer.json");
    const std::vector<std::int32_t> plain = ids("one two");
    QCOMPARE(plain.front(), 1);
    const std::vector<std::int32_t> without(plain.begin() + 1, plain.end());

    const std::string names =
        R"("tokenizer_class":"LlamaTokenizer","bos_token":"<s>","eos_token":{"content":"</s>"})";
    write(directory / "tokenizer_config.json", "{" + names + R"(,"add_bos_token":false})");
    QCOMPARE(ids("one two"), without);
    write(directory / "tokenizer_config.json", "{" + names + R"(,"add_eos_token":true})");
    std::vector<std::int32_t> both = plain;
    both.push_back(2);
    QCOMPARE(ids("one two"), both);
    write(
        directory / "tokenizer_config.json",
        "{" + names +
            R"(,"added_tokens_decoder":{"1200":{"content":"<turn>","special":true,"normalized":false}}})");
    QCOMPARE(ids("<turn>"), (std::vector<std::int32_t>{1, 1200}));
    QCOMPARE(Tokenizer::fromModelDirectory(directory).vocabularySize(), 1201);
    write(directory / "tokenizer_config.json",
          R"({"tokenizer_class":"LlamaTokenizer","bos_token":"<none>","add_bos_token":true})");
    QVERIFY(QString::fromStdString(refusal(directory)).contains("bos_token"));

    for (const char* config : {R"({"tokenizer_class":"LlamaTokenizer"})",
                               R"({"tokenizer_class":"GemmaTokenizer","bos_token":null})"}) {
        write(directory / "tokenizer_config.json", config); // the class's own names, or the file
        QCOMPARE(ids("one two"), plain);
    }

    // OPT: vocab.json and merges.txt, BOS first.
    fs::remove(directory / "tokenizer.json");
    for (const char* name : {"vocab.json", "merges.txt"})
        fs::copy_file(dataDirectory / "gpt2-files" / name, directory / name);
    write(directory / "tokenizer_config.json",
          R"({"add_bos_token":true,"bos_token":"<|endoftext|>"})");
    const auto opt = ids("one");
    write(directory / "tokenizer_config.json", "{}");
    const auto gpt2 = ids("one");
    QCOMPARE(std::vector<std::int32_t>(opt.begin() + 1, opt.end()), gpt2);
    QCOMPARE(opt.front(), 0);
}

void TestTokenizer::refusals() {
    QTemporaryDir folder;
    const fs::path directory = folder.path().toStdString();
    const fs::path json = directory / "tokenizer.json";
    const auto contains = [&](const char* part) {
        const std::string message = refusal(directory);
        if (message.find(part) == std::string::npos)
            qWarning() << "message:" << message.c_str();
        return message.find(part) != std::string::npos && message.find('\n') == std::string::npos;
    };
    QVERIFY(!Tokenizer::hasFiles(directory));
    QVERIFY(contains("input_ids"));
    write(json, "{\"model\":");
    QVERIFY(Tokenizer::hasFiles(directory));
    QVERIFY(contains("not valid JSON"));
    write(json, "[1]");
    QVERIFY(contains("lacks 'model'"));
    write(json, R"({"model":{"type":"WordPiece","vocab":{}}})");
    QVERIFY(contains("WordPiece"));
    QVERIFY(contains("input_ids"));
    write(json, R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})");
    QVERIFY(contains("model.vocab['a']"));
    write(json, R"({"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})");
    QVERIFY(contains("not a token id"));
    write(json, R"({"model":{"type":"BPE","vocab":{"a":1},"merges":["a b"]}})");
    QVERIFY(contains("model.merges[0]"));
    write(json, R"({"model":{"type":"BPE","vocab":{"a":1},"merges":["a"]}})");
    QVERIFY(contains("model.merges[0]"));
    write(json,
          R"({"model":{"type":"BPE","vocab":{},"merges":[]},"normalizer":{"type":"Precompiled"}})");
    QVERIFY(contains("Precompiled"));
    write(json, R"({"model":{"type":"BPE","vocab":{},"merges":[]},"pre_tokenizer":{"type":"Split",
                    "pattern":{"Regex":"(a"},"behavior":"Isolated"}})");
    QVERIFY(contains("pre_tokenizer.pattern"));
    write(json, R"({"model":{"type":"BPE","vocab":{},"merges":[]},"added_tokens":[{"id":1}]})");
    QVERIFY(contains("added_tokens[0]"));
    write(directory / "tokenizer.model", "no model");
    write(json, R"({"model":{"type":"Unigram","vocab":[]}})");
    QVERIFY(contains("tokenizer.model"));
}

void TestTokenizer::damagedFilesAreRefusedOrRead() {
    // Bytes of real files replaced, removed and doubled: an InputError or a tokenizer, never a
    // crash.
    QTemporaryDir folder;
    const fs::path directory = folder.path().toStdString();
    std::mt19937 random(3);
    const auto texts = strings();
    int refused = 0, read = 0;
    for (const char* name :
         {"qwen2/tokenizer.json", "flags/tokenizer.json", "llama2/tokenizer.json",
          "sp-llama/tokenizer.model", "gpt2-files/vocab.json"}) {
        std::ifstream in(dataDirectory / name, std::ios::binary);
        const std::string whole((std::istreambuf_iterator<char>(in)), {});
        const fs::path file = directory / fs::path(name).filename();
        if (file.filename() == "vocab.json")
            write(directory / "merges.txt", "#version: 0.2\na b\nb c\n");
        for (int round = 0; round < 60; ++round) {
            std::string damaged = whole;
            if (round % 2) { // one letter or digit: mostly still JSON
                std::size_t at = random() % damaged.size();
                while (!std::isalnum(static_cast<unsigned char>(damaged[at])))
                    at = (at + 1) % damaged.size();
                damaged[at] = "abcXYZ0189"[random() % 10];
            }
            for (int k = 0; round % 2 == 0 && k < 1 + round % 4; ++k) {
                // Mostly in the first kilobyte, where the structure is.
                const std::size_t at =
                    random() %
                    (round % 3 ? std::min<std::size_t>(damaged.size(), 1500) : damaged.size());
                switch (random() % 4) {
                case 0:
                    damaged[at] = static_cast<char>(random());
                    break;
                case 1:
                    damaged.erase(at, 1 + random() % 20);
                    break;
                case 2:
                    damaged.insert(at, damaged.substr(at, 1 + random() % 40));
                    break;
                default:
                    damaged[at] = "0129-\"[]{}:,\\tn"[random() % 16];
                    break;
                }
            }
            write(file, damaged);
            try {
                const Tokenizer tokenizer = Tokenizer::fromModelDirectory(directory);
                for (std::size_t i = 0; i < 40; ++i)
                    tokenizer.encode(texts[i]);
                ++read;
            } catch (const InputError&) {
                ++refused;
            }
        }
        fs::remove(file);
    }
    QVERIFY2(refused > 50 && read > 10,
             QByteArray::number(refused) + ' ' + QByteArray::number(read));
}

QTEST_GUILESS_MAIN(TestTokenizer)
#include "tst_tokenizer.moc"
