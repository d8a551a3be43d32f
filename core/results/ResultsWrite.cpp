// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/AtomicFile.h"
#include "dump/Hdf5.h"
#include "results/ResultsFile.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace qkov::results {
namespace {

using engine::ScoreHeader;
using engine::Scores;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class T>
void writeNumbers(const h5::Object& parent, const std::string& name, hid_t fileType,
                  hid_t memoryType, const h5::Dims& dims, const std::vector<T>& values) {
    const h5::Object set = h5::createDataset(parent, name, fileType, dims);
    if (!values.empty()) {
        h5::writeAll(set, memoryType, values.data());
    }
}

std::int64_t size(std::size_t n) {
    return static_cast<std::int64_t>(n);
}

void writeSamples(const h5::Object& root, const std::string& name,
                  const std::vector<dump::SampleInfo>& samples) {
    const h5::Object group = h5::createGroup(root, name);
    std::vector<std::string> ids;
    std::vector<std::string> texts;
    std::vector<std::string> groups;
    std::vector<std::int32_t> tokens;
    std::vector<float> losses;
    for (const dump::SampleInfo& s : samples) {
        ids.push_back(s.id);
        texts.push_back(s.text);
        groups.push_back(s.group);
        tokens.push_back(s.tokens);
        losses.push_back(s.loss);
    }
    h5::writeStrings(group, "id", ids);
    h5::writeStrings(group, "text", texts);
    h5::writeStrings(group, "group", groups);
    const h5::Dims n{size(samples.size())};
    writeNumbers(group, "n_tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, n, tokens);
    writeNumbers(group, "loss", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, n, losses);
}

void writeModel(const h5::Object& root, const model::ModelShape& m) {
    const h5::Object group = h5::createGroup(root, "model");
    h5::writeAttribute(group, "name", m.name);
    h5::writeAttribute(group, "architecture", m.architecture);
    h5::writeAttribute(group, "num_layers", m.numLayers);
    h5::writeAttribute(group, "num_heads", m.numHeads);
    h5::writeAttribute(group, "num_kv_heads", m.numKvHeads);
    h5::writeAttribute(group, "head_dim", m.headDim);
    h5::writeAttribute(group, "v_head_dim", m.vHeadDim);
    h5::writeAttribute(group, "hidden_dim", m.hiddenDim);
    h5::writeAttribute(group, "config_json", m.configJson);
    if (!m.layoutJson.empty()) {
        h5::writeAttribute(group, "layout_json", m.layoutJson);
    }
}

void writeHeader(const h5::Object& root, const ScoreHeader& h) {
    h5::writeAttribute(root, "format", std::string("qkov-results"));
    h5::writeAttribute(root, "format_version", std::int64_t(1));
    h5::writeAttribute(root, "created_by",
                       h.createdBy.empty() ? std::string("qkov " QKOV_VERSION) : h.createdBy);
    h5::writeAttribute(root, "created_at", h.createdAt);
    h5::writeAttribute(root, "config_json",
                       h.configJson.empty() ? toJson(h.request).dump() : h.configJson);
    h5::writeAttribute(root, "dump_name", h.dumpName);
    h5::writeAttribute(root, "dump_fingerprint", h.dumpFingerprint);
    h5::writeAttribute(root, "task_a", h.taskA);
    h5::writeAttribute(root, "task_b", h.taskB);
    h5::writeAttribute(root, "device", h.device);
    h5::writeAttribute(root, "read_seconds", h.readSeconds);
    h5::writeAttribute(root, "compute_seconds", h.computeSeconds);
    h5::writeAttribute(root, "total_seconds", h.totalSeconds);

    writeNumbers(root, "layers", H5T_STD_I32LE, H5T_NATIVE_INT32, {size(h.layers.size())},
                 h.layers);
    writeNumbers(root, "heads", H5T_STD_I32LE, H5T_NATIVE_INT32, {size(h.heads.size())}, h.heads);
    writeSamples(root, "samples_a", h.samplesA);
    writeSamples(root, "samples_b", h.samplesB);
    writeModel(root, h.model);
    h5::writeStrings(root, "missing", h.missing);
    h5::writeStrings(root, "notes", h.notes);

    const dump::HeadTypes& t = h.headTypes;
    if (!t.names.empty()) {
        const h5::Dims map{h.model.numLayers, h.model.numHeads};
        writeNumbers(root, "head_types", H5T_STD_U8LE, H5T_NATIVE_UINT8, map, t.type);
        h5::writeAttribute(root.dataset("head_types"), "names", t.names);
        if (!t.scores.empty()) {
            writeNumbers(root, "head_scores", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                         {map[0], map[1], size(t.names.size())}, t.scores);
        }
    }
}

/// One chunk per (layer, head). What is never written reads as NaN, in any program.
h5::Object createScores(const h5::Object& parent, const std::string& name, const ScoreHeader& h) {
    const h5::Lock lock;
    const auto limit = (std::uint64_t(1) << 32) - 1; // of a chunk, by HDF5
    const hsize_t nB = std::max<std::size_t>(1, h.nB());
    const hsize_t rows = std::clamp<hsize_t>(h.nA(), 1, std::max<hsize_t>(1, limit / (4 * nB)));
    const hsize_t dims[4] = {h.layers.size(), h.heads.size(), h.nA(), h.nB()};
    const hsize_t chunk[4] = {1, 1, rows, std::min<hsize_t>(nB, limit / 4)};
    const float fill = std::numeric_limits<float>::quiet_NaN();

    const h5::Handle space(H5Screate_simple(4, dims, nullptr), H5Sclose);
    const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(creation.get(), 4, chunk);
    H5Pset_fill_value(creation.get(), H5T_NATIVE_FLOAT, &fill);
    h5::Handle id(H5Dcreate2(parent.id(), name.c_str(), H5T_IEEE_F32LE, space.get(), H5P_DEFAULT,
                             creation.get(), H5P_DEFAULT),
                  H5Dclose);
    h5::Object set(std::move(id), parent.file(), parent.childPath(name));
    if (!set) {
        set.fail("can't be created" + h5::because());
    }
    return set;
}

/// Scores of a block alone: means are quick to get from them, and nobody browses these.
void writePooled(const h5::Object& group, const Scores& pooled, Block block, Job& job) {
    const ScoreHeader& h = pooled.header();
    const h5::Object set = createScores(group, std::string(1, blockName(block)), h);
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        for (std::size_t c = 0; pooled.computed(l) && c < h.heads.size(); ++c) {
            job.checkCancelled();
            const std::vector<float> pairs = pooled.pairs(block, l, c);
            if (!pairs.empty()) {
                h5::writeSlab(set, H5T_NATIVE_FLOAT, {size(l), size(c), 0, 0},
                              {1, 1, size(h.nA()), size(h.nB())}, pairs.data());
            }
        }
    }
}

void writeBlock(const h5::Object& scoresGroup, const h5::Object& means, const h5::Object& healths,
                const Scores& scores, Block block, Job& job, std::size_t blocksBefore,
                std::size_t blocks) {
    const ScoreHeader& h = scores.header();
    const std::size_t nl = h.layers.size();
    const std::size_t nh = h.heads.size();
    const std::string name(1, blockName(block));
    const h5::Object set = createScores(scoresGroup, name, h);
    std::vector<double> mean(nl * nh, nan);
    std::vector<double> health(nl * nh * 5, nan);
    for (std::size_t l = 0; l < nl; ++l) {
        for (std::size_t c = 0; scores.computed(l) && c < nh; ++c) {
            job.checkCancelled();
            mean[l * nh + c] = scores.mean(block, l, c);
            const engine::CellHealth cell = scores.health(block, l, c);
            double* five = &health[(l * nh + c) * 5];
            five[0] = cell.min;
            five[1] = cell.median;
            five[2] = cell.max;
            five[3] = cell.shareBelow;
            five[4] = cell.lambda;
            const std::vector<float> pairs = scores.pairs(block, l, c);
            if (!pairs.empty()) {
                h5::writeSlab(set, H5T_NATIVE_FLOAT, {size(l), size(c), 0, 0},
                              {1, 1, size(h.nA()), size(h.nB())}, pairs.data());
            }
        }
        job.advance((static_cast<double>(blocksBefore) +
                     static_cast<double>(l + 1) / static_cast<double>(nl)) /
                    static_cast<double>(blocks));
    }
    const h5::Dims map{size(nl), size(nh)};
    writeNumbers(means, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, map, mean);
    writeNumbers(healths, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {map[0], map[1], 5}, health);
}

h5::Object rootOf(const h5::Handle& file, const std::filesystem::path& target) {
    const h5::Lock lock;
    return {h5::Handle(H5Oopen(file.get(), "/", H5P_DEFAULT), H5Oclose), target, "/"};
}

void writeAllTo(const std::filesystem::path& temporary, const std::filesystem::path& target,
                const Scores& scores, const Scores* pooled, Job& job) {
    const h5::Handle file = h5::createFile(temporary, target);
    {
        const h5::Object root = rootOf(file, target);
        const ScoreHeader& h = scores.header();
        writeHeader(root, h);
        if (!scores.complete()) {
            std::vector<std::uint8_t> computed;
            for (std::size_t l = 0; l < h.layers.size(); ++l) {
                computed.push_back(scores.computed(l) ? 1 : 0);
            }
            writeNumbers(root, "computed", H5T_STD_U8LE, H5T_NATIVE_UINT8, {size(computed.size())},
                         computed);
        }
        const h5::Object scoresGroup = h5::createGroup(root, "scores");
        const h5::Object means = h5::createGroup(root, "layer_head_mean");
        const h5::Object healths = h5::createGroup(root, "fisher_health");
        const auto blocks =
            static_cast<std::size_t>(std::count(h.blocks.begin(), h.blocks.end(), true));
        std::size_t done = 0;
        for (const Block block : allBlocks) {
            if (h.blocks[blockIndex(block)]) {
                writeBlock(scoresGroup, means, healths, scores, block, job, done++, blocks);
            }
        }
        if (pooled) {
            const h5::Object group = h5::createGroup(root, "scores_pooled");
            for (const Block block : allBlocks) {
                if (pooled->header().blocks[blockIndex(block)]) {
                    writePooled(group, *pooled, block, job);
                }
            }
        }
    }
    const h5::Lock lock;
    // Closing can't tell of a full disk; flushing can.
    if (H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0) {
        throw InputError("can't be finished" + h5::because(), target, {}, "the disk may be full");
    }
}

} // namespace

void writeResults(const std::filesystem::path& file, const Scores& scores, Job& job,
                  const Scores* pooled) {
    job.stage("Writing results", 0, 1);
    AtomicFile out(file);
    writeAllTo(out.temporary(), out.target(), scores, pooled, job);
    out.flush([&job] { job.checkCancelled(); });
    out.commit();
    job.finish();
}

} // namespace qkov::results
