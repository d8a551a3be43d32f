// SPDX-License-Identifier: GPL-3.0-or-later
// The datasets of one task: gradients, contributions, factors, Fisher; and whether they fit.
#include "dump/DumpImpl.h"
#include "dump/SampleTable.h"

#include <cmath>

namespace qkov::dump {
namespace {

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
                         ", its gradients of one of shape " + h5::toString(known->second.shape));
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
            dataset.fail(set.estimator.empty() ? std::string("attribute estimator is missing")
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
            source_.scale =
                set.decay == 0
                    ? 1.0
                    : -1.0 / std::expm1(static_cast<double>(set.samples) * std::log(set.decay));
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

} // namespace

void openTask(DumpReader::Impl& dump, const h5::Object& group, TaskInfo& task) {
    TaskOpener(dump, group, task).open();
}

} // namespace qkov::dump
