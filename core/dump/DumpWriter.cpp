// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpWriter.h"

#include "base/AtomicFile.h"
#include "dump/Hdf5.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <set>

namespace qkov::dump {
namespace {

std::string utcNow() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

h5::Handle float16Type() {
    h5::Handle type(H5Tcopy(H5T_NATIVE_FLOAT), H5Tclose);
    H5Tset_fields(type.get(), 15, 10, 5, 0, 10);
    H5Tset_size(type.get(), 2);
    H5Tset_ebias(type.get(), 15);
    return type;
}

/// The type on disk, which is the type in memory too: numbers are converted here, not by HDF5.
h5::Handle storageType(DType dtype) {
    switch (dtype) {
    case DType::f16:
        return float16Type();
    case DType::bf16:
        return h5::Handle(H5Tcopy(H5T_NATIVE_UINT16), H5Tclose);
    case DType::f32:
        return h5::Handle(H5Tcopy(H5T_NATIVE_FLOAT), H5Tclose);
    case DType::f64:
        return h5::Handle(H5Tcopy(H5T_NATIVE_DOUBLE), H5Tclose);
    }
    return {};
}

const char* resolutionName(Resolution r) {
    return r == Resolution::element ? "element" : r == Resolution::head ? "head" : "type";
}

struct Target {
    h5::Object dataset;
    DType dtype = DType::f32;
    h5::Dims shape; ///< of one sample
    std::int64_t valuesPerSample = 0;
    std::vector<bool> written; ///< per sample
};

/// Power of two that gives a sample's two factors about the same largest magnitude.
float balance(const float* input, std::int64_t nInput, const float* grad, std::int64_t nGrad) {
    const auto largest = [](const float* v, std::int64_t n) {
        float m = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            m = std::max(m, std::abs(v[i]));
        }
        return m;
    };
    const float x = largest(input, nInput);
    const float g = largest(grad, nGrad);
    if (!(x > 0) || !(g > 0) || !std::isfinite(x) || !std::isfinite(g)) {
        return 1;
    }
    const int exponent = static_cast<int>(std::lround((std::log2(x) - std::log2(g)) / 2));
    return std::ldexp(1.0F, std::clamp(exponent, -60, 60));
}

} // namespace

struct DumpWriter::Impl {
    explicit Impl(const std::filesystem::path& target)
        : atomic(target) {}

    AtomicFile atomic;
    h5::Handle file;
    h5::Object root;
    h5::Object task;
    h5::Object samplesGroup;
    std::int64_t samples = 0;
    std::set<std::string> tasks;
    std::map<std::string, Target> targets; ///< by path below the task
    std::map<std::string, h5::Object> lengths;
    StorageLoss loss;
    std::vector<std::byte> buffer;
    std::vector<float> scaled;

    std::filesystem::path path() const { return atomic.target(); }

    void requireTask() const {
        if (!task) {
            throw Error("a dump's data was written before its task was begun");
        }
    }

    /// tasks/<t>/a/b/c → the group a/b, made where absent.
    h5::Object groupOf(const std::vector<std::string>& names) const {
        const h5::Object* at = &task;
        h5::Object next;
        for (const std::string& name : names) {
            h5::Object child = at->has(name) ? at->open(name) : h5::createGroup(*at, name);
            next = std::move(child);
            at = &next;
        }
        return next;
    }

    void declare(const std::vector<std::string>& groups, const std::string& name, h5::Dims shape,
                 DType dtype) {
        requireTask();
        std::string key;
        for (const std::string& g : groups) {
            key += g + "/";
        }
        key += name;
        if (name.empty() || name.find('/') != std::string::npos) {
            throw InputError("'" + name + "' can't be the name of a parameter", path());
        }
        if (targets.contains(key)) {
            throw InputError("is declared twice", path(), task.childPath(key));
        }
        h5::Dims dims = shape;
        dims.insert(dims.begin(), samples);
        if (h5::product(dims) < 0) {
            throw InputError("would be too large: " + h5::toString(dims), path(),
                             task.childPath(key));
        }
        const h5::Lock lock;
        const h5::Object parent = groupOf(groups);
        Target t;
        t.dataset = h5::createDataset(parent, name, storageType(dtype).get(), dims);
        if (dtype == DType::bf16) {
            h5::writeAttribute(t.dataset, "dtype", std::string("bfloat16"));
        }
        t.dtype = dtype;
        t.valuesPerSample = h5::product(shape);
        t.shape = std::move(shape);
        t.written.assign(static_cast<std::size_t>(samples), false);
        targets.emplace(key, std::move(t));
    }

    Target& target(const std::string& key) {
        const auto it = targets.find(key);
        if (it == targets.end()) {
            throw Error("'" + key + "' was written to a dump before it was declared");
        }
        return it->second;
    }

