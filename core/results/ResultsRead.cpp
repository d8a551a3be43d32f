// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Probe.h"
#include "results/ReadDatasets.h"
#include "results/RequestJson.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace qkov::results {
namespace {

using engine::CellHealth;
using engine::ScoreHeader;

// Larger than any model or selection; keeps a hostile file from asking for memory.
constexpr std::int64_t maxCells = std::int64_t(1) << 20;
constexpr std::int64_t maxPairs = std::int64_t(1) << 30;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<dump::SampleInfo> readSamples(const h5::Object& group) {
    const std::vector<std::string> ids = readIds(group.dataset("id"));
    const auto n = static_cast<std::int64_t>(ids.size());
    std::vector<dump::SampleInfo> samples(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        samples[i].id = ids[i];
    }
    const auto fill = [&](const char* name, std::string dump::SampleInfo::*member) {
        if (const auto set = group.findDataset(name)) {
            requireDims(*set, {n});
            std::vector<std::string> values = readStrings(*set);
            for (std::size_t i = 0; i < values.size(); ++i) {
                samples[i].*member = std::move(values[i]);
            }
        }
    };
    fill("text", &dump::SampleInfo::text);
    fill("group", &dump::SampleInfo::group);
    if (const auto set = group.findDataset("n_tokens")) {
        requireClass(*set, H5T_INTEGER, "integers");
        const auto values = readNumbers<std::int32_t>(*set, H5T_NATIVE_INT32, {n});
        for (std::size_t i = 0; i < values.size(); ++i) {
            samples[i].tokens = values[i];
        }
    }
    if (const auto set = group.findDataset("loss")) {
        requireClass(*set, H5T_FLOAT, "floating-point numbers");
        const auto values = readNumbers<float>(*set, H5T_NATIVE_FLOAT, {n});
        for (std::size_t i = 0; i < values.size(); ++i) {
            samples[i].loss = values[i];
        }
    }
    return samples;
}

std::vector<std::int32_t> readAxis(const h5::Object& set) {
    requireClass(set, H5T_INTEGER, "integers");
    const std::int64_t n = lengthOf(set, maxCells);
    if (n == 0) {
        set.fail("is empty");
    }
    auto values = readNumbers<std::int32_t>(set, H5T_NATIVE_INT32, {n});
    std::set<std::int32_t> seen;
    for (const std::int32_t v : values) {
        if (v < 0) {
            set.fail("holds the negative number " + std::to_string(v));
        }
        if (!seen.insert(v).second) {
            set.fail("holds " + std::to_string(v) + " twice");
        }
    }
    return values;
}

/// Files by other programs may lack /model: then one kv head per head is all that can be said.
model::ModelShape readModel(const h5::Object& root, const ScoreHeader& h) {
    model::ModelShape m;
    m.numLayers = 1 + *std::max_element(h.layers.begin(), h.layers.end());
    m.numHeads = 1 + *std::max_element(h.heads.begin(), h.heads.end());
    const std::int64_t layersSeen = m.numLayers;
    const std::int64_t headsSeen = m.numHeads;
    m.numKvHeads = m.numHeads;
    const auto group = root.findGroup("model");
    if (!group) {
        return m;
    }
    m.name = group->stringAttribute("name").value_or("");
    m.architecture = group->stringAttribute("architecture").value_or("");
    m.numLayers = group->intAttribute("num_layers").value_or(m.numLayers);
    m.numHeads = group->intAttribute("num_heads").value_or(m.numHeads);
    m.numKvHeads = group->intAttribute("num_kv_heads").value_or(m.numHeads);
    m.headDim = group->intAttribute("head_dim").value_or(0);
    m.vHeadDim = group->intAttribute("v_head_dim").value_or(m.headDim);
    m.hiddenDim = group->intAttribute("hidden_dim").value_or(0);
    m.configJson = group->stringAttribute("config_json").value_or("");
    m.layoutJson = group->stringAttribute("layout_json").value_or("");
    if (m.numKvHeads < 1 || m.numHeads < 1 || m.numHeads % m.numKvHeads != 0) {
        group->fail("num_heads is " + std::to_string(m.numHeads) + " and num_kv_heads " +
                    std::to_string(m.numKvHeads) + "; the first must be a multiple of the second");
    }
    if (layersSeen > m.numLayers || headsSeen > m.numHeads || m.numLayers > maxCells ||
        m.numHeads > maxCells) {
        group->fail("has " + std::to_string(m.numLayers) + " layers and " +
                    std::to_string(m.numHeads) + " heads, which disagrees with /layers or /heads");
    }
    return m;
}

dump::HeadTypes readHeadTypes(const h5::Object& root, const model::ModelShape& m) {
    dump::HeadTypes t;
    const auto set = root.findDataset("head_types");
    if (!set || m.numLayers * m.numHeads > maxCells) {
        return t;
    }
    requireClass(*set, H5T_INTEGER, "integers");
    t.type = readNumbers<std::uint8_t>(*set, H5T_NATIVE_UINT8, {m.numLayers, m.numHeads});
    t.names = set->stringsAttribute("names").value_or(std::vector<std::string>());
    for (const std::uint8_t v : t.type) {
        if (v >= t.names.size()) {
            set->fail("holds type " + std::to_string(v) + ", but attribute names lists " +
                      std::to_string(t.names.size()));
        }
    }
    if (const auto scores = root.findDataset("head_scores")) {
        requireClass(*scores, H5T_FLOAT, "floating-point numbers");
        t.scores = readNumbers<float>(
            *scores, H5T_NATIVE_FLOAT,
            {m.numLayers, m.numHeads, static_cast<std::int64_t>(t.names.size())});
    }
    return t;
}

std::vector<std::string> readList(const h5::Object& root, const char* name) {
    const auto set = root.findDataset(name);
    return set ? readStrings(*set) : std::vector<std::string>();
}

void checkFormat(const h5::Object& root) {
    const std::string format = root.requireString("format");
    if (format != "qkov-results") {
        root.fail("has format '" + format + "', expected 'qkov-results'",
                  format == "qkov-dump" ? "this is a dump; compute results from it first" : "");
    }
    const std::int64_t version = root.requireInt("format_version");
    if (version != 1) {
        root.fail("has format_version " + std::to_string(version) + ", this program reads 1",
                  "a newer program may read it");
    }
}

void readConfig(const h5::Object& root, ScoreHeader& h) {
    h.configJson = root.requireString("config_json");
    try {
        h.request = requestFromJson(nlohmann::json::parse(h.configJson));
    } catch (const nlohmann::json::exception&) {
        root.fail("attribute config_json is not JSON");
    } catch (const UsageError& e) {
        root.fail(std::string("attribute config_json: ") + e.what());
    }
    h.taskA = root.stringAttribute("task_a").value_or(h.request.taskA);
    h.taskB = root.stringAttribute("task_b").value_or(h.request.taskB);
    h.request.taskA = h.taskA;
    h.request.taskB = h.taskB;
}

double meanOf(const std::vector<float>& pairs) {
    return reducePairs(pairs, Reduction::mean);
}

class FileScores final : public engine::Scores {
  public:
    enum class Part { scores, pooled };
    FileScores(const std::filesystem::path& file, Part part);

