// SPDX-License-Identifier: GPL-3.0-or-later
// LogIX logs: chunks of raw bytes (*.mmap), each with a *_metadata.json: a list of
// {data_id, path, offset (bytes), shape, block_size, dtype}, one entry per sample; path lists the
// blocks (module, then what was logged of it) in the order in which they lie, shape their shapes.
#include "base/Error.h"
#include "dump/ImportStore.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace qkov::dump {
namespace {

const std::string metadataSuffix = "_metadata.json";

struct Block {
    std::string module;
    std::string what; ///< "grad"
    std::vector<std::int64_t> shape;
    std::int64_t count = 0;
    bool operator==(const Block&) const = default;
};

class LogixLog final : public GradientStore {
  public:
    LogixLog(const std::filesystem::path& folder,
             const std::vector<std::filesystem::path>& metadata) {
        for (const auto& file : metadata) {
            const std::string name = file.filename().string();
            m_chunks.emplace_back(folder /
                                  (name.substr(0, name.size() - metadataSuffix.size()) + ".mmap"));
            addChunk(file);
        }
        if (m_ids.empty()) {
            throw InputError("holds no samples", folder);
        }
        for (std::size_t b = 0; b < m_blocks.size(); ++b) {
            const Block& block = m_blocks[b];
            if (block.what == "grad" && block.shape.size() == 2) {
                m_modules.push_back({block.module, block.count, block.shape[0], block.shape[1]});
                m_moduleBlock.push_back(b);
            }
        }
        if (m_modules.empty()) {
            throw InputError("logs no gradients (\"grad\") of matrices", folder, {},
                             "log with log=\"grad\" and without LoRA");
        }
    }

    std::string kind() const override { return "logix"; }
    DType dtype() const override { return m_dtype; }
    const std::vector<StoreModule>& modules() const override { return m_modules; }
    const std::vector<std::string>& ids() const override { return m_ids; }
    bool ordered() const override { return false; }
    const std::vector<std::string>& warnings() const override { return m_warnings; }

    void read(std::size_t sample, std::size_t module, float* target) const override {
        const Place& place = m_places[sample];
        const auto n = static_cast<std::size_t>(m_modules[module].count);
        std::vector<std::byte> bytes(n * dtypeSize(m_dtype));
        m_chunks[place.chunk].read(place.offset + m_starts[m_moduleBlock[module]], bytes.size(),
                                   bytes.data());
        convertToFloat(bytes.data(), m_dtype, n, target);
    }

  private:
    struct Place {
        std::size_t chunk = 0;
        std::uint64_t offset = 0;
    };

    void addChunk(const std::filesystem::path& file) {
        const auto list =
            nlohmann::json::parse(readText(file, std::uint64_t(1) << 30), nullptr, false);
        if (!list.is_array()) {
            throw InputError("is not a JSON list", file);
        }
        for (std::size_t i = 0; i < list.size(); ++i) {
            try {
                addEntry(list[i], file, "[" + std::to_string(i) + "]");
            } catch (const nlohmann::json::exception&) {
                throw InputError("is not an entry {data_id, path, offset, shape, dtype}", file,
                                 "[" + std::to_string(i) + "]");
            }
        }
    }

    void addEntry(const nlohmann::json& entry, const std::filesystem::path& file,
                  const std::string& where) {
        const auto& id = entry.at("data_id");
        const std::string name = id.is_string() ? id.get<std::string>() : id.dump();
        if (!m_seen.insert(name).second) {
            throw InputError("has the sample '" + name + "' twice", file, where);
        }
        std::vector<Block> blocks;
        std::vector<std::uint64_t> starts;
        const DType dtype = numpyDType(entry.at("dtype").get<std::string>(), file, where);
        const auto& paths = entry.at("path");
        const auto& shapes = entry.at("shape");
        if (paths.size() != shapes.size()) {
            throw InputError("has " + std::to_string(paths.size()) + " paths and " +
                                 std::to_string(shapes.size()) + " shapes",
                             file, where);
        }
        std::uint64_t at = 0;
        for (std::size_t k = 0; k < paths.size(); ++k) {
            const auto parts = paths[k].is_array()
                                   ? paths[k].get<std::vector<std::string>>()
                                   : std::vector{paths[k].get<std::string>(), std::string("grad")};
            Block b{parts.empty() ? "" : parts.front(), parts.empty() ? "" : parts.back(),
                    shapes[k].get<std::vector<std::int64_t>>(), 1};
            for (const std::int64_t d : b.shape) {
                if (d < 0 || __builtin_mul_overflow(b.count, d, &b.count) ||
                    b.count > (std::int64_t(1) << 40)) {
                    throw InputError("has an impossible shape", file, where);
                }
            }
            starts.push_back(at);
            at += static_cast<std::uint64_t>(b.count) * dtypeSize(dtype);
            blocks.push_back(std::move(b));
        }
        if (m_ids.empty()) {
            m_blocks = blocks;
            m_starts = starts;
            m_dtype = dtype;
        } else if (blocks != m_blocks || dtype != m_dtype) {
            throw InputError("logs other blocks than the first sample", file, where);
        }
        const auto offset = entry.at("offset").get<std::uint64_t>();
        const RawFile& chunk = m_chunks.back();
        if (offset > chunk.bytes() || at > chunk.bytes() - offset) {
            throw InputError("has " + std::to_string(chunk.bytes()) + " bytes; sample '" + name +
                                 "' needs bytes " + std::to_string(offset) + " to " +
                                 std::to_string(offset + at),
                             chunk.file(), {}, "the file may be truncated");
        }
        m_ids.push_back(name);
        m_places.push_back({m_chunks.size() - 1, offset});
    }

    std::vector<RawFile> m_chunks;
    std::vector<Block> m_blocks;
    std::vector<std::uint64_t> m_starts; ///< bytes, per block
    DType m_dtype = DType::f32;
    std::vector<Place> m_places;
    std::vector<std::string> m_ids;
    std::set<std::string> m_seen;
    std::vector<StoreModule> m_modules;
    std::vector<std::size_t> m_moduleBlock;
    std::vector<std::string> m_warnings;
};

} // namespace

std::unique_ptr<GradientStore> openLogixLog(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> metadata;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (entry.path().filename().string().ends_with(metadataSuffix)) {
            metadata.push_back(entry.path());
        }
    }
    if (metadata.empty()) {
        return nullptr;
    }
    std::sort(metadata.begin(), metadata.end());
    return std::make_unique<LogixLog>(folder, metadata);
}

} // namespace qkov::dump
