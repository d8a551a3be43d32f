// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Validate.h"

#include "base/Threads.h"
#include "dump/DumpImpl.h"

#include <algorithm>
#include <cmath>

namespace qkov::dump {
namespace {

constexpr std::int64_t pieceNumbers = 1 << 18;

/// One kind of bad number in one dataset.
struct Finding {
    std::int64_t count = 0;
    std::int64_t sample = -1; ///< of the first
    std::int64_t index = -1;  ///< within the sample
    void add(std::int64_t s, std::int64_t k) {
        ++count;
        if (sample < 0 || s < sample || (s == sample && k < index)) {
            sample = s;
            index = k;
        }
    }
    void merge(const Finding& other) {
        if (other.count > 0) {
            const std::int64_t before = count;
            add(other.sample, other.index);
            count = before + other.count;
        }
    }
};

struct Findings {
    Finding notNumbers, infinities, negatives;
    void merge(const Findings& o) {
        notNumbers.merge(o.notNumbers);
        infinities.merge(o.infinities);
        negatives.merge(o.negatives);
    }
};

struct Check {
    const NumberSource* source;
    const TaskInfo* task;                               ///< null: no sample axis
    const std::vector<std::int32_t>* lengths = nullptr; ///< factors: rows behind them are padding
    bool refuseNegative = false;
    bool allowNan = false;
};

template <class Visit>
void scanSample(const Check& check, std::int64_t sample, const Job& job, Visit&& visit) {
    const NumberSource& source = *check.source;
    const std::int64_t rows =
        check.lengths ? (*check.lengths)[static_cast<std::size_t>(sample)] : source.rows();
    const std::int64_t columns = source.columns();
    const std::int64_t step = std::max<std::int64_t>(1, pieceNumbers / columns);
    std::vector<double> values;
    for (std::int64_t r = 0; r < rows; r += step) {
        job.checkCancelled();
        const Region region{r, std::min(step, rows - r), 0, columns};
        values.resize(static_cast<std::size_t>(region.count()));
        source.read({&sample, 1}, region, values.data());
        for (std::size_t k = 0; k < values.size(); ++k) {
            visit(r * columns + static_cast<std::int64_t>(k), values[k]);
        }
    }
}

Findings scan(const Check& check, const Job& job) {
    const std::int64_t samples =
        check.task ? static_cast<std::int64_t>(check.task->samples.size()) : 1;
    std::vector<Findings> found(static_cast<std::size_t>(defaultThreadCount()));
    parallelFor(static_cast<std::size_t>(samples), static_cast<int>(found.size()),
                [&](std::size_t i, int worker) {
                    Findings& f = found[static_cast<std::size_t>(worker)];
                    const auto s = static_cast<std::int64_t>(i);
                    scanSample(check, s, job, [&](std::int64_t k, double v) {
                        if (std::isnan(v)) {
                            if (!check.allowNan) {
                                f.notNumbers.add(s, k);
                            }
                        } else if (std::isinf(v)) {
                            f.infinities.add(s, k);
                        }
                        if (check.refuseNegative && v < 0) {
                            f.negatives.add(s, k);
                        }
                    });
                });
    for (std::size_t i = 1; i < found.size(); ++i) {
        found[0].merge(found[i]);
    }
    return found[0];
}

void report(const Check& check, const Finding& finding, const char* what,
            std::vector<std::string>& problems) {
    if (finding.count == 0) {
        return;
    }
    const std::int64_t columns = check.source->columns();
    std::string where = "[" + std::to_string(finding.index / columns);
    if (check.source->shape().size() > 1) {
        where += ", " + std::to_string(finding.index % columns);
    }
    where += "]";
    if (check.task) {
        where = "sample " + std::to_string(finding.sample) + " (id \"" +
                check.task->samples[static_cast<std::size_t>(finding.sample)].id + "\"), " + where;
    }
    problems.push_back(check.source->path() + ": " + std::to_string(finding.count) + " " + what +
                       (finding.count == 1 ? ", at " : ", the first at ") + where);
}

std::vector<Check> checksOf(const DumpReader::Impl& dump) {
    std::vector<Check> checks;
    for (const TaskInfo& task : dump.info.tasks) {
        const auto sources = dump.tasks.find(task.name);
        if (sources == dump.tasks.end()) {
            continue;
        }
        for (const auto& [name, s] : sources->second.parameters) {
            if (s.gradients) {
                checks.push_back({&*s.gradients, &task});
            }
            if (s.contributions) {
                checks.push_back({&*s.contributions, &task, nullptr, true});
            }
            if (s.input && s.gradOutput) {
                checks.push_back({&*s.input, &task, &s.lengths});
                checks.push_back({&*s.gradOutput, &task, &s.lengths});
            }
        }
        for (const auto& [set, parameters] : sources->second.fisher) {
            for (const auto& [name, fisher] : parameters) {
                // Reduced values are NaN where a head or a type does not exist.
                const auto known = task.fisher.find(set);
                const bool reduced =
                    known != task.fisher.end() && known->second.parameters.contains(name) &&
                    known->second.parameters.at(name).resolution != Resolution::element;
                checks.push_back({&fisher.values, nullptr, nullptr, true, reduced});
            }
        }
    }
    return checks;
}

} // namespace

std::vector<std::string> validateDump(const std::filesystem::path& file, Job& job,
                                      const std::string& layoutJson) {
    std::vector<std::string> problems;
    DumpReader::Impl dump;
    dump.file = file;
    dump.problems = &problems;
    dump.job = &job;
    job.stage("Reading the structure", 0, 0.02);
    if (!dump.attempt([&] { dump.open(layoutJson); })) {
        return problems;
    }
    const std::vector<Check> checks = checksOf(dump);
    double all = 0;
    for (const Check& check : checks) {
        all += static_cast<double>(check.source->bytesPerSample());
    }
    job.stage("Reading the numbers", 0.02, 1);
    double done = 0;
    for (const Check& check : checks) {
        job.checkCancelled();
        Findings found;
        if (dump.attempt([&] { found = scan(check, job); })) {
            report(check, found.notNumbers, "NaN", problems);
            report(check, found.infinities, "infinite", problems);
            report(check, found.negatives, "negative", problems);
        }
        done += static_cast<double>(check.source->bytesPerSample());
        job.advance(all > 0 ? done / all : 1);
    }
    job.finish();
    return problems;
}

} // namespace qkov::dump
