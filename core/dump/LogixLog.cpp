// SPDX-License-Identifier: GPL-3.0-or-later
// LogIX logs: chunks of raw bytes (*.mmap), each with a *_metadata.json: a list of
// {data_id, path, offset (bytes), shape, block_size, dtype}, one entry per sample; path lists the
// blocks (module, then what was logged of it) in the order in which they lie, shape their shapes.
#include "base/Error.h"
#include "dump/ImportStore.h"

#include <algorithm>
#include <set>

namespace qkov::dump {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t largestBlock = std::int64_t(1) << 40;
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
        convertStored(bytes.data(), m_dtype, n, target, m_chunks[place.chunk].file());
    }

  private:
    struct Place {
        std::size_t chunk = 0;
        std::uint64_t offset = 0;
    };

    void addChunk(const std::filesystem::path& file) {
        std::size_t i = 0;
        parseStoreJson(readText(file, std::uint64_t(1) << 30), file, [&](const Json& entry) {
            addEntry(entry, file, "[" + std::to_string(i++) + "]");
        });
    }

    /// What one sample logged, block after block.
    struct Entry {
        std::string id;
        std::vector<Block> blocks;
        std::vector<std::uint64_t> starts;
        std::uint64_t offset = 0, bytes = 0;
        DType dtype = DType::f32;
    };

    static Entry readEntry(const Json& json, std::uint64_t available,
                           const std::filesystem::path& file, const std::string& where) {
        const auto fail = [&](const std::string& what) -> void {
            throw InputError(what, file, where,
                             "expected {data_id, path, offset, shape, dtype} as LogIX writes it");
        };
        const auto member = [&](const char* key) -> const Json& {
            if (!json.is_object() || !json.contains(key)) {
                fail(std::string("has no ") + key);
            }
            return json[key];
        };
        Entry entry;
        const Json& id = member("data_id");
        if (!id.is_string() && !id.is_number_integer()) {
            fail("has a data_id that is neither a text nor a whole number");
        }
        entry.id = id.is_string() ? id.get<std::string>() : id.dump();
        const Json& dtype = member("dtype");
        entry.dtype =
            numpyDType(dtype.is_string() ? dtype.get<std::string>() : dtype.dump(), file, where);
        const Json& paths = member("path");
        const Json& shapes = member("shape");
        if (!paths.is_array() || !shapes.is_array() || paths.size() != shapes.size()) {
            fail("has " + std::to_string(paths.size()) + " paths and " +
                 std::to_string(shapes.size()) + " shapes");
        }
        const auto offset = wholeNumber(member("offset"), INT64_MAX);
        if (!offset) {
            fail("has an offset that is no number of bytes");
        }
        entry.offset = static_cast<std::uint64_t>(offset.value_or(0));
        std::int64_t numbers = 0;
        for (std::size_t k = 0; k < paths.size(); ++k) {
            Block b = readBlock(paths[k], shapes[k], fail);
            // As soon as the chunk can't hold it, so that no sum overflows.
            const std::uint64_t bytes =
                static_cast<std::uint64_t>(b.count) * dtypeSize(entry.dtype);
            entry.starts.push_back(entry.bytes);
            if (entry.offset > available || entry.bytes > available - entry.offset ||
                bytes > available - entry.offset - entry.bytes) {
                fail("needs more bytes than the chunk has, " + std::to_string(available) +
                     ": it may be truncated");
            }
            entry.bytes += bytes;
            numbers += b.count;
            entry.blocks.push_back(std::move(b));
        }
        if (json.contains("block_size") && wholeNumber(json["block_size"], INT64_MAX) != numbers) {
            fail("has shapes of " + std::to_string(numbers) + " numbers, but block_size is " +
                 json["block_size"].dump());
        }
        return entry;
    }

    template <class Fail>
    static Block readBlock(const Json& path, const Json& shape, const Fail& fail) {
        Block b;
        std::vector<std::string> parts;
        for (const Json& part : path.is_array() ? path : Json::array({path})) {
            if (!part.is_string()) {
                fail("has a path that is no list of texts");
            }
            parts.push_back(part.get<std::string>());
        }
        if (parts.empty()) {
            fail("has an empty path");
        }
        b.module = parts.front();
        b.what = parts.size() > 1 || path.is_array() ? parts.back() : "grad";
        b.count = 1;
        if (!shape.is_array()) {
            fail("has a shape that is no list of numbers");
        }
        for (const Json& d : shape) {
            const auto n = wholeNumber(d, largestBlock);
            if (!n || __builtin_mul_overflow(b.count, *n, &b.count) || b.count > largestBlock) {
                fail("has an impossible shape");
            }
            b.shape.push_back(n.value_or(0));
        }
        return b;
    }

    void addEntry(const Json& json, const std::filesystem::path& file, const std::string& where) {
        const RawFile& chunk = m_chunks.back();
        Entry entry = readEntry(json, chunk.bytes(), file, where);
        if (!m_seen.insert(entry.id).second) {
            throw InputError("has the sample '" + entry.id + "' twice", file, where);
        }
        if (m_ids.empty()) {
            std::set<std::pair<std::string, std::string>> names;
            for (const Block& b : entry.blocks) {
                if (!names.insert({b.module, b.what}).second) {
                    throw InputError("logs '" + b.module + "' twice", file, where);
                }
            }
            m_blocks = std::move(entry.blocks);
            m_starts = std::move(entry.starts);
            m_dtype = entry.dtype;
        } else if (entry.blocks != m_blocks || entry.dtype != m_dtype) {
            throw InputError("logs other blocks than the first sample", file, where);
        }
        m_ids.push_back(std::move(entry.id));
        m_places.push_back({m_chunks.size() - 1, entry.offset});
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
