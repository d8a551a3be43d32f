// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Context.h"

#include "engine/Compute.h"

#include "base/Error.h"

#include <algorithm>
#include <cmath>

namespace qkov::engine {

namespace {

using dump::DumpInfo;
using dump::FisherSet;
using dump::ParameterEntry;
using dump::TaskInfo;

const TaskInfo& findTask(const DumpInfo& info, const std::string& wanted) {
    if (const TaskInfo* task = info.task(wanted)) {
        return *task;
    }
    std::string known;
    for (const TaskInfo& task : info.tasks) {
        known += (known.empty() ? "" : ", ") + task.name;
    }
    throw UsageError(wanted.empty() ? "name two tasks; the dump has " + known
                                    : "no task \"" + wanted + "\"; the dump has " + known);
}

std::vector<std::int64_t> selectNumbers(const std::vector<std::int64_t>& wanted, std::int64_t count,
                                        const char* what) {
    std::vector<std::int64_t> out = wanted;
    if (out.empty()) {
        out.resize(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) {
            out[static_cast<std::size_t>(i)] = i;
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    for (const std::int64_t i : out) {
        if (i < 0 || i >= count) {
            throw UsageError(std::string(what) + " " + std::to_string(i) +
                             " is out of range; the " + "model has 0 to " +
                             std::to_string(count - 1));
        }
    }
    return out;
}

TaskSelection selectSamples(const TaskInfo& task, const std::vector<std::string>& ids,
                            std::int64_t most, const std::set<std::int64_t>& excluded) {
    TaskSelection selection;
    selection.task = &task;
    const auto count = static_cast<std::int64_t>(task.samples.size());
    for (std::int64_t i = 0; i < count; ++i) {
        if (!excluded.contains(i)) {
            selection.all.push_back(i);
        }
    }
    std::vector<std::int64_t> wanted;
    if (ids.empty()) {
        for (std::int64_t i = 0; i < std::min(most, count); ++i) {
            wanted.push_back(i);
        }
    } else {
        for (const std::string& id : ids) {
            const std::int64_t i = task.sampleIndex(id);
            if (i < 0) {
                throw UsageError("task \"" + task.name + "\" has no sample \"" + id + "\"");
            }
            if (std::find(wanted.begin(), wanted.end(), i) == wanted.end()) {
                wanted.push_back(i);
            }
        }
    }
    for (const std::int64_t i : wanted) {
        if (!excluded.contains(i)) {
            selection.selected.push_back(i);
        }
    }
    if (selection.selected.empty()) {
        throw InputError("task \"" + task.name + "\" has no usable sample");
    }
    return selection;
}

const FisherSet* findSet(const TaskInfo& task, const char* setName) {
    const auto it = task.fisher.find(setName);
    return it == task.fisher.end() ? nullptr : &it->second;
}

bool structuralSetServes(const TaskInfo& task, const ScoreRequest& request) {
    const FisherSet* set = findSet(task, "structural");
    return set != nullptr && (!request.estimator || set->estimator == name(*request.estimator));
}

void checkNumbers(const ScoreRequest& r) {
    const auto& reg = r.regularization;
    const auto bad = [](double v) { return !(v >= 0) || std::isinf(v); };
    if (bad(reg.epsilon) || bad(reg.ridge) || bad(reg.ridgeRelative)) {
        throw UsageError("epsilon and the ridges must be 0 or greater");
    }
    if (r.maxSamples < 1) {
        throw UsageError("the number of samples must be at least 1");
    }
    if (!(r.emaDecay >= 0 && r.emaDecay < 1)) {
        throw UsageError("the decay of the moving average must be at least 0 and less than 1");
    }
}

bool behavioralPossible(const Context& c) {
    if (!c.source->info().headTypes.names.empty()) {
        return true;
    }
    const auto tasks = c.fisherTasks();
    return std::all_of(tasks.begin(), tasks.end(), [&](int t) {
        return findSet(*c.tasks[static_cast<std::size_t>(t)].task, "behavioral") != nullptr;
    });
}

/// Sets mode and estimator where they are open, and says what was chosen.
void settleModes(Context& c) {
    ScoreRequest& r = c.request;
    if (c.profile()) {
        // Neither applies; the names in config_json are the ones that change nothing.
        r.mode = r.mode.value_or(Mode::structural);
        r.estimator = r.estimator.value_or(Estimator::ema);
        c.modes = {*r.mode};
        return;
    }
    const bool able = behavioralPossible(c);
    if (c.modes.empty()) {
        if (!r.mode) {
            r.mode = able ? Mode::behavioral : Mode::structural;
            if (!able) {
                c.notes.push_back("Mode structural was chosen: the dump has neither head types nor "
                                  "a behavioral Fisher, which behavioral needs.");
            }
        }
        c.modes = {*r.mode};
    }
    for (const Mode m : c.modes) {
        if (m != Mode::structural && !able) {
            throw InputError("mode " + name(m) + " needs head types or a behavioral Fisher",
                             c.source->file(), "head_types",
                             "collect again with --head-types, or use --mode structural");
        }
    }
    if (!r.mode) {
        r.mode = c.modes.front();
    }
    // The estimator: what will be used, where it was left open.
    const bool wasOpen = !r.estimator;
    std::set<std::string> used;
    for (const int t : c.fisherTasks()) {
        const TaskInfo& task = *c.tasks[static_cast<std::size_t>(t)].task;
        if (structuralSetServes(task, r)) {
            const FisherSet& set = *findSet(task, "structural");
            used.insert(set.estimator);
            if (set.estimator == "oneshot") {
                c.notes.push_back("The stored Fisher of task \"" + task.name +
                                  "\" is a one-shot estimate.");
            }
        } else {
            used.insert(name(r.estimator.value_or(Estimator::ema)));
            if (findSet(task, "structural") != nullptr) {
                c.notes.push_back("The Fisher of task \"" + task.name + "\" was computed (" +
                                  name(*r.estimator) + "): the stored one is " +
                                  findSet(task, "structural")->estimator + ".");
            }
        }
    }
    c.estimator = r.estimator.value_or(
        used.contains("mean") && !used.contains("ema") ? Estimator::mean : Estimator::ema);
    if (wasOpen && used.size() > 1) {
        c.notes.push_back("The two tasks' Fishers come from different estimators.");
    }
}

void warn(Context& c) {
    const ScoreRequest& r = c.request;
    const bool usesStructural = c.needsStructural() && !c.profile();
    if (usesStructural && r.fisherTask == FisherTask::a && r.variant == Variant::magnitude) {
        c.notes.push_back("With task A's own Fisher the structural map hardly depends on A: it is "
                          "close to the mean gradient size of B. Use --fisher-task pooled.");
    }
    if (r.gradScale == GradScale::perToken && r.variant != Variant::cosine && !c.profile()) {
        const TaskInfo& task = *c.tasks[1].task;
        for (const std::int64_t i : c.tasks[1].selected) {
            const auto& sample = task.samples[static_cast<std::size_t>(i)];
            if (sample.tokens <= 0) {
                throw InputError("sample \"" + sample.id + "\" has no number of predicted tokens",
                                 c.source->file(), "tasks/" + task.name + "/samples/n_tokens",
                                 "use --grad-scale none");
            }
        }
        if (task.lossReduction == "mean") {
            c.notes.push_back("The loss of task \"" + task.name +
                              "\" is already a mean over tokens; per_token divides once more.");
        }
    }
}

} // namespace

bool Context::needsStructural() const {
    return std::any_of(modes.begin(), modes.end(), [](Mode m) { return m != Mode::behavioral; });
}

bool Context::needsBehavioral() const {
    return std::any_of(modes.begin(), modes.end(), [](Mode m) { return m != Mode::structural; });
}

std::vector<int> Context::fisherTasks() const {
    switch (request.fisherTask) {
    case FisherTask::a:
        return {0};
    case FisherTask::b:
        return {1};
    case FisherTask::pooled:
        break;
    }
    return {0, 1};
}

Operand Context::contributions(const ParameterEntry& entry) {
    if (entry.storedContributions || entry.storage == dump::Storage::contributions) {
        return {Quantity::contributions, Transform::identity, false};
    }
    return {Quantity::gradients, Transform::square, false};
}

Operand Context::left(const ParameterEntry& entry) const {
    switch (request.variant) {
    case Variant::signedProduct:
    case Variant::cosine:
        return {Quantity::gradients, Transform::identity, false};
    case Variant::symmetric: {
        const Operand c = contributions(entry);
        return c.quantity == Quantity::contributions
                   ? Operand{Quantity::contributions, Transform::squareRoot, false}
                   : Operand{Quantity::gradients, Transform::absolute, false};
    }
    case Variant::magnitude:
    case Variant::natural:
    case Variant::profile:
        break;
    }
    return contributions(entry);
}

Operand Context::right(const ParameterEntry& entry) const {
    switch (request.variant) {
    case Variant::signedProduct:
    case Variant::cosine:
    case Variant::symmetric:
        return left(entry);
    case Variant::magnitude:
    case Variant::natural:
    case Variant::profile:
        break;
    }
    if (entry.storage == dump::Storage::contributions) {
        return {Quantity::contributions, Transform::squareRoot, entry.contributionsPerToken};
    }
    return {Quantity::gradients, Transform::absolute, false};
}

FisherOrigin Context::structuralOrigin(int task, const std::string& parameter) const {
    const TaskInfo& info = *tasks[static_cast<std::size_t>(task)].task;
    if (structuralSetServes(info, request)) {
        const FisherSet& set = *findSet(info, "structural");
        const auto it = set.parameters.find(parameter);
        if (it != set.parameters.end() && it->second.resolution != dump::Resolution::type) {
            return it->second.resolution == dump::Resolution::element ? FisherOrigin::elements
                                                                      : FisherOrigin::reduced;
        }
    }
    return FisherOrigin::computed;
}

bool Context::behavioralStored(const std::string& parameter) const {
    for (const int t : fisherTasks()) {
        const FisherSet* set = findSet(*tasks[static_cast<std::size_t>(t)].task, "behavioral");
        if (set == nullptr || !set->parameters.contains(parameter)) {
            return false;
        }
    }
    return true;
}

double Context::fisherSamples(int task, const char* setName, const std::string& parameter) const {
    const TaskSelection& selection = tasks[static_cast<std::size_t>(task)];
    const bool computed = std::string(setName) == "structural" &&
                          structuralOrigin(task, parameter) == FisherOrigin::computed;
    const FisherSet* set = findSet(*selection.task, setName);
    if (!computed && set != nullptr && set->samples > 0) {
        return static_cast<double>(set->samples);
    }
    return static_cast<double>(computed ? selection.all.size() : selection.task->samples.size());
}

double Context::fisherShare(int task, const char* setName, const std::string& parameter) const {
    if (request.fisherTask != FisherTask::pooled) {
        return 1;
    }
    const double a = fisherSamples(0, setName, parameter);
    const double b = fisherSamples(1, setName, parameter);
    return (task == 0 ? a : b) / (a + b);
}

Context resolve(const GradientSource& source, const ScoreRequest& request,
                const std::vector<Mode>& modes, const Excluded& excluded) {
    Context c;
    c.source = &source;
    c.request = request;
    c.modes = modes;
    checkNumbers(request);
    const DumpInfo& info = source.info();
    const TaskInfo& a = findTask(info, request.taskA);
    const TaskInfo& b = findTask(info, request.taskB);
    c.tasks[0] = selectSamples(a, request.samplesA, request.maxSamples, excluded[0]);
    c.tasks[1] = selectSamples(b, request.samplesB, request.maxSamples, excluded[1]);
    c.layers = selectNumbers(request.layers, info.model.numLayers, "layer");
    c.heads = selectNumbers(request.heads, info.model.numHeads, "head");
    for (const Block block : allBlocks) {
        c.blocks[blockIndex(block)] =
            request.blocks.empty() ||
            std::find(request.blocks.begin(), request.blocks.end(), block) != request.blocks.end();
    }
    settleModes(c);
    warn(c);
    return c;
}

std::vector<Mode> modesOf(const GradientSource& source, const ScoreRequest& request) {
    ScoreRequest open = request;
    open.mode = Mode::structural;
    const Context c = resolve(source, open, {}, {});
    return behavioralPossible(c) ? std::vector{Mode::behavioral, Mode::structural, Mode::hybrid}
                                 : std::vector{Mode::structural};
}

} // namespace qkov::engine
