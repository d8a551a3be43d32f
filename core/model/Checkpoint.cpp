// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/Checkpoint.h"

#include "base/Error.h"
#include "base/RawFile.h"
#include "model/ModelConfig.h"
#include "model/SafeTensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace qkov::model {
namespace fs = std::filesystem;
namespace {

constexpr const char* indexName = "model.safetensors.index.json";
/// What checkpoints put before, or leave off, the names of the language model's own tensors.
constexpr const char* optionalPrefixes[] = {"transformer.", "model.", "bert.", "gpt_neox.",
                                            "language_model."};

std::string stripped(std::string name) {
    for (bool again = true; again;) {
        again = false;
        for (const char* prefix : optionalPrefixes) {
            if (name.starts_with(prefix)) {
                name.erase(0, std::string_view(prefix).size());
                again = true;
            }
        }
    }
    return name;
}

/// File name of each tensor's shard.
std::map<std::string, std::string> readIndex(const fs::path& file) {
    const auto document = nlohmann::json::parse(readText(file, largestText), nullptr, false);
    if (document.is_discarded() || !document.is_object() || !document.contains("weight_map") ||
        !document["weight_map"].is_object()) {
        throw InputError("has no weight_map", file);
    }
    std::map<std::string, std::string> map;
    for (const auto& [name, shard] : document["weight_map"].items()) {
        const std::string value = shard.is_string() ? shard.get<std::string>() : std::string();
        // A shard lies beside its index; anything else may reach outside the folder.
        if (value.empty() || value.find('/') != std::string::npos || value == ".." ||
            value.find('\0') != std::string::npos) {
            throw InputError("the shard is not a file name in this folder", file, name);
        }
        map.emplace(name, value);
    }
    if (map.empty()) {
        throw InputError("weight_map is empty", file);
    }
    return map;
}

/// The safetensors files of a folder without an index.
fs::path onlyFile(const fs::path& directory) {
    std::error_code error;
    if (fs::is_regular_file(directory / "model.safetensors", error)) {
        return directory / "model.safetensors";
    }
    std::vector<fs::path> files;
    bool pickled = false;
    const fs::directory_iterator entries(directory, error);
    if (error) {
        throw InputError("can't be listed: " + error.message(), directory);
    }
    for (const auto& entry : entries) {
        const auto extension = entry.path().extension();
        if (extension == ".safetensors") {
            files.push_back(entry.path());
        }
        pickled = pickled || extension == ".bin" || extension == ".pt" || extension == ".pth";
    }
    if (files.size() == 1) {
        return files.front();
    }
    if (files.size() > 1) {
        throw InputError("is missing", directory / indexName, {},
                         "several safetensors files need their index");
    }
    throw InputError("holds no safetensors file", directory, {},
                     pickled ? "pickled weights are never read; convert them with the Python "
                               "exporter"
                             : "choose a model's folder");
}

} // namespace

struct Checkpoint::Data {
    fs::path directory;
    ModelShape shape;
    std::unique_ptr<const HeadLayout> layout;
    std::vector<std::unique_ptr<const SafeTensors>> files;
    std::map<std::string, TensorEntry> tensors;
    std::unordered_map<std::string, std::string> byStripped; ///< ambiguous: empty
    std::map<std::string, std::string> unusable;             ///< name → type
    std::uint64_t bytes = 0;

    void load(const fs::path& file, std::map<std::string, fs::path>& owner) {
        files.push_back(std::make_unique<const SafeTensors>(file));
        bytes += files.back()->bytes();
        for (const SafeTensors::Tensor& t : files.back()->tensors()) {
            const auto [it, fresh] = owner.emplace(t.name, file);
            if (!fresh) {
                throw InputError("is also in " + it->second.filename().string(), file, t.name);
            }
            if (!t.dtype) {
                unusable.emplace(t.name, t.typeName);
                continue;
            }
            tensors.emplace(t.name, TensorEntry{t.name, *t.dtype, t.shape, file, t.data, t.bytes});
        }
    }
    /// config.json and all safetensors files of the folder. Returns the names of all tensors.
    std::vector<std::string> read(const fs::path& path);
    void checkTensors(const fs::path& config) const;
};

