// SPDX-License-Identifier: GPL-3.0-or-later
// A model folder of an architecture that nobody has heard of: config.json and safetensors of zeros.
#pragma once

#include <QDir>
#include <QFile>
#include <QString>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace qkov::test {

using NamedShapes = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

inline bool writeFile(const QString& path, const QByteArray& text) {
    QFile file(path);
    return file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
}

/// Float32 zeros.
inline bool writeModel(const QString& folder, const nlohmann::json& config,
                       const NamedShapes& shapes) {
    nlohmann::ordered_json header;
    std::int64_t at = 0;
    for (const auto& [name, shape] : shapes) {
        std::int64_t bytes = 4;
        for (const std::int64_t n : shape) {
            bytes *= n;
        }
        header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {at, at + bytes}}};
        at += bytes;
    }
    const std::string text = header.dump();
    QByteArray file;
    for (int i = 0; i < 8; ++i) {
        file += static_cast<char>(text.size() >> (8 * i));
    }
    file += QByteArray::fromStdString(text) + QByteArray(static_cast<qsizetype>(at), '\0');
    return QDir().mkpath(folder) &&
           writeFile(folder + QStringLiteral("/config.json"),
                     QByteArray::fromStdString(config.dump())) &&
           writeFile(folder + QStringLiteral("/model.safetensors"), file);
}

/// The parameters of tests/data/collect/torchscript/model.pt.
inline bool writeUnknownModel(const QString& folder) {
    NamedShapes shapes{{"embed.weight", {20, 8}}};
    for (const char* layer : {"0", "1"}) {
        const std::string block = std::string("blocks.") + layer;
        shapes.push_back({block + ".mix.weight", {24, 8}});
        shapes.push_back({block + ".mix.bias", {24}});
        shapes.push_back({block + ".out.weight", {8, 8}});
        shapes.push_back({block + ".out.bias", {8}});
    }
    return writeModel(folder,
                      {{"model_type", "mine"},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 2},
                       {"hidden_size", 8},
                       {"vocab_size", 20}},
                      shapes);
}

/// Twelve layers with grouped queries under names that nothing knows.
inline bool writeLargerUnknownModel(const QString& folder) {
    NamedShapes shapes{{"backbone.tok_table.weight", {512, 192}}};
    for (int l = 0; l < 12; ++l) {
        const std::string b = "backbone.stages." + std::to_string(l);
        shapes.push_back({b + ".mixer.attention.wq.weight", {192, 192}});
        shapes.push_back({b + ".mixer.attention.wq.bias", {192}});
        shapes.push_back({b + ".mixer.attention.wk.weight", {64, 192}});
        shapes.push_back({b + ".mixer.attention.wk.bias", {64}});
        shapes.push_back({b + ".mixer.attention.wv.weight", {64, 192}});
        shapes.push_back({b + ".mixer.attention.wv.bias", {64}});
        shapes.push_back({b + ".mixer.attention.wo.weight", {192, 192}});
        shapes.push_back({b + ".mixer.norm.weight", {192}});
        shapes.push_back({b + ".channel.mlp.up.weight", {384, 192}});
        shapes.push_back({b + ".channel.mlp.down.weight", {192, 384}});
    }
    return writeModel(folder,
                      {{"model_type", "stagewise"},
                       {"num_hidden_layers", 12},
                       {"num_attention_heads", 6},
                       {"num_key_value_heads", 2},
                       {"hidden_size", 192},
                       {"vocab_size", 512}},
                      shapes);
}

} // namespace qkov::test
