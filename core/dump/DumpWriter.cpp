// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpWriter.h"

#include "base/AtomicFile.h"
#include "dump/CheckedStore.h"
#include "dump/FloatType.h"
#include "dump/Hdf5.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <set>

namespace qkov::dump {
namespace {

constexpr std::size_t bufferBytes = std::size_t(4) << 20;

std::string now() {
    const std::time_t t = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&t, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

/// HDF5's strings end at a NUL.
std::string withoutNul(std::string s) {
    for (std::size_t at = 0; (at = s.find('\0', at)) != std::string::npos; at += 3) {
        s.replace(at, 1, "\xEF\xBF\xBD");
    }
    return s;
}

template <class Get>
std::vector<std::string> strings(const std::vector<SampleInfo>& samples, Get get) {
    std::vector<std::string> out;
    out.reserve(samples.size());
    for (const SampleInfo& s : samples) {
        out.push_back(withoutNul(get(s)));
    }
    return out;
}

/// A dataset [n, …] that is filled sample by sample.
struct Target {
    h5::Object set;
    DType dtype = DType::f32;
    h5::Dims dims;
    std::int64_t perSample = 0;
    std::vector<bool> written;
};

const char* resolutionName(Resolution r) {
    return r == Resolution::element ? "element" : r == Resolution::head ? "head" : "type";
}

} // namespace

struct DumpWriter::Impl {
    AtomicFile file;
    h5::Handle id;
    h5::Object root;
    h5::Object tasks;
    // The running task.
    h5::Object task, samples;
    std::map<std::string, h5::Object> groups;
    std::int64_t n = 0;
    std::map<std::string, Target> gradients, contributions, inputs, gradOutputs;
    std::map<std::string, h5::Object> lengths;
    std::map<std::string, std::string> ownerOf; ///< of shared inputs; owners stand for themselves
    std::set<std::string> taskNames;
    StorageLoss loss;
    std::vector<std::byte> buffer;
    std::vector<float> scaled;

    explicit Impl(const std::filesystem::path& path)
        : file(path) {}

    h5::Object& group(const std::string& name) {
        if (!task) {
            throw Error("DumpWriter: beginTask comes first");
        }
        auto it = groups.find(name);
        if (it == groups.end()) {
            it = groups.emplace(name, h5::createGroup(task, name)).first;
        }
        return it->second;
    }

    Target target(const h5::Object& parent, const std::string& name, const h5::Dims& shape,
                  DType dtype) const {
        Target t;
        t.dtype = dtype;
        t.dims = {n};
        t.dims.insert(t.dims.end(), shape.begin(), shape.end());
        t.perSample = h5::product(shape);
        const std::int64_t all = h5::product(t.dims);
        if (t.perSample < 1 || all < 1 || all > INT64_MAX / 8) {
            throw InputError("can't be stored with shape " + h5::toString(t.dims), file.target(),
                             parent.childPath(name));
        }
        t.set = createFloats(parent, name, dtype, t.dims);
        t.written.assign(static_cast<std::size_t>(n), false);
        return t;
    }

    static Target& find(std::map<std::string, Target>& in, const std::string& name) {
        const auto it = in.find(name);
        if (it == in.end()) {
            throw Error("DumpWriter: " + name + " was not declared");
        }
        return it->second;
    }

    void checkRange(std::int64_t first, std::int64_t count) const {
        if (first < 0 || count < 0 || first > n - count) {
            throw Error("DumpWriter: samples " + std::to_string(first) + " to " +
                        std::to_string(first + count) + " of " + std::to_string(n));
        }
    }

    /// Converts, and complains about the first number that doesn't fit.
    void convert(const Target& t, std::int64_t sample, const float* values, std::size_t n_,
                 std::byte* to) {
        const std::size_t bad = storeChecked(values, n_, t.dtype, to, loss);
        if (bad < n_) {
            t.set.fail("sample " + std::to_string(sample) + " has the value " +
                           std::to_string(values[bad]) + ", too large for " +
                           std::string(dtypeName(t.dtype)),
                       "use --dtype f32");
        }
    }

