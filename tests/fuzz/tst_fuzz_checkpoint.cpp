// SPDX-License-Identifier: GPL-3.0-or-later
// Damaged model folders are refused or opened; they never crash the program.
#include "Mutations.h"

#include "base/Error.h"
#include "model/Checkpoint.h"

#include <QTemporaryDir>
#include <QtTest>
#include <nlohmann/json.hpp>

using namespace qkov;

class FuzzCheckpoint : public QObject {
    Q_OBJECT
  private slots:
    void initTestCase();
    void truncated();
    void flipped();
    void config();

  private:
    /// Opens and touches every byte. Anything but success and InputError fails the test.
    bool survives() {
        try {
            const auto c = model::Checkpoint::open(m_dir.path().toStdString());
            for (const auto& [name, tensor] : c.tensors()) {
                for (std::size_t i = 0; i < tensor.bytes; ++i) {
                    m_sum += unsigned(tensor.data[i]);
                }
            }
            ++m_opened;
        } catch (const InputError& e) {
            if (std::string(e.what()).find('\n') != std::string::npos) {
                return false;
            }
            ++m_refused;
        }
        return true;
    }
    QString file(const char* name) const { return m_dir.filePath(QString::fromLatin1(name)); }

    QTemporaryDir m_dir;
    QByteArray m_weights;
    QByteArray m_config = R"({"model_type":"gpt2","n_layer":2,"n_head":2,"n_embd":6,
        "num_key_value_heads":2,"head_dim":3,"text_config":{"a":[1,2,{"b":null}]}})";
    unsigned m_sum = 0;
    int m_opened = 0, m_refused = 0;
};

void FuzzCheckpoint::initTestCase() {
    nlohmann::ordered_json header;
    qint64 at = 0;
    const auto add = [&](const std::string& name, std::vector<int> shape) {
        qint64 n = 4;
        for (const int d : shape) {
            n *= d;
        }
        header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {at, at + n}}};
        at += n;
    };
    add("wte.weight", {5, 6});
    for (const std::string layer : {"0", "1"}) {
        add("h." + layer + ".attn.c_attn.weight", {6, 18});
        add("h." + layer + ".attn.c_attn.bias", {18});
        add("h." + layer + ".attn.c_proj.weight", {6, 6});
    }
    const std::string text = header.dump();
    for (int i = 0; i < 8; ++i) {
        m_weights.append(char(text.size() >> (8 * i)));
    }
    m_weights.append(text.c_str(), qsizetype(text.size()));
    m_weights.append(qsizetype(at), 'x');
    QVERIFY(fuzz::writeAll(file("model.safetensors"), m_weights));
    QVERIFY(fuzz::writeAll(file("config.json"), m_config));
    QVERIFY(survives());
    QCOMPARE(m_opened, 1);
}

void FuzzCheckpoint::truncated() {
    m_refused = 0;
    int cuts = 0;
    for (qsizetype n = 0; n < m_weights.size(); n += n < 900 ? 7 : 97, ++cuts) {
        QVERIFY(fuzz::writeAll(file("model.safetensors"), m_weights.left(n)));
        QVERIFY(survives());
    }
    QCOMPARE(m_refused, cuts); // a part of a file is never accepted
}

void FuzzCheckpoint::flipped() {
    std::mt19937 engine(1);
    for (int round = 0; round < 1500; ++round) {
        QVERIFY(fuzz::writeAll(file("model.safetensors"), fuzz::damaged(m_weights, 900, engine)));
        QVERIFY(survives());
    }
    QVERIFY(m_opened > 10 && m_refused > 100);
}

void FuzzCheckpoint::config() {
    std::mt19937 engine(2);
    QVERIFY(fuzz::writeAll(file("model.safetensors"), m_weights));
    m_opened = m_refused = 0;
    for (int round = 0; round < 1500; ++round) {
        QVERIFY(
            fuzz::writeAll(file("config.json"), fuzz::damaged(m_config, m_config.size(), engine)));
        QVERIFY(survives());
    }
    QVERIFY(m_opened > 10 && m_refused > 100);
}

QTEST_GUILESS_MAIN(FuzzCheckpoint)
#include "tst_fuzz_checkpoint.moc"