    /// `values`: [count, *shape] of samples first… (whole samples).
    void write(const std::string& key, std::int64_t first, std::int64_t count,
               const float* values) {
        Target& t = target(key);
        if (first < 0 || count < 0 || first + count > samples) {
            throw Error("samples outside the task were written to '" + key + "'");
        }
        const auto n = static_cast<std::size_t>(count * t.valuesPerSample);
        buffer.resize(n * dtypeSize(t.dtype));
        convertFromFloat(values, n, t.dtype, buffer.data());
        countLosses(t, key, first, values, n);
        h5::Dims start(t.shape.size() + 1, 0);
        start[0] = first;
        h5::Dims extent = t.shape;
        extent.insert(extent.begin(), count);
        if (n > 0) {
            h5::writeSlab(t.dataset, storageType(t.dtype).get(), start, extent, buffer.data());
        }
        std::fill_n(t.written.begin() + first, count, true);
    }

    void countLosses(const Target& t, const std::string& key, std::int64_t first,
                     const float* values, std::size_t n) {
        const auto* halves = reinterpret_cast<const std::uint16_t*>(buffer.data());
        const bool half = t.dtype == DType::f16;
        const bool bf = t.dtype == DType::bf16;
        std::uint64_t nonZero = 0;
        std::uint64_t lost = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (values[i] == 0) {
                continue;
            }
            ++nonZero;
            if (!half && !bf) {
                continue;
            }
            const std::uint16_t magnitude = halves[i] & 0x7fffU;
            lost += magnitude == 0;
            if (magnitude == (half ? 0x7c00U : 0x7f80U) && std::isfinite(values[i])) {
                const auto sample = first + static_cast<std::int64_t>(i) /
                                                std::max<std::int64_t>(1, t.valuesPerSample);
                throw InputError("sample " + std::to_string(sample) + " holds " +
                                     std::to_string(values[i]) + ", too large for " +
                                     std::string(dtypeName(t.dtype)),
                                 path(), task.childPath(key), "use --dtype f32");
            }
        }
        loss.written += nonZero;
        loss.underflowed += lost;
    }

    /// Everything that was declared has been written.
    void checkWhole() const {
        for (const auto& [key, t] : targets) {
            const auto gap = std::find(t.written.begin(), t.written.end(), false);
            if (gap != t.written.end()) {
                throw Error("sample " + std::to_string(gap - t.written.begin()) + " of '" + key +
                            "' was never written");
            }
        }
    }
};

DumpWriter::DumpWriter(const std::filesystem::path& file, const model::ModelShape& model,
                       const std::string& createdBy)
    : m_impl(std::make_unique<Impl>(file)) {
    const h5::Lock lock;
    m_impl->file = h5::createFile(m_impl->atomic.temporary(), file);
    m_impl->root =
        h5::Object(h5::Handle(H5Oopen(m_impl->file.get(), "/", H5P_DEFAULT), H5Oclose), file, "/");
    const h5::Object& root = m_impl->root;
    h5::writeAttribute(root, "format", std::string("qkov-dump"));
    h5::writeAttribute(root, "format_version", std::int64_t(1));
    h5::writeAttribute(root, "created_by", createdBy);
    h5::writeAttribute(root, "created_at", utcNow());
    const h5::Object group = h5::createGroup(root, "model");
    h5::writeAttribute(group, "name", model.name);
    h5::writeAttribute(group, "architecture", model.architecture);
    h5::writeAttribute(group, "num_layers", model.numLayers);
    h5::writeAttribute(group, "num_heads", model.numHeads);
    h5::writeAttribute(group, "num_kv_heads", model.numKvHeads);
    h5::writeAttribute(group, "head_dim", model.headDim);
    h5::writeAttribute(group, "v_head_dim", model.vHeadDim);
    h5::writeAttribute(group, "hidden_dim", model.hiddenDim);
    // Long texts don't fit into an object header's 64 kB as fixed strings; variable ones do.
    h5::writeAttribute(group, "config_json", model.configJson);
    if (!model.layoutJson.empty()) {
        h5::writeAttribute(group, "layout_json", model.layoutJson);
    }
    h5::createGroup(root, "tasks");
}

DumpWriter::~DumpWriter() = default;