    void write(Target& t, std::int64_t first, std::int64_t count, const float* values) {
        checkRange(first, count);
        const std::size_t sampleBytes = static_cast<std::size_t>(t.perSample) * dtypeSize(t.dtype);
        const std::int64_t step =
            std::max<std::int64_t>(1, static_cast<std::int64_t>(bufferBytes / sampleBytes));
        const h5::Handle type = storedType(t.dtype);
        for (std::int64_t at = 0; at < count; at += step) {
            const std::int64_t m = std::min(step, count - at);
            buffer.resize(static_cast<std::size_t>(m) * sampleBytes);
            for (std::int64_t i = 0; i < m; ++i) {
                convert(t, first + at + i, values + (at + i) * t.perSample,
                        static_cast<std::size_t>(t.perSample),
                        buffer.data() + static_cast<std::size_t>(i) * sampleBytes);
            }
            put(t, type, first + at, m);
        }
    }

    /// The buffer holds samples first … first + count - 1 as stored.
    void put(Target& t, const h5::Handle& type, std::int64_t first, std::int64_t count) {
        put(t, type, first, count, buffer.data());
    }
    void put(Target& t, const h5::Handle& type, std::int64_t first, std::int64_t count,
             const std::byte* values) {
        h5::Dims start(t.dims.size(), 0);
        h5::Dims extent = t.dims;
        start[0] = first;
        extent[0] = count;
        h5::writeSlab(t.set, type.get(), start, extent, values);
        std::fill(t.written.begin() + first, t.written.begin() + first + count, true);
    }

    /// One sample of a factor: `length` rows times 2^shift, then zero rows.
    void writeFactor(Target& t, std::int64_t sample, const float* values, std::int64_t length,
                     int shift) {
        const std::int64_t columns = t.dims[2];
        const auto used = static_cast<std::size_t>(length * columns);
        const std::size_t size = dtypeSize(t.dtype);
        buffer.assign(static_cast<std::size_t>(t.perSample) * size, std::byte{0});
        const float* source = values;
        if (shift != 0) {
            const float scale = std::ldexp(1.0f, shift);
            scaled.resize(used);
            for (std::size_t i = 0; i < used; ++i) {
                scaled[i] = values[i] * scale;
            }
            source = scaled.data();
        }
        convert(t, sample, source, used, buffer.data());
        put(t, storedType(t.dtype), sample, 1);
    }

    /// One sample of a factor as stored, then zero rows.
    void writeStored(Target& t, std::int64_t sample, const std::byte* values, std::int64_t length) {
        const h5::Handle type = storedType(t.dtype);
        if (length == t.dims[1]) {
            put(t, type, sample, 1, values);
            return;
        }
        const std::size_t size = dtypeSize(t.dtype);
        buffer.assign(static_cast<std::size_t>(t.perSample) * size, std::byte{0});
        std::memcpy(buffer.data(), values, static_cast<std::size_t>(length * t.dims[2]) * size);
        put(t, type, sample, 1);
    }

    void checkLength(const Target& input, std::int64_t length, std::int64_t tokens) const {
        if (length < 0 || length > tokens || length > input.dims[1]) {
            throw Error("DumpWriter: " + std::to_string(length) + " tokens of " +
                        std::to_string(std::min(tokens, input.dims[1])));
        }
    }

    void checkComplete(const std::map<std::string, Target>& targets) const {
        for (const auto& [name, t] : targets) {
            const auto hole = std::find(t.written.begin(), t.written.end(), false);
            if (hole != t.written.end()) {
                t.set.fail("sample " + std::to_string(hole - t.written.begin()) +
                           " was never written");
            }
        }
    }

    void endTask() {
        checkComplete(gradients);
        checkComplete(contributions);
        checkComplete(inputs);
        checkComplete(gradOutputs);
        close();
    }