std::int64_t TensorEntry::count() const {
    return static_cast<std::int64_t>(bytes / dtypeSize(dtype));
}

void Checkpoint::Data::checkTensors(const fs::path& config) const {
    for (const auto& [name, type] : unusable) {
        if (layout->find(name)) {
            throw InputError("has dtype " + type + "; F16, BF16, F32 and F64 can be read",
                             directory, name);
        }
    }
    for (const ParameterInfo& info : layout->parameters()) {
        for (const std::string& name : {info.name, info.bias}) {
            const auto it = tensors.find(name);
            if (it != tensors.end()) {
                layout->checkShape(name, it->second.shape, it->second.file.string());
            }
        }
    }
    const bool spareLayers = configInteger(shape, "num_nextn_predict_layers") > 0;
    if (!layout->beyondLayers().empty() && !spareLayers) {
        throw InputError("its layer is not in the model: config.json says " +
                             std::to_string(shape.numLayers) + " layers",
                         directory, layout->beyondLayers().front());
    }
    for (std::int64_t l = 0; l < shape.numLayers; ++l) {
        for (const Block block : allBlocks) {
            if (!layout->find(block, LayerIndex(l))) {
                throw InputError("layer " + std::to_string(l) + " has no " +
                                     std::string(1, blockName(block)) +
                                     " projection under the name that " + shape.architecture +
                                     " models use, but config.json says " +
                                     std::to_string(shape.numLayers) + " layers",
                                 directory, {}, "check " + config.filename().string());
            }
        }
    }
}

std::vector<std::string> Checkpoint::Data::read(const fs::path& path) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
        throw InputError("does not exist", path);
    }
    fs::path chosen;
    if (fs::is_directory(path, ignored)) {
        directory = path;
    } else {
        directory = path.parent_path().empty() ? fs::path(".") : path.parent_path();
        if (path.extension() == ".safetensors") {
            chosen = path;
        } else if (path.filename() != "config.json" && path.filename() != indexName) {
            throw InputError("is not a model's folder, config.json or .safetensors file", path);
        }
    }
    const fs::path config = directory / "config.json";
    shape = shapeFromConfig(readText(config, largestText), config);
    const fs::path named = fs::absolute(directory).lexically_normal();
    shape.name = (named.has_filename() ? named : named.parent_path()).filename().string();

    std::map<std::string, fs::path> owner;
    const fs::path index = directory / indexName;
    std::map<std::string, std::string> map;
    if (fs::is_regular_file(index, ignored) &&
        !fs::is_regular_file(directory / "model.safetensors", ignored)) {
        map = readIndex(index);
        const auto listed = [&](const auto& entry) { return entry.second == chosen.filename(); };
        if (!chosen.empty() && std::none_of(map.begin(), map.end(), listed)) {
            map.clear();
        }
    }
    if (map.empty()) {
        load(chosen.empty() ? onlyFile(directory) : chosen, owner);
    } else {
        std::vector<std::string> shards;
        for (const auto& entry : map) {
            shards.push_back(entry.second);
        }
        std::sort(shards.begin(), shards.end());
        shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
        for (const std::string& shard : shards) {
            if (!fs::is_regular_file(directory / shard, ignored)) {
                throw InputError("is missing", directory / shard, {},
                                 std::string("it is listed in ") + indexName);
            }
            load(directory / shard, owner);
        }
        for (const auto& [name, shard] : map) {
            const auto it = owner.find(name);
            if (it == owner.end()) {
                throw InputError("is listed in " + std::string(indexName) + " but not there",
                                 directory / shard, name);
            }
        }
    }

    std::vector<std::string> names;
    for (const auto& entry : owner) {
        names.push_back(entry.first);
        const auto [it, fresh] = byStripped.emplace(stripped(entry.first), entry.first);
        if (!fresh) {
            it->second.clear();
        }
    }
    return names;
}