void DumpWriter::beginTask(const std::string& name, const std::string& lossReduction,
                           const std::vector<SampleInfo>& samples,
                           const std::vector<std::vector<std::int32_t>>& tokenIds) {
    Impl& d = *m_impl;
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
        throw UsageError("'" + name + "' can't be a task's name");
    }
    if (!d.tasks.insert(name).second) {
        throw UsageError("task '" + name + "' is given twice");
    }
    if (!tokenIds.empty() && tokenIds.size() != samples.size()) {
        throw Error("token ids of " + std::to_string(tokenIds.size()) + " samples, expected " +
                    std::to_string(samples.size()));
    }
    d.checkWhole();
    d.targets.clear();
    d.lengths.clear();

    const h5::Lock lock;
    d.task = h5::createGroup(d.root.group("tasks"), name);
    d.samples = static_cast<std::int64_t>(samples.size());
    h5::writeAttribute(d.task, "loss_reduction", lossReduction);
    d.samplesGroup = h5::createGroup(d.task, "samples");

    std::vector<std::string> ids;
    std::vector<std::string> texts;
    std::vector<std::string> groups;
    std::vector<std::int32_t> tokens;
    std::vector<float> losses;
    for (const SampleInfo& s : samples) {
        ids.push_back(s.id);
        texts.push_back(s.text);
        groups.push_back(s.group);
        tokens.push_back(s.tokens);
        losses.push_back(s.loss);
    }
    const auto anyText = [](const std::vector<std::string>& v) {
        return std::any_of(v.begin(), v.end(), [](const std::string& s) { return !s.empty(); });
    };
    h5::writeStrings(d.samplesGroup, "id", ids);
    if (anyText(texts)) {
        h5::writeStrings(d.samplesGroup, "text", texts);
    }
    if (anyText(groups)) {
        h5::writeStrings(d.samplesGroup, "group", groups);
    }
    const h5::Dims n{d.samples};
    h5::writeAll(h5::createDataset(d.samplesGroup, "n_tokens", H5T_NATIVE_INT32, n),
                 H5T_NATIVE_INT32, tokens.data());
    if (std::any_of(losses.begin(), losses.end(), [](float v) { return !std::isnan(v); })) {
        writeLosses(losses);
    }
    if (!tokenIds.empty()) {
        const h5::Handle type(H5Tvlen_create(H5T_NATIVE_INT32), H5Tclose);
        std::vector<hvl_t> lists;
        for (const auto& list : tokenIds) {
            lists.push_back({list.size(), const_cast<std::int32_t*>(list.data())});
        }
        h5::writeAll(h5::createDataset(d.samplesGroup, "tokens", type.get(), n), type.get(),
                     lists.data());
    }
}

void DumpWriter::declareGradients(const std::string& parameter,
                                  const std::vector<std::int64_t>& shape, DType dtype) {
    m_impl->declare({"gradients"}, parameter, shape, dtype);
}

void DumpWriter::writeGradients(const std::string& parameter, std::int64_t first,
                                std::int64_t count, const float* values) {
    m_impl->write("gradients/" + parameter, first, count, values);
}

void DumpWriter::declareContributions(const std::string& parameter,
                                      const std::vector<std::int64_t>& shape, DType dtype,
                                      bool perToken) {
    m_impl->declare({"contributions"}, parameter, shape, dtype);
    h5::writeAttribute(m_impl->target("contributions/" + parameter).dataset, "definition",
                       std::string(perToken ? "g^2/tokens" : "g^2"));
}

void DumpWriter::writeContributions(const std::string& parameter, std::int64_t first,
                                    std::int64_t count, const float* values) {
    m_impl->write("contributions/" + parameter, first, count, values);
}

void DumpWriter::declareFactors(const std::string& parameter, std::int64_t maxTokens,
                                std::int64_t dIn, std::int64_t dOut, DType dtype) {
    Impl& d = *m_impl;
    d.declare({"factors", parameter}, "input", {maxTokens, dIn}, dtype);
    d.declare({"factors", parameter}, "grad_output", {maxTokens, dOut}, dtype);
    const h5::Lock lock;
    d.lengths[parameter] = h5::createDataset(d.groupOf({"factors", parameter}), "length",
                                             H5T_NATIVE_INT32, {d.samples});
}

void DumpWriter::writeFactors(const std::string& parameter, std::int64_t first, std::int64_t count,
                              std::int64_t tokens, const float* input, const float* gradOutput,
                              const std::int32_t* lengths) {
    Impl& d = *m_impl;
    const std::string base = "factors/" + parameter + "/";
    const Target& in = d.target(base + "input");
    const Target& out = d.target(base + "grad_output");
    const std::int64_t maxTokens = in.shape[0];
    const std::int64_t dIn = in.shape[1];
    const std::int64_t dOut = out.shape[1];
    // One sample at a time: the padded copy stays small whatever the batch.
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t length = lengths[i];
        if (length < 0 || length > tokens || length > maxTokens) {
            throw Error("sample " + std::to_string(first + i) + " of '" + parameter + "' has " +
                        std::to_string(length) + " tokens, at most " +
                        std::to_string(std::min(tokens, maxTokens)) + " fit");
        }
        const float* x = input + i * tokens * dIn;
        const float* g = gradOutput + i * tokens * dOut;
        const float s = in.dtype == DType::f16 ? balance(x, length * dIn, g, length * dOut) : 1.0F;
        const auto put = [&](const std::string& name, const float* v, std::int64_t width,
                             float factor) {
            d.scaled.assign(static_cast<std::size_t>(maxTokens * width), 0.0F);
            std::transform(v, v + length * width, d.scaled.begin(),
                           [factor](float value) { return value * factor; });
            d.write(base + name, first + i, 1, d.scaled.data());
        };
        put("input", x, dIn, 1 / s);
        put("grad_output", g, dOut, s);
    }
    h5::writeSlab(d.lengths.at(parameter), H5T_NATIVE_INT32, {first}, {count}, lengths);
}

