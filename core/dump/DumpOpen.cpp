// SPDX-License-Identifier: GPL-3.0-or-later
// Structure of a dump: what is there, and whether it fits together.
#include "dump/DumpImpl.h"
#include "dump/Probe.h"
#include "dump/SampleTable.h"
#include "dump/StorageCheck.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace qkov::dump {
namespace {

constexpr std::size_t mostTypes = 255;

model::ModelShape readModel(const h5::Object& group, const std::string& layoutJson) {
    model::ModelShape shape;
    shape.name = group.stringAttribute("name").value_or("");
    shape.architecture = group.stringAttribute("architecture").value_or("");
    shape.configJson = group.stringAttribute("config_json").value_or("");
    shape.layoutJson =
        layoutJson.empty() ? group.stringAttribute("layout_json").value_or("") : layoutJson;
    if (shape.architecture.empty() && shape.layoutJson.empty()) {
        group.fail("attribute architecture is missing");
    }
    shape.numLayers = group.requireInt("num_layers");
    shape.numHeads = group.requireInt("num_heads");
    shape.hiddenDim = group.requireInt("hidden_dim");
    shape.numKvHeads = group.intAttribute("num_kv_heads").value_or(shape.numHeads);
    const auto headDim = group.intAttribute("head_dim");
    if (!headDim && (shape.numHeads < 1 || shape.hiddenDim % shape.numHeads != 0)) {
        group.fail("attribute head_dim is missing");
    }
    shape.headDim = headDim ? *headDim : shape.hiddenDim / shape.numHeads;
    shape.vHeadDim = group.intAttribute("v_head_dim").value_or(shape.headDim);
    model::normalizeShape(shape);
    shape.check(group.file().string(), group.path());
    return shape;
}

HeadTypes readHeadTypes(const h5::Object& root, const model::ModelShape& shape) {
    HeadTypes types;
    const auto set = root.findDataset("head_types");
    if (!set) {
        return types;
    }
    const h5::Lock lock;
    const StorageInfo info = checkStorage(*set);
    if (info.dims != h5::Dims{shape.numLayers, shape.numHeads}) {
        set->fail("has shape " + h5::toString(info.dims) + ", but the model has " +
                  h5::toString({shape.numLayers, shape.numHeads}) + " layers and heads");
    }
    const auto names = set->stringsAttribute("names");
    if (!names || names->empty() || names->size() > mostTypes) {
        set->fail("attribute names must list 1 to 255 head types");
    }
    for (const std::string& name : *names) {
        if (!isUtf8(name) || std::count(names->begin(), names->end(), name) != 1) {
            set->fail("attribute names: \"" + name + "\" is not valid UTF-8 or given twice");
        }
    }
    const h5::Handle type(H5Dget_type(set->id()), H5Tclose);
    types.names = *names;
    types.type.resize(static_cast<std::size_t>(shape.numLayers * shape.numHeads));
    if (!type || H5Tget_class(type.get()) != H5T_INTEGER ||
        H5Dread(set->id(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, types.type.data()) <
            0) {
        set->fail("does not hold small integers");
    }
    for (const std::uint8_t t : types.type) {
        if (t >= types.names.size()) {
            set->fail("holds type " + std::to_string(t) + ", but only " +
                      std::to_string(types.names.size()) + " have names");
        }
    }
    const auto scores = root.findDataset("head_scores");
    if (scores) {
        const StorageInfo stored = checkStorage(*scores);
        const h5::Dims wanted{shape.numLayers, shape.numHeads,
                              static_cast<std::int64_t>(types.names.size())};
        if (stored.dims != wanted) {
            scores->fail("has shape " + h5::toString(stored.dims) + ", expected " +
                         h5::toString(wanted));
        }
        floatLayout(*scores);
        types.scores.resize(static_cast<std::size_t>(h5::product(wanted)));
        if (H5Dread(scores->id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                    types.scores.data()) < 0) {
            scores->fail("can't be read" + h5::because());
        }
    }
    return types;
}

class TaskOpener {
  public:
    TaskOpener(DumpReader::Impl& dump, const h5::Object& group, TaskInfo& task)
        : m_dump(dump)
        , m_group(group)
        , m_task(task)
        , m_sources(dump.tasks[task.name])
        , m_samples(static_cast<std::int64_t>(task.samples.size())) {}

    void open() {
        forEach("gradients", &TaskOpener::openGradients);
        forEach("factors", &TaskOpener::openFactors);
        forEach("contributions", &TaskOpener::openContributions);
        if (const auto fisher = m_group.findGroup("fisher")) {
            for (const std::string& set : fisher->children()) {
                if (set != "structural" && set != "behavioral") {
                    m_dump.info.notes.push_back(fisher->childPath(set) +
                                                ": unknown set of Fisher values, ignored");
                    continue;
                }
                m_dump.attempt([&] { openFisherSet(set, fisher->group(set)); });
            }
        }
    }

  private:
    using OpenOne = void (TaskOpener::*)(const h5::Object& parent, const std::string& name);

    void forEach(const char* folder, OpenOne openOne) {
        const auto parent = m_group.findGroup(folder);
        if (!parent) {
            return;
        }
        for (const std::string& name : parent->children()) {
            // Only what belongs to heads must be sound.
            if (!m_dump.layout->expectedShape(name).empty()) {
                m_dump.attempt([&] { (this->*openOne)(*parent, name); });
                continue;
            }
            try {
                (this->*openOne)(*parent, name);
            } catch (const InputError& e) {
                m_dump.info.notes.push_back(parent->childPath(name) + ": ignored: " + e.problem());
                m_task.parameters.erase(name);
                m_sources.parameters.erase(name);
            }
        }
    }

    NumberSource source(const h5::Object& dataset, std::int64_t samples) {
        return NumberSource(dataset, samples, m_dump.files, m_dump.datasets);
    }

    void checkShape(const std::string& name, const h5::Dims& shape, const h5::Object& at) const {
        try {
            m_dump.layout->checkShape(name, shape, m_dump.file.string());
        } catch (const InputError& e) {
            throw InputError(e.problem(), m_dump.file, at.path(), e.advice());
        }
    }

    ParameterEntry& newEntry(const std::string& name, const h5::Dims& shape, Storage storage) {
        ParameterEntry& entry = m_task.parameters[name];
        entry.name = name;
        entry.shape = shape;
        entry.storage = storage;
        const model::ParameterInfo* info = m_dump.layout->find(name);
        entry.inOut = info && info->inOut;
        return entry;
    }

    void openGradients(const h5::Object& parent, const std::string& name) {
        const h5::Object dataset = parent.dataset(name);
        NumberSource numbers = source(dataset, m_samples);
        checkShape(name, numbers.shape(), dataset);
        newEntry(name, numbers.shape(), Storage::dense).dtype = numbers.dtype();
        m_sources.parameters[name].gradients.emplace(std::move(numbers));
    }

    void openFactors(const h5::Object& parent, const std::string& name) {
        const h5::Object group = parent.group(name);
        if (m_sources.parameters.contains(name)) {
            group.fail("the same gradients are also stored under gradients/",
                       "keep one of the two");
        }
        const h5::Object inputSet = group.dataset("input");
        const h5::Object outputSet = group.dataset("grad_output");
        NumberSource input = source(inputSet, m_samples);
        NumberSource output = source(outputSet, m_samples);
        for (const auto& [numbers, set] : {std::pair(&input, &inputSet), {&output, &outputSet}}) {
            if (numbers->shape().size() != 2) {
                set->fail("has " + std::to_string(numbers->shape().size() + 1) +
                          " dimensions, expected [samples, tokens, features]");
            }
        }
        if (input.rows() != output.rows()) {
            outputSet.fail("has room for " + std::to_string(output.rows()) + " tokens, input for " +
                           std::to_string(input.rows()));
        }
        if (input.rows() > INT32_MAX) {
            inputSet.fail("has room for " + std::to_string(input.rows()) + " tokens, too many");
        }
        const model::ParameterInfo* info = m_dump.layout->find(name);
        const h5::Dims shape = info && info->inOut ? h5::Dims{input.columns(), output.columns()}
                                                   : h5::Dims{output.columns(), input.columns()};
        checkShape(name, shape, group);
        ParameterEntry& entry = newEntry(name, shape, Storage::factored);
        entry.dtype = input.dtype();
        entry.gradOutputDtype = output.dtype();
        entry.maxTokens = input.rows();
        ParameterSources& sources = m_sources.parameters[name];
        sources.lengths = readIntegers(group.dataset("length"), m_samples, 0,
                                       static_cast<std::int32_t>(input.rows()));
        sources.input.emplace(std::move(input));
        sources.gradOutput.emplace(std::move(output));
    }

    void openContributions(const h5::Object& parent, const std::string& name) {
        const h5::Object dataset = parent.dataset(name);
        NumberSource numbers = source(dataset, m_samples);
        const std::string definition = dataset.stringAttribute("definition").value_or("g^2");
        if (definition != "g^2" && definition != "g^2/tokens") {
            dataset.fail("attribute definition is \"" + definition +
                         "\", expected \"g^2\" or \"g^2/tokens\"");
        }
        checkShape(name, numbers.shape(), dataset);
        const auto known = m_task.parameters.find(name);
        if (known == m_task.parameters.end()) {
            newEntry(name, numbers.shape(), Storage::contributions).dtype = numbers.dtype();
        } else if (known->second.shape != numbers.shape()) {
            dataset.fail("is of a parameter of shape " + h5::toString(numbers.shape()) +
                         ", its gradients of one of shape " +
                         h5::toString(known->second.shape));
        }
        ParameterEntry& entry = m_task.parameters[name];
        entry.storedContributions = true;
        entry.contributionsDtype = numbers.dtype();
        entry.contributionsPerToken = definition == "g^2/tokens";
        if (entry.contributionsPerToken && entry.storage == Storage::contributions) {
            for (std::size_t i = 0; i < m_task.samples.size(); ++i) {
                if (m_task.samples[i].tokens < 1) {
                    dataset.fail("holds g^2/tokens, but samples/n_tokens of sample " +
                                 std::to_string(i) + " is missing or 0");
                }
            }
        }
        m_sources.parameters[name].contributions.emplace(std::move(numbers));
    }

    void openFisherSet(const std::string& name, const h5::Object& group) {
        FisherSet set;
        set.name = name;
        bool first = true;
        for (const std::string& parameter : group.children()) {
            if (m_dump.layout->expectedShape(parameter).empty()) {
                m_dump.info.notes.push_back(group.childPath(parameter) +
                                            ": belongs to no head, ignored");
                continue;
            }
            m_dump.attempt([&] { openFisherOf(set, parameter, group, first); });
        }
        if (!first) {
            m_task.fisher.emplace(name, std::move(set));
        }
    }

    void openFisherOf(FisherSet& set, const std::string& parameter, const h5::Object& group,
                      bool& first) {
        const h5::Object dataset = group.dataset(parameter);
        const FisherSet own = readFisherAttributes(set.name, dataset, group);
        if (first) {
            set.estimator = own.estimator;
            set.decay = own.decay;
            set.samples = own.samples;
            set.biasCorrected = own.biasCorrected;
            first = false;
        } else if (own.estimator != set.estimator || own.decay != set.decay ||
                   own.samples != set.samples || own.biasCorrected != set.biasCorrected) {
            dataset.fail("its estimator, decay, n_samples or bias_corrected differ from those of "
                         "the set's other parameters");
        }
        openFisher(set, parameter, dataset, group);
    }

    FisherSet readFisherAttributes(const std::string& name, const h5::Object& dataset,
                                   const h5::Object& group) const {
        FisherSet set;
        set.name = name;
        const auto text = [&](const char* key) {
            auto value = dataset.stringAttribute(key);
            return value ? value : group.stringAttribute(key);
        };
        const auto integer = [&](const char* key) {
            const auto value = dataset.intAttribute(key);
            return value ? value : group.intAttribute(key);
        };
        set.estimator = text("estimator").value_or("");
        if (set.estimator != "ema" && set.estimator != "mean" && set.estimator != "oneshot") {
            dataset.fail(set.estimator.empty()
                             ? std::string("attribute estimator is missing")
                             : "attribute estimator is \"" + set.estimator +
                                   "\", expected ema, mean or oneshot");
        }
        auto decay = dataset.doubleAttribute("decay");
        if (!decay) {
            decay = group.doubleAttribute("decay");
        }
        set.decay = decay.value_or(set.decay);
        set.samples = integer("n_samples").value_or(m_samples);
        set.biasCorrected = integer("bias_corrected").value_or(1) != 0;
        if (set.samples < 1) {
            dataset.fail("attribute n_samples is " + std::to_string(set.samples));
        }
        if (set.estimator == "ema" && !(set.decay >= 0 && set.decay < 1)) {
            dataset.fail("attribute decay is " + std::to_string(set.decay) +
                         ", expected 0 up to 1");
        }
        return set;
    }

    void openFisher(FisherSet& set, const std::string& parameter, const h5::Object& dataset,
                    const h5::Object& group) {
        FisherSource source_{source(dataset, 0), 1};
        FisherEntry entry;
        entry.parameter = parameter;
        entry.shape = source_.values.shape();
        const auto text = [&](const char* key) {
            auto value = dataset.stringAttribute(key);
            return value ? value : group.stringAttribute(key);
        };
        const std::string resolution = text("resolution").value_or("element");
        const std::string reduction = text("reduction").value_or("mean");
        if (reduction != "mean" && reduction != "sum") {
            dataset.fail("attribute reduction is \"" + reduction + "\", expected mean or sum");
        }
        entry.reducedBySum = reduction == "sum";
        if (resolution == "element") {
            entry.resolution = Resolution::element;
            checkShape(parameter, entry.shape, dataset);
        } else if (resolution == "head" || resolution == "type") {
            entry.resolution = resolution == "head" ? Resolution::head : Resolution::type;
            checkReduced(entry, dataset);
        } else {
            dataset.fail("attribute resolution is \"" + resolution +
                         "\", expected element, head or type");
        }
        if (set.estimator == "ema" && !set.biasCorrected) {
            // 1 / (1 - β^n), exact also where β^n is close to 1.
            source_.scale = set.decay == 0 ? 1.0
                                           : -1.0 / std::expm1(static_cast<double>(set.samples) *
                                                               std::log(set.decay));
        }
        set.parameters.emplace(parameter, entry);
        m_sources.fisher[set.name].emplace(parameter, std::move(source_));
    }

    void checkReduced(const FisherEntry& entry, const h5::Object& dataset) const {
        const model::ModelShape& shape = m_dump.info.model;
        const model::ParameterInfo* info = m_dump.layout->find(entry.parameter);
        if (!info) {
            info = m_dump.layout->findByBias(entry.parameter);
        }
        const auto kinds = static_cast<std::int64_t>(m_dump.info.headTypes.names.size());
        if (entry.resolution == Resolution::type && kinds == 0) {
            dataset.fail("has one value per head type, but the dump has no /head_types");
        }
        const bool fused = info->blocks.size() > 1;
        const bool keys = info->blocks.front() == Block::K || info->blocks.front() == Block::V;
        const std::int64_t width = entry.resolution == Resolution::type ? kinds
                                   : !fused && keys                     ? shape.numKvHeads
                                                                        : shape.numHeads;
        h5::Dims wanted{width};
        if (fused) {
            wanted.insert(wanted.begin(), static_cast<std::int64_t>(info->blocks.size()));
        }
        if (entry.shape != wanted) {
            dataset.fail("has shape " + h5::toString(entry.shape) + ", expected " +
                         h5::toString(wanted) + ": one value per " +
                         (entry.resolution == Resolution::type ? "head type" : "head"));
        }
    }

    DumpReader::Impl& m_dump;
    const h5::Object& m_group;
    TaskInfo& m_task;
    TaskSources& m_sources;
    std::int64_t m_samples;
};

TaskInfo readTask(const h5::Object& group, const std::string& name) {
    if (!isUtf8(name)) {
        group.fail("its name is not valid UTF-8");
    }
    TaskInfo task;
    task.name = name;
    task.lossReduction = group.stringAttribute("loss_reduction").value_or("mean");
    if (task.lossReduction != "mean" && task.lossReduction != "sum") {
        group.fail("attribute loss_reduction is \"" + task.lossReduction +
                   "\", expected mean or sum");
    }
    task.samples = readSamples(group.group("samples"));
    return task;
}

void checkFormat(const h5::Object& root) {
    const auto format = root.stringAttribute("format");
    if (!format || *format != "qkov-dump") {
        root.fail(!format ? std::string("is not a dump: attribute format is missing")
                          : "is not a dump: attribute format is \"" + *format + "\"");
    }
    const std::int64_t version = root.requireInt("format_version");
    if (version != 1) {
        root.fail("format_version is " + std::to_string(version) + ", this program reads 1",
                  "update the program, or write the dump again");
    }
}

/// Names of every parameter that any task mentions.
std::vector<std::string> parameterNames(const std::vector<h5::Object>& tasks) {
    std::set<std::string> names;
    const auto add = [&](const std::optional<h5::Object>& group) {
        if (group) {
            const auto children = group->children();
            names.insert(children.begin(), children.end());
        }
    };
    for (const h5::Object& task : tasks) {
        add(task.findGroup("gradients"));
        add(task.findGroup("contributions"));
        add(task.findGroup("factors"));
        if (const auto fisher = task.findGroup("fisher")) {
            for (const char* set : {"structural", "behavioral"}) {
                add(fisher->findGroup(set));
            }
        }
    }
    return {names.begin(), names.end()};
}

} // namespace

std::string DumpReader::Impl::problemText(const InputError& e) {
    return (e.innerPath().empty() ? "" : e.innerPath() + ": ") + e.problem() +
           (e.advice().empty() ? "" : "; " + e.advice());
}

std::map<std::string, h5::Dims> listDump(const std::filesystem::path& file,
                                         model::ModelShape& model) {
    const h5::Lock lock;
    const h5::Object root = h5::openFile(file);
    checkFormat(root);
    model = readModel(root.group("model"), "{}");
    model.layoutJson = root.group("model").stringAttribute("layout_json").value_or("");
    std::map<std::string, h5::Dims> shapes;
    const h5::Object tasks = root.group("tasks");
    for (const std::string& task : tasks.children()) {
        const h5::Object group = tasks.group(task);
        for (const char* folder : {"gradients", "contributions"}) {
            if (const auto parent = group.findGroup(folder)) {
                for (const std::string& name : parent->children()) {
                    h5::Dims dims = checkStorage(parent->dataset(name)).dims;
                    if (!dims.empty()) {
                        dims.erase(dims.begin());
                    }
                    shapes.emplace(name, dims);
                }
            }
        }
        if (const auto parent = group.findGroup("factors")) {
            for (const std::string& name : parent->children()) {
                const h5::Dims in = checkStorage(parent->group(name).dataset("input")).dims;
                const h5::Dims out = checkStorage(parent->group(name).dataset("grad_output")).dims;
                if (in.size() == 3 && out.size() == 3) {
                    shapes.emplace(name, h5::Dims{out[2], in[2]});
                }
            }
        }
    }
    return shapes;
}

void DumpReader::Impl::open(const std::string& layoutJson) {
    probe(file, [&] {
        std::vector<std::string> lost;
        DumpReader::Impl trial;
        trial.file = file;
        trial.problems = problems ? &lost : nullptr;
        trial.openHere(layoutJson);
    });
    openHere(layoutJson);
}

void DumpReader::Impl::openHere(const std::string& layoutJson) {
    const h5::Lock lock;
    root = h5::openFile(file);
    checkFormat(root);
    info.createdBy = root.stringAttribute("created_by").value_or("");
    info.createdAt = root.stringAttribute("created_at").value_or("");
    const h5::Object modelGroup = root.group("model");
    info.model = readModel(modelGroup, layoutJson);
    attempt([&] { info.headTypes = readHeadTypes(root, info.model); });

    const h5::Object taskParent = root.group("tasks");
    std::vector<h5::Object> groups;
    for (const std::string& name : taskParent.children()) {
        attempt([&] {
            h5::Object group = taskParent.group(name);
            info.tasks.push_back(readTask(group, name));
            groups.push_back(std::move(group));
        });
    }
    if (groups.empty()) {
        taskParent.fail("holds no task");
    }
    const auto names = parameterNames(groups);
    for (const std::string& name : names) {
        if (!isUtf8(name)) {
            taskParent.fail("a parameter's name is not valid UTF-8");
        }
    }
    try {
        layout.emplace(info.model, names);
    } catch (const InputError& e) {
        throw InputError(e.problem(), file, modelGroup.path(), e.advice());
    }
    for (const std::string& name : layout->beyondLayers()) {
        attempt([&] {
            throw InputError("its layer is not in the model, which has " +
                                 std::to_string(info.model.numLayers) + " layers",
                             file, name);
        });
    }
    if (layout->parameters().empty()) {
        taskParent.fail(
            names.empty()
                ? std::string("holds no gradients")
                : "none of its " + std::to_string(names.size()) + " parameters (\"" +
                      names.front() + "\", …) has a name that " + info.model.architecture +
                      " models give to attention weights",
            "check the model's architecture, or give a layout file");
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
        TaskOpener(*this, groups[i], info.tasks[i]).open();
    }
    std::error_code ignored;
    info.fileBytes = std::filesystem::file_size(file, ignored);
    info.fingerprint = fingerprintOf(*this);
}

} // namespace qkov::dump