    void close() {
        gradients.clear();
        contributions.clear();
        inputs.clear();
        gradOutputs.clear();
        lengths.clear();
        ownerOf.clear();
        groups.clear();
        samples = h5::Object();
        task = h5::Object();
    }
};

DumpWriter::DumpWriter(const std::filesystem::path& file, const model::ModelShape& model,
                       const std::string& createdBy)
    : m_impl(std::make_unique<Impl>(file)) {
    const h5::Lock lock;
    m_impl->id = h5::createFile(m_impl->file.temporary(), file);
    h5::Handle group(H5Gopen2(m_impl->id.get(), "/", H5P_DEFAULT), H5Gclose);
    if (!group) {
        throw InputError("can't be written" + h5::because(), file);
    }
    m_impl->root = h5::Object(std::move(group), file, "/");
    const h5::Object& root = m_impl->root;
    h5::writeAttribute(root, "format", std::string("qkov-dump"));
    h5::writeAttribute(root, "format_version", std::int64_t(1));
    h5::writeAttribute(root, "created_by", createdBy);
    h5::writeAttribute(root, "created_at", now());
    const h5::Object m = h5::createGroup(root, "model");
    h5::writeAttribute(m, "name", model.name);
    h5::writeAttribute(m, "architecture", model.architecture);
    h5::writeAttribute(m, "num_layers", model.numLayers);
    h5::writeAttribute(m, "num_heads", model.numHeads);
    h5::writeAttribute(m, "num_kv_heads", model.numKvHeads);
    h5::writeAttribute(m, "head_dim", model.headDim);
    h5::writeAttribute(m, "v_head_dim", model.vHeadDim);
    h5::writeAttribute(m, "hidden_dim", model.hiddenDim);
    h5::writeAttribute(m, "config_json", model.configJson);
    if (!model.layoutJson.empty()) {
        h5::writeAttribute(m, "layout_json", model.layoutJson);
    }
    m_impl->tasks = h5::createGroup(root, "tasks");
}

DumpWriter::~DumpWriter() = default;

void DumpWriter::beginTask(const std::string& name, const std::string& lossReduction,
                           const std::vector<SampleInfo>& samples,
                           const std::vector<std::vector<std::int32_t>>& tokenIds) {
    Impl& d = *m_impl;
    d.endTask();
    if (name.empty() || name == "." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
        throw UsageError("\"" + name +
                         "\" can't be the name of a task: it must not be empty or "
                         "contain \"/\"");
    }
    if (!d.taskNames.insert(name).second) {
        throw UsageError("task \"" + name + "\" is given twice");
    }
    if (samples.empty()) {
        throw InputError("task \"" + name + "\" has no samples");
    }
    std::set<std::string> ids;
    for (const SampleInfo& s : samples) {
        if (s.id.empty() || s.id.find('\0') != std::string::npos || !ids.insert(s.id).second) {
            throw InputError("task \"" + name + "\": the sample id \"" + s.id +
                             "\" is empty or not unique");
        }
    }
    if (!tokenIds.empty() && tokenIds.size() != samples.size()) {
        throw Error("DumpWriter: token ids of " + std::to_string(tokenIds.size()) + " samples, " +
                    std::to_string(samples.size()) + " expected");
    }
    d.n = static_cast<std::int64_t>(samples.size());
    d.task = h5::createGroup(d.tasks, name);
    h5::writeAttribute(d.task, "loss_reduction", lossReduction);
    d.samples = h5::createGroup(d.task, "samples");
    h5::writeStrings(d.samples, "id", strings(samples, [](const auto& s) { return s.id; }));
    const auto any = [&](auto test) { return std::any_of(samples.begin(), samples.end(), test); };
    if (any([](const SampleInfo& s) { return !s.text.empty(); })) {
        h5::writeStrings(d.samples, "text", strings(samples, [](const auto& s) { return s.text; }));
    }
    if (any([](const SampleInfo& s) { return !s.group.empty(); })) {
        h5::writeStrings(d.samples, "group",
                         strings(samples, [](const auto& s) { return s.group; }));
    }
    std::vector<std::int32_t> counts;
    std::vector<float> losses;
    for (const SampleInfo& s : samples) {
        counts.push_back(s.tokens);
        losses.push_back(s.loss);
    }
    h5::writeAll(h5::createDataset(d.samples, "n_tokens", H5T_STD_I32LE, {d.n}), H5T_NATIVE_INT32,
                 counts.data());
    if (any([](const SampleInfo& s) { return !std::isnan(s.loss); })) {
        writeLosses(losses);
    }
    if (!tokenIds.empty()) {
        const h5::Lock lock;
        const h5::Handle type(H5Tvlen_create(H5T_NATIVE_INT32), H5Tclose);
        std::vector<hvl_t> lists;
        for (const auto& list : tokenIds) {
            lists.push_back({list.size(), const_cast<std::int32_t*>(list.data())});
        }
        h5::writeAll(h5::createDataset(d.samples, "tokens", type.get(), {d.n}), type.get(),
                     lists.data());
    }
}

void DumpWriter::declareGradients(const std::string& parameter,
                                  const std::vector<std::int64_t>& shape, DType dtype) {
    Impl& d = *m_impl;
    d.gradients.emplace(parameter, d.target(d.group("gradients"), parameter, shape, dtype));
}

void DumpWriter::writeGradients(const std::string& parameter, std::int64_t first,
                                std::int64_t count, const float* values) {
    m_impl->write(Impl::find(m_impl->gradients, parameter), first, count, values);
}

void DumpWriter::declareContributions(const std::string& parameter,
                                      const std::vector<std::int64_t>& shape, DType dtype,
                                      bool perToken) {
    Impl& d = *m_impl;
    Target t = d.target(d.group("contributions"), parameter, shape, dtype);
    h5::writeAttribute(t.set, "definition", std::string(perToken ? "g^2/tokens" : "g^2"));
    d.contributions.emplace(parameter, std::move(t));
}

void DumpWriter::writeContributions(const std::string& parameter, std::int64_t first,
                                    std::int64_t count, const float* values) {
    m_impl->write(Impl::find(m_impl->contributions, parameter), first, count, values);
}

void DumpWriter::declareFactors(const std::string& parameter, std::int64_t maxTokens,
                                std::int64_t dIn, std::int64_t dOut, DType dtype) {
    Impl& d = *m_impl;
    const h5::Object group = h5::createGroup(d.group("factors"), parameter);
    d.inputs.emplace(parameter, d.target(group, "input", {maxTokens, dIn}, dtype));
    d.gradOutputs.emplace(parameter, d.target(group, "grad_output", {maxTokens, dOut}, dtype));
    d.lengths.emplace(parameter, h5::createDataset(group, "length", H5T_STD_I32LE, {d.n}));
}

void DumpWriter::declareFactorsSharing(const std::string& parameter, const std::string& owner,
                                       std::int64_t dOut, DType dtype) {
    Impl& d = *m_impl;
    Target& input = Impl::find(d.inputs, owner);
    if (std::find(input.written.begin(), input.written.end(), true) != input.written.end()) {
        throw Error("DumpWriter: " + owner + " is written already");
    }
    const h5::Object group = h5::createGroup(d.group("factors"), parameter);
    h5::linkDataset(input.set, group, "input");
    d.gradOutputs.emplace(parameter, d.target(group, "grad_output", {input.dims[1], dOut}, dtype));
    d.lengths.emplace(parameter, h5::createDataset(group, "length", H5T_STD_I32LE, {d.n}));
    d.ownerOf[owner] = owner;
    d.ownerOf[parameter] = owner;
}

void DumpWriter::writeFactors(const std::string& parameter, std::int64_t first, std::int64_t count,
                              std::int64_t tokens, const float* input, const float* gradOutput,
                              const std::int32_t* lengths) {
    Impl& d = *m_impl;
    d.checkRange(first, count);
    const auto owner = d.ownerOf.find(parameter);
    const bool shared = owner != d.ownerOf.end();
    const bool sharer = shared && owner->second != parameter;
    Target& in = Impl::find(d.inputs, shared ? owner->second : parameter);
    Target& out = Impl::find(d.gradOutputs, parameter);
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t length = lengths[i];
        d.checkLength(in, length, tokens);
        const float* x = sharer ? nullptr : input + i * tokens * in.dims[2];
        const float* g = gradOutput + i * tokens * out.dims[2];
        int shift = 0;
        if (in.dtype == DType::f16 && !shared) {
            // Both factors get the same largest exponent: neither underflows before the other.
            const float largestX = largestFinite(x, static_cast<std::size_t>(length * in.dims[2]));
            const float largestG = largestFinite(g, static_cast<std::size_t>(length * out.dims[2]));
            if (largestX > 0 && largestG > 0) {
                const int difference = std::ilogb(largestG) - std::ilogb(largestX);
                shift = difference >= 0 ? difference / 2 : -((1 - difference) / 2);
            } else if (largestX > 0) {
                shift = std::min(0, 14 - std::ilogb(largestX));
            }
        }
        if (!sharer) {
            d.writeFactor(in, first + i, x, length, shift);
        }
        d.writeFactor(out, first + i, g, length, -shift);
    }
    h5::writeSlab(d.lengths.at(parameter), H5T_NATIVE_INT32, {first}, {count}, lengths);
}

void DumpWriter::writeStoredFactors(const std::string& parameter, std::int64_t sample,
                                    std::int32_t length, const void* input,
                                    const void* gradOutput) {
    Impl& d = *m_impl;
    d.checkRange(sample, 1);
    const auto owner = d.ownerOf.find(parameter);
    const bool sharer = owner != d.ownerOf.end() && owner->second != parameter;
    Target& in = Impl::find(d.inputs, sharer ? owner->second : parameter);
    Target& out = Impl::find(d.gradOutputs, parameter);
    d.checkLength(in, length, in.dims[1]);
    if (!sharer) {
        d.writeStored(in, sample, static_cast<const std::byte*>(input), length);
    }
    d.writeStored(out, sample, static_cast<const std::byte*>(gradOutput), length);
    h5::writeSlab(d.lengths.at(parameter), H5T_NATIVE_INT32, {sample}, {1}, &length);
}

void DumpWriter::writeFisher(const FisherSet& set, const FisherEntry& entry,
                             std::span<const double> values) {
    Impl& d = *m_impl;
    if (h5::product(entry.shape) != static_cast<std::int64_t>(values.size())) {
        throw Error("DumpWriter: Fisher of " + entry.parameter + " has " +
                    std::to_string(values.size()) + " values for " + h5::toString(entry.shape));
    }
    d.group("fisher");
    const std::string key = "fisher/" + set.name;
    if (!d.groups.contains(key)) {
        d.groups.emplace(key, h5::createGroup(d.group("fisher"), set.name));
    }
    // Squares of tiny gradients may lie outside float32: those sets are kept as float64.
    const bool wide = std::any_of(values.begin(), values.end(), [](double v) {
        const double a = std::abs(v);
        return a != 0 && std::isfinite(a) &&
               (a < double(std::numeric_limits<float>::min()) ||
                a > double(std::numeric_limits<float>::max()));
    });
    const h5::Object target = createFloats(d.groups.at(key), entry.parameter,
                                           wide ? DType::f64 : DType::f32, entry.shape);
    h5::writeAll(target, H5T_NATIVE_DOUBLE, values.data());
    h5::writeAttribute(target, "estimator", set.estimator);
    h5::writeAttribute(target, "decay", set.decay);
    h5::writeAttribute(target, "n_samples", set.samples);
    h5::writeAttribute(target, "bias_corrected", std::int64_t(set.biasCorrected ? 1 : 0));
    h5::writeAttribute(target, "resolution", std::string(resolutionName(entry.resolution)));
    h5::writeAttribute(target, "reduction", std::string(entry.reducedBySum ? "sum" : "mean"));
}

void DumpWriter::writeHeadTypes(const HeadTypes& types) {
    const h5::Object& root = m_impl->root;
    const h5::Object model = root.group("model");
    const h5::Dims dims{model.requireInt("num_layers"), model.requireInt("num_heads")};
    const auto kinds = static_cast<std::int64_t>(types.names.size());
    if (h5::product(dims) != static_cast<std::int64_t>(types.type.size()) ||
        (!types.scores.empty() &&
         h5::product(dims) * kinds != static_cast<std::int64_t>(types.scores.size()))) {
        throw Error("DumpWriter: head types must be [layers, heads]");
    }
    const h5::Object set = h5::createDataset(root, "head_types", H5T_STD_U8LE, dims);
    h5::writeAll(set, H5T_NATIVE_UINT8, types.type.data());
    h5::writeAttribute(set, "names", types.names);
    if (!types.scores.empty()) {
        h5::writeAll(
            h5::createDataset(root, "head_scores", H5T_IEEE_F32LE, {dims[0], dims[1], kinds}),
            H5T_NATIVE_FLOAT, types.scores.data());
    }
}

void DumpWriter::writeLosses(std::span<const float> losses) {
    Impl& d = *m_impl;
    if (static_cast<std::int64_t>(losses.size()) != d.n || !d.samples) {
        throw Error("DumpWriter: " + std::to_string(losses.size()) + " losses for " +
                    std::to_string(d.n) + " samples");
    }
    auto set = d.samples.findDataset("loss");
    if (!set) {
        set = h5::createDataset(d.samples, "loss", H5T_IEEE_F32LE, {d.n});
    }
    h5::writeAll(*set, H5T_NATIVE_FLOAT, losses.data());
}

const StorageLoss& DumpWriter::storageLoss() const {
    return m_impl->loss;
}

void DumpWriter::startWriting() const {
    m_impl->file.startWriting();
}

void DumpWriter::commit(const std::function<void()>& between) {
    Impl& d = *m_impl;
    d.endTask();
    {
        const h5::Lock lock;
        if (H5Fflush(d.id.get(), H5F_SCOPE_GLOBAL) < 0) {
            throw InputError("can't be written" + h5::because(), d.file.target(), {},
                             "the disk may be full");
        }
        d.tasks = h5::Object();
        d.root = h5::Object();
        d.id.reset();
    }
    if (between) {
        d.file.flush(between);
    }
    d.file.commit();
}

} // namespace qkov::dump
