// SPDX-License-Identifier: GPL-3.0-or-later
// Gradient stores of other tools, small, written as their documentation says.
#pragma once

#include <QByteArray>
#include <QDir>
#include <QFile>
#include <QString>
#include <QtTest>

#include <vector>

namespace fixture {

inline void put(const QString& file, const QByteArray& bytes) {
    QFile f(file);
    QVERIFY(f.open(QFile::WriteOnly));
    f.write(bytes);
}

inline QByteArray floats(const std::vector<float>& v) {
    return QByteArray(reinterpret_cast<const char*>(v.data()),
                      static_cast<qsizetype>(v.size() * sizeof(float)));
}

/// A number that tells sample, module, output and input.
inline float code(int sample, int module, int out, int in) {
    return static_cast<float>(sample * 10000 + module * 1000 + out * 20 + in);
}

inline const char* const gpt2Config = R"({"model_type":"gpt2","n_layer":1,"n_head":2,"n_embd":4})";
inline const char* const llamaConfig =
    R"({"model_type":"llama","num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"hidden_size":6,"head_dim":2})";

/// bergson: c_attn [12, 4] and c_proj [4, 4] of a Conv1D model, an MLP before them.
inline void bergson(const QString& folder, int samples, bool bias, bool tokens = false) {
    QDir().mkpath(folder);
    const int extra = bias ? 1 : 0;
    std::vector<float> rows;
    const int perSample = tokens ? 2 : 1;
    for (int s = 0; s < samples; ++s) {
        for (int r = 0; r < perSample; ++r) {
            rows.insert(rows.end(), 7, -1.0F);
            for (int module = 0; module < 2; ++module) {
                for (int o = 0; o < (module == 0 ? 12 : 4); ++o) {
                    for (int i = 0; i < 4 + extra; ++i) {
                        rows.push_back(code(s, module, o, i) / static_cast<float>(perSample));
                    }
                }
            }
        }
    }
    put(folder + "/gradients.bin", floats(rows));
    const int w = 4 + extra;
    put(folder + "/info.json",
        QStringLiteral(
            R"({"num_items":%1,"num_grads":%2,"base_dtype":"float32","attribute_tokens":%3,
            "grad_sizes":{"h.0.mlp.c_fc":7,"h.0.attn.c_attn":%4,"h.0.attn.c_proj":%5}})")
            .arg(samples)
            .arg(samples * perSample)
            .arg(tokens ? "true" : "false")
            .arg(12 * w)
            .arg(4 * w)
            .toUtf8());
    if (tokens) {
        QByteArray header = "{'descr': '<i8', 'fortran_order': False, 'shape': (" +
                            QByteArray::number(samples + 1) + ",), }";
        header = header.leftJustified(117, ' ') + "\n";
        QByteArray npy("\x93NUMPY\x01\x00", 8);
        const auto length = static_cast<quint16>(header.size());
        npy.append(reinterpret_cast<const char*>(&length), 2);
        npy += header;
        for (qint64 s = 0; s <= samples; ++s) {
            const qint64 offset = s * 2;
            npy.append(reinterpret_cast<const char*>(&offset), 8);
        }
        put(folder + "/offsets.npy", npy);
    }
}

} // namespace fixture