void DumpWriter::writeFisher(const FisherSet& set, const FisherEntry& entry,
                             std::span<const double> values) {
    Impl& d = *m_impl;
    d.requireTask();
    if (h5::product(entry.shape) != static_cast<std::int64_t>(values.size())) {
        throw Error("a Fisher of shape " + h5::toString(entry.shape) + " was given " +
                    std::to_string(values.size()) + " values");
    }
    const h5::Lock lock;
    const h5::Object group = d.groupOf({"fisher", set.name});
    const std::vector<float> stored(values.begin(), values.end());
    const h5::Object data =
        h5::createDataset(group, entry.parameter, H5T_NATIVE_FLOAT, entry.shape);
    if (!stored.empty()) {
        h5::writeAll(data, H5T_NATIVE_FLOAT, stored.data());
    }
    // On the dataset, and on its set for readers that look there.
    for (const h5::Object* at : {&data, &group}) {
        h5::writeAttribute(*at, "estimator", set.estimator);
        h5::writeAttribute(*at, "decay", set.decay);
        h5::writeAttribute(*at, "n_samples", set.samples);
        h5::writeAttribute(*at, "bias_corrected", std::int64_t(set.biasCorrected ? 1 : 0));
        h5::writeAttribute(*at, "resolution", std::string(resolutionName(entry.resolution)));
        h5::writeAttribute(*at, "reduction", std::string(entry.reducedBySum ? "sum" : "mean"));
    }
}

void DumpWriter::writeHeadTypes(const HeadTypes& types) {
    Impl& d = *m_impl;
    const h5::Lock lock;
    const h5::Object model = d.root.group("model");
    const std::int64_t layers = model.requireInt("num_layers");
    const std::int64_t heads = model.requireInt("num_heads");
    if (static_cast<std::int64_t>(types.type.size()) != layers * heads) {
        throw Error("head types of " + std::to_string(types.type.size()) + " heads, expected " +
                    std::to_string(layers * heads));
    }
    const h5::Object data =
        h5::createDataset(d.root, "head_types", H5T_NATIVE_UINT8, {layers, heads});
    h5::writeAll(data, H5T_NATIVE_UINT8, types.type.data());
    h5::writeAttribute(data, "names", types.names);
    if (!types.scores.empty()) {
        const auto n = static_cast<std::int64_t>(types.names.size());
        if (static_cast<std::int64_t>(types.scores.size()) != layers * heads * n) {
            throw Error("head scores don't fit the head types");
        }
        const h5::Object scores =
            h5::createDataset(d.root, "head_scores", H5T_NATIVE_FLOAT, {layers, heads, n});
        h5::writeAll(scores, H5T_NATIVE_FLOAT, types.scores.data());
        h5::writeAttribute(scores, "names", types.names);
    }
}

void DumpWriter::writeLosses(std::span<const float> losses) {
    Impl& d = *m_impl;
    d.requireTask();
    if (static_cast<std::int64_t>(losses.size()) != d.samples) {
        throw Error(std::to_string(losses.size()) + " losses for " + std::to_string(d.samples) +
                    " samples");
    }
    const h5::Lock lock;
    const h5::Object data =
        d.samplesGroup.has("loss")
            ? d.samplesGroup.dataset("loss")
            : h5::createDataset(d.samplesGroup, "loss", H5T_NATIVE_FLOAT, {d.samples});
    if (!losses.empty()) {
        h5::writeAll(data, H5T_NATIVE_FLOAT, losses.data());
    }
}

const StorageLoss& DumpWriter::storageLoss() const {
    return m_impl->loss;
}

void DumpWriter::commit() {
    Impl& d = *m_impl;
    d.checkWhole();
    {
        const h5::Lock lock;
        if (H5Fflush(d.file.get(), H5F_SCOPE_GLOBAL) < 0) {
            throw InputError("can't be written" + h5::because(), d.path(), {},
                             "the disk may be full");
        }
        d.targets.clear();
        d.lengths.clear();
        d.samplesGroup = {};
        d.task = {};
        d.root = {};
        d.file.reset();
    }
    d.atomic.commit();
}

} // namespace qkov::dump