std::map<std::string, std::vector<std::int64_t>> Checkpoint::list(const fs::path& path,
                                                                  ModelShape* shape) {
    Data data;
    data.read(path);
    if (shape) {
        *shape = data.shape;
    }
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const auto& [name, entry] : data.tensors) {
        shapes.emplace(name, entry.shape);
    }
    return shapes;
}

Checkpoint Checkpoint::open(const fs::path& path, const std::string& layoutJson) {
    auto data = std::make_shared<Data>();
    const std::vector<std::string> names = data->read(path);
    data->shape.layoutJson = layoutJson;
    const fs::path config = data->directory / "config.json";
    try {
        data->layout = std::make_unique<const HeadLayout>(data->shape, names);
    } catch (const InputError& e) {
        throw InputError(e.problem(), e.file().empty() ? config : e.file(), e.innerPath(),
                         e.advice());
    }
    data->checkTensors(config);
    Checkpoint checkpoint;
    checkpoint.m_data = std::move(data);
    return checkpoint;
}

Checkpoint Checkpoint::describe(const fs::path& file,
                                const std::map<std::string, std::vector<std::int64_t>>& shapes,
                                const std::string& layoutJson) {
    auto data = std::make_shared<Data>();
    data->directory = fs::absolute(file).parent_path();
    const fs::path config = data->directory / "config.json";
    data->shape = shapeFromConfig(readText(config, largestText), config);
    data->shape.layoutJson = layoutJson;
    std::error_code ignored;
    data->bytes = fs::file_size(file, ignored);
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes) {
        std::size_t bytes = dtypeSize(DType::f32);
        for (const std::int64_t d : shape) {
            bytes *= static_cast<std::size_t>(d);
        }
        data->tensors.emplace(name, TensorEntry{name, DType::f32, shape, file, nullptr, bytes});
        names.push_back(name);
    }
    try {
        data->layout = std::make_unique<const HeadLayout>(data->shape, names);
    } catch (const InputError& e) {
        throw InputError(e.problem(), e.file().empty() ? config : e.file(), e.innerPath(),
                         e.advice());
    }
    if (data->layout->parameters().empty()) {
        throw InputError("none of its " + std::to_string(names.size()) +
                             " parameters is an attention weight by the layout",
                         file, {}, "give a layout file");
    }
    for (const ParameterInfo& info : data->layout->parameters()) {
        for (const std::string& name : {info.name, info.bias}) {
            if (const auto it = shapes.find(name); it != shapes.end()) {
                data->layout->checkShape(name, it->second, file.string());
            }
        }
    }
    Checkpoint checkpoint;
    checkpoint.m_data = std::move(data);
    return checkpoint;
}

const fs::path& Checkpoint::directory() const {
    return m_data->directory;
}
const ModelShape& Checkpoint::shape() const {
    return m_data->shape;
}
const HeadLayout& Checkpoint::layout() const {
    return *m_data->layout;
}
const std::map<std::string, TensorEntry>& Checkpoint::tensors() const {
    return m_data->tensors;
}
std::uint64_t Checkpoint::bytes() const {
    return m_data->bytes;
}

const TensorEntry* Checkpoint::find(const std::string& name) const {
    auto it = m_data->tensors.find(name);
    if (it != m_data->tensors.end()) {
        return &it->second;
    }
    const auto other = m_data->byStripped.find(stripped(name));
    if (other == m_data->byStripped.end()) {
        return nullptr;
    }
    it = m_data->tensors.find(other->second);
    return it == m_data->tensors.end() ? nullptr : &it->second;
}

const TensorEntry& Checkpoint::require(const std::string& name) const {
    if (const TensorEntry* entry = find(name)) {
        return *entry;
    }
    const auto it = m_data->unusable.find(name);
    if (it != m_data->unusable.end()) {
        throw InputError("has dtype " + it->second + "; F16, BF16, F32 and F64 can be read",
                         m_data->directory, name);
    }
    throw InputError("is missing", m_data->directory, name);
}

std::int64_t Checkpoint::parameterCount() const {
    std::int64_t n = 0;
    for (const auto& entry : m_data->tensors) {
        n += entry.second.count();
    }
    return n;
}

} // namespace qkov::model