    const ScoreHeader& header() const override { return m_header; }
    bool computed(std::size_t layerRow) const override { return m_computed[layerRow] != 0; }
    double mean(Block block, std::size_t layerRow, std::size_t headColumn) const override {
        const BlockData& b = m_blocks[blockIndex(block)];
        if (!b.scores) {
            return nan;
        }
        return b.means.empty() ? meanOf(read(b.scores, layerRow, headColumn))
                               : b.means[cell(layerRow, headColumn)];
    }
    CellHealth health(Block block, std::size_t layerRow, std::size_t headColumn) const override {
        const BlockData& b = m_blocks[blockIndex(block)];
        if (b.health.empty()) {
            return {nan, nan, nan, nan, nan};
        }
        const double* five = &b.health[5 * cell(layerRow, headColumn)];
        return {five[0], five[1], five[2], five[3], five[4]};
    }
    std::vector<float> pairs(Block block, std::size_t layerRow,
                             std::size_t headColumn) const override;

  private:
    struct BlockData {
        h5::Object scores;
        std::vector<double> means;  ///< [nl, nh], or empty
        std::vector<double> health; ///< [nl, nh, 5], or empty
    };
    const char* groupName() const { return m_part == Part::pooled ? "scores_pooled" : "scores"; }
    std::size_t cell(std::size_t l, std::size_t c) const { return l * m_header.heads.size() + c; }
    void openBlock(const h5::Object& root, Block block);
    std::vector<double> meansFromPairs(const h5::Object& set) const;
    std::vector<float> read(const h5::Object& set, std::size_t l, std::size_t c) const;

