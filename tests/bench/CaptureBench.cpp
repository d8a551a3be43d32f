// SPDX-License-Identifier: GPL-3.0-or-later
#include "CaptureBench.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

namespace qkov::bench {

using namespace collect;

std::filesystem::path makeModel(std::int64_t layers) {
    const std::int64_t D = 768, V = 50257;
    const auto folder = std::filesystem::temp_directory_path() / "qkov-bench-capture";
    std::filesystem::create_directories(folder);
    const nlohmann::json config{{"model_type", "gpt2"},
                                {"vocab_size", V},
                                {"n_embd", D},
                                {"n_layer", layers},
                                {"n_head", 12},
                                {"n_positions", 1024},
                                {"activation_function", "gelu_new"}};
    std::ofstream(folder / "config.json") << config;
    nlohmann::json header = nlohmann::json::object();
    std::int64_t offset = 0;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
        std::int64_t n = 2;
        for (const auto d : shape) {
            n *= d;
        }
        header[name] = {{"dtype", "F16"}, {"shape", shape}, {"data_offsets", {offset, offset + n}}};
        offset += n;
    };
    add("wte.weight", {V, D});
    add("wpe.weight", {1024, D});
    for (const char* part : {"ln_f.weight", "ln_f.bias"}) {
        add(part, {D});
    }
    for (std::int64_t l = 0; l < layers; ++l) {
        const std::string h = "h." + std::to_string(l) + ".";
        for (const char* part : {"ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias",
                                 "attn.c_proj.bias", "mlp.c_proj.bias"}) {
            add(h + part, {D});
        }
        add(h + "attn.c_attn.weight", {D, 3 * D});
        add(h + "attn.c_attn.bias", {3 * D});
        add(h + "attn.c_proj.weight", {D, D});
        add(h + "mlp.c_fc.weight", {D, 4 * D});
        add(h + "mlp.c_fc.bias", {4 * D});
        add(h + "mlp.c_proj.weight", {4 * D, D});
    }
    const std::string text = header.dump();
    const std::uint64_t length = text.size();
    std::ofstream out(folder / "model.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << text;
    std::mt19937 random(1);
    std::vector<std::uint16_t> block(1 << 20);
    for (auto& v : block) { // ± 2^-8 … 2^-5
        const auto bits = random();
        v = static_cast<std::uint16_t>((bits & 0x8000) | ((7 + (bits >> 16) % 4) << 10) |
                                       (bits & 0x3ff));
    }
    for (std::int64_t left = offset; left > 0;) {
        const auto n = std::min<std::int64_t>(left, std::int64_t(block.size()) * 2);
        out.write(reinterpret_cast<const char*>(block.data()), n);
        left -= n;
    }
    return folder;
}

Decoder openDecoder(const std::filesystem::path& folder, const model::Checkpoint& checkpoint,
                    at::ScalarType compute, at::Device device, bool plain) {
    std::vector<std::string> names;
    for (const auto& [name, entry] : checkpoint.tensors()) {
        names.push_back(name);
    }
    DecoderLoading loading;
    loading.plainWeights = plain;
    return Decoder(decoderSpec(checkpoint.shape(), folder / "config.json", names), checkpoint,
                   compute, device, loading);
}

} // namespace qkov::bench
