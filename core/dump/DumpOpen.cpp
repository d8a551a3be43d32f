// SPDX-License-Identifier: GPL-3.0-or-later
// Structure of a dump: what is there, and whether it fits together.
#include "dump/DumpImpl.h"
#include "dump/Probe.h"
#include "dump/SampleTable.h"
#include "dump/StorageCheck.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <nlohmann/json.hpp>
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

TaskInfo readTask(const h5::Object& group, const std::string& name, const Attempt& attempt) {
    if (!isUtf8(name)) {
        group.fail("its name is not valid UTF-8");
    }
    TaskInfo task;
    task.name = name;
    task.lossReduction = group.stringAttribute("loss_reduction").value_or("mean");
    attempt([&] {
        if (task.lossReduction != "mean" && task.lossReduction != "sum") {
            group.fail("attribute loss_reduction is \"" + task.lossReduction +
                       "\", expected mean or sum");
        }
    });
    task.samples = readSamples(group.group("samples"), attempt);
    return task;
}

/// What the format asks for although reading does without.
void reportLacking(const h5::Object& task, std::vector<std::string>& problems) {
    if (!task.stringAttribute("loss_reduction")) {
        problems.push_back(task.path() + ": attribute loss_reduction is missing; mean is assumed");
    }
    const h5::Object samples = task.group("samples");
    if (!samples.findDataset("n_tokens")) {
        problems.push_back(samples.childPath("n_tokens") +
                           ": is missing; gradients can't be scaled per token");
    }
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
    probe(
        file,
        [&] {
            std::vector<std::string> lost;
            DumpReader::Impl trial;
            trial.file = file;
            trial.problems = problems ? &lost : nullptr;
            trial.attempt([&] { trial.openHere(layoutJson); });
        },
        job);
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
    if (problems && !info.model.configJson.empty() &&
        !nlohmann::json::parse(info.model.configJson, nullptr, false).is_object()) {
        problems->push_back(modelGroup.path() + ": attribute config_json is not a JSON object");
    }
    attempt([&] { info.headTypes = readHeadTypes(root, info.model); });

    const h5::Object taskParent = root.group("tasks");
    std::vector<h5::Object> groups;
    for (const std::string& name : taskParent.children()) {
        attempt([&] {
            h5::Object group = taskParent.group(name);
            info.tasks.push_back(readTask(
                group, name, [this](const std::function<void()>& part) { attempt(part); }));
            if (problems) {
                reportLacking(group, *problems);
            }
            groups.push_back(std::move(group));
        });
    }
    if (groups.empty()) {
        if (problems && !problems->empty() && !taskParent.children().empty()) {
            return; // what is wrong with each was told
        }
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
        taskParent.fail(names.empty()
                            ? std::string("holds no gradients")
                            : "none of its " + std::to_string(names.size()) + " parameters (\"" +
                                  names.front() + "\", …) has a name that " +
                                  info.model.architecture + " models give to attention weights",
                        "check the model's architecture, or give a layout file");
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
        checkCancelled();
        openTask(*this, groups[i], info.tasks[i]);
    }
    std::error_code ignored;
    info.fileBytes = std::filesystem::file_size(file, ignored);
    info.fingerprint = fingerprintOf(*this);
}

} // namespace qkov::dump