    Part m_part;
    ScoreHeader m_header;
    std::vector<std::uint8_t> m_computed; ///< [nl]
    std::array<BlockData, 4> m_blocks;
};

FileScores::FileScores(const std::filesystem::path& file, Part part)
    : m_part(part) {
    const h5::Object root = h5::openFile(file);
    checkFormat(root);
    ScoreHeader& h = m_header;
    h.layers = readAxis(root.dataset("layers"));
    h.heads = readAxis(root.dataset("heads"));
    if (static_cast<std::int64_t>(h.layers.size() * h.heads.size()) > maxCells) {
        root.fail("has more layers and heads than any model");
    }
    readConfig(root, h);
    h.createdBy = root.stringAttribute("created_by").value_or("");
    h.createdAt = root.stringAttribute("created_at").value_or("");
    h.dumpName = root.stringAttribute("dump_name").value_or("");
    h.dumpFingerprint = root.stringAttribute("dump_fingerprint")
                            .value_or(root.stringAttribute("dump_sha256").value_or(""));
    h.device = root.stringAttribute("device").value_or("");
    h.readSeconds = root.doubleAttribute("read_seconds").value_or(0);
    h.computeSeconds = root.doubleAttribute("compute_seconds").value_or(0);
    h.totalSeconds = root.doubleAttribute("total_seconds").value_or(0);
    h.samplesA = readSamples(root.group("samples_a"));
    h.samplesB = readSamples(root.group("samples_b"));
    h.model = readModel(root, h);
    h.headTypes = readHeadTypes(root, h.model);
    h.missing = readList(root, "missing");
    h.notes = readList(root, "notes");
    if (h.nA() == 0 || h.nB() == 0) {
        root.fail("holds no samples");
    }
    if (part == Part::pooled) {
        h.samplesA.insert(h.samplesA.end(), h.samplesB.begin(), h.samplesB.end());
        h.samplesB = h.samplesA;
        h.request.variant = engine::Variant::profile;
    }
    if (h.nA() > static_cast<std::size_t>(maxPairs) / h.nB()) {
        root.fail("holds more pairs per cell than can be read");
    }
    m_computed.assign(h.layers.size(), 1);
    if (const auto set = root.findDataset("computed")) {
        m_computed = readNumbers<std::uint8_t>(*set, H5T_NATIVE_UINT8,
                                               {static_cast<std::int64_t>(h.layers.size())});
    }
    for (const Block block : allBlocks) {
        openBlock(root, block);
    }
    if (std::none_of(h.blocks.begin(), h.blocks.end(), [](bool b) { return b; })) {
        root.group(groupName()).fail("holds none of Q, K, V, O");
    }
}

void FileScores::openBlock(const h5::Object& root, Block block) {
    const std::string name(1, blockName(block));
    auto set = root.group(groupName()).findDataset(name);
    if (!set) {
        return;
    }
    const auto nl = static_cast<std::int64_t>(m_header.layers.size());
    const auto nh = static_cast<std::int64_t>(m_header.heads.size());
    requireDims(*set, {nl, nh, static_cast<std::int64_t>(m_header.nA()),
                       static_cast<std::int64_t>(m_header.nB())});
    requireClass(*set, H5T_FLOAT, "floating-point numbers");
    requireWritten(*set);
    BlockData& data = m_blocks[blockIndex(block)];
    m_header.blocks[blockIndex(block)] = true;
    if (m_part == Part::pooled) {
        data.scores = std::move(*set);
        return;
    }
    const auto means = root.findGroup("layer_head_mean");
    const auto meanSet = means ? means->findDataset(name) : std::nullopt;
    data.means = meanSet ? readDoubles(*meanSet, {nl, nh}) : meansFromPairs(*set);
    if (const auto group = root.findGroup("fisher_health")) {
        if (const auto healthSet = group->findDataset(name)) {
            data.health = readDoubles(*healthSet, {nl, nh, 5});
        }
    }
    data.scores = std::move(*set);
}

std::vector<double> FileScores::meansFromPairs(const h5::Object& set) const {
    std::vector<double> means;
    for (std::size_t l = 0; l < m_header.layers.size(); ++l) {
        for (std::size_t c = 0; c < m_header.heads.size(); ++c) {
            means.push_back(meanOf(read(set, l, c)));
        }
    }
    return means;
}

std::vector<float> FileScores::read(const h5::Object& set, std::size_t l, std::size_t c) const {
    const h5::Lock lock;
    const hsize_t start[4] = {l, c, 0, 0};
    const hsize_t count[4] = {1, 1, m_header.nA(), m_header.nB()};
    const h5::Handle space(H5Dget_space(set.id()), H5Sclose);
    const h5::Handle memory(H5Screate_simple(4, count, nullptr), H5Sclose);
    std::vector<float> values(m_header.nA() * m_header.nB());
    if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) < 0 ||
        H5Dread(set.id(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT, values.data()) <
            0) {
        set.fail("can't be read" + h5::because(), "the file may be damaged");
    }
    return values;
}

std::vector<float> FileScores::pairs(Block block, std::size_t layerRow,
                                     std::size_t headColumn) const {
    const BlockData& b = m_blocks[blockIndex(block)];
    if (!b.scores || !computed(layerRow)) {
        return {};
    }
    std::vector<float> values = read(b.scores, layerRow, headColumn);
    if (std::all_of(values.begin(), values.end(), [](float v) { return std::isnan(v); })) {
        values.clear();
    }
    return values;
}

/// A damaged file may crash HDF5: a child process tries it first.
std::shared_ptr<const engine::Scores> openTried(const std::filesystem::path& file,
                                                FileScores::Part part) {
    dump::probe(file, [&] { const FileScores trial(file, part); });
    return std::make_shared<FileScores>(file, part);
}

} // namespace

std::shared_ptr<const engine::Scores> openResults(const std::filesystem::path& file) {
    return openTried(file, FileScores::Part::scores);
}

std::shared_ptr<const engine::Scores> openPooled(const std::filesystem::path& file) {
    if (!h5::openFile(file).has("scores_pooled")) {
        return nullptr;
    }
    return openTried(file, FileScores::Part::pooled);
}

} // namespace qkov::results
