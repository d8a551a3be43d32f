// SPDX-License-Identifier: GPL-3.0-or-later
// What an open dump is made of. Private to core/dump.
#pragma once

#include "dump/DumpReader.h"
#include "dump/NumberSource.h"

#include <map>

namespace qkov::dump {

/// The datasets of one parameter of one task.
struct ParameterSources {
    std::optional<NumberSource> gradients, contributions, input, gradOutput;
    std::vector<std::int32_t> lengths; ///< of factors
};

struct FisherSource {
    NumberSource values;
    double scale = 1; ///< bias correction
};

struct TaskSources {
    std::map<std::string, ParameterSources> parameters;
    std::map<std::string, std::map<std::string, FisherSource>> fisher; ///< by set, parameter
};

struct DumpReader::Impl {
    std::filesystem::path file;
    h5::Object root;
    OpenFiles files;
    OpenDatasets datasets{root};
    DumpInfo info;
    std::optional<model::HeadLayout> layout;
    std::map<std::string, TaskSources> tasks;

    /// Set: what is wrong with single parameters, tasks or Fisher sets is added here and the rest
    /// still opened; null: the first problem is thrown.
    std::vector<std::string>* problems = nullptr;
    const Job* job = nullptr; ///< that opening belongs to

    /// Reads and checks the whole structure, first in a process that may crash (probe()).
    void open(const std::string& layoutJson);
    void openHere(const std::string& layoutJson);
    void checkCancelled() const {
        if (job) {
            job->checkCancelled();
        }
    }
    /// Runs body; its InputError is thrown on, or noted under `problems`. True if it went well.
    template <class Body>
    bool attempt(Body&& body) const {
        checkCancelled();
        try {
            body();
            return true;
        } catch (const InputError& e) {
            if (!problems) {
                throw;
            }
            problems->emplace_back(problemText(e));
            return false;
        }
    }
    /// Without the file's name: the path inside it, what is wrong, what to do.
    static std::string problemText(const InputError& e);

    const ParameterSources& sources(const TaskInfo& task, const std::string& parameter) const;
    /// @throws InputError if the part is not gradients or contributions that are stored
    const NumberSource& dense(const TaskInfo& task, const std::string& parameter, Part part) const;
    const ParameterEntry& entry(const TaskInfo& task, const std::string& parameter) const;
    const FisherSource& fisher(const TaskInfo& task, const FisherSet& set,
                               const std::string& parameter) const;
};

/// Finds and checks the datasets of a task whose samples are read, under the dump's layout.
void openTask(DumpReader::Impl& dump, const h5::Object& group, TaskInfo& task);

/// Names and shapes (of the parameter) of all gradients, contributions and factors of a dump, whose
/// architecture may be unknown, and what it says about its model.
std::map<std::string, h5::Dims> listDump(const std::filesystem::path& file,
                                         model::ModelShape& model);

/// Hash of what the dump is: size and time of all its files, and everything but the numbers.
std::string fingerprintOf(const DumpReader::Impl& dump);

} // namespace qkov::dump
