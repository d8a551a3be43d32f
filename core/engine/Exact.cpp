// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Exact.h"

#include "fisher/Estimate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace qkov::engine {

namespace {

std::vector<double> read(const Context& c, const Bundle& bundle, const Unit& unit, int task,
                         std::int64_t sample,
                         const std::function<Operand(std::size_t)>& operandOf) {
    const TaskSelection& selection = c.tasks[static_cast<std::size_t>(task)];
    std::vector<double> values(static_cast<std::size_t>(unit.size));
    for (const UnitPart& part : unit.parts) {
        const dump::ParameterEntry& entry =
            *bundle.parameters[part.parameter].entries[static_cast<std::size_t>(task)];
        const Operand operand = operandOf(part.parameter);
        double* target = values.data() + part.offset;
        c.source->read(*selection.task, entry, operand.quantity, std::span(&sample, 1), part.rect,
                       DType::f64, target);
        const double factor =
            operand.tokens ? std::sqrt(double(
                                 selection.task->samples[static_cast<std::size_t>(sample)].tokens))
                           : 1;
        for (std::int64_t k = 0; k < part.rect.count(); ++k) {
            double& v = target[k];
            switch (operand.transform) {
            case Transform::identity:
                break;
            case Transform::absolute:
                v = std::abs(v);
                break;
            case Transform::square:
                v = v * v;
                break;
            case Transform::squareRoot:
                v = std::sqrt(v);
                break;
            }
            v *= factor;
        }
    }
    return values;
}

} // namespace

std::vector<double> readOperand(const Context& c, const Bundle& bundle, const Unit& unit, int task,
                                Side side, std::int64_t sample) {
    return read(c, bundle, unit, task, sample, [&](std::size_t p) {
        const auto& entry = *bundle.parameters[p].entries[static_cast<std::size_t>(task)];
        return side == Side::left ? c.left(entry) : c.right(entry);
    });
}

std::vector<double> readContributions(const Context& c, const Bundle& bundle, const Unit& unit,
                                      int task, std::int64_t sample) {
    return read(c, bundle, unit, task, sample, [&](std::size_t p) {
        return Context::contributions(
            *bundle.parameters[p].entries[static_cast<std::size_t>(task)]);
    });
}

std::vector<double> exactStructural(const Context& c, const Bundle& bundle, const Unit& unit,
                                    const Job& job) {
    std::vector<double> fisher(static_cast<std::size_t>(unit.size), 0.0);
    if (!addStoredStructural(c, bundle, unit, fisher)) {
        return fisher;
    }
    for (const int t : c.fisherTasks()) {
        const auto& all = c.tasks[static_cast<std::size_t>(t)].all;
        const std::vector<double> weights = fisher::sampleWeights(
            c.request.estimator.value_or(Estimator::ema), all.size(), c.request.emaDecay);
        const auto computed = [&](const UnitPart& part) {
            return c.structuralOrigin(t, bundle.parameters[part.parameter].name) ==
                   FisherOrigin::computed;
        };
        if (std::none_of(unit.parts.begin(), unit.parts.end(), computed)) {
            continue;
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            job.checkCancelled();
            const std::vector<double> contributions = readContributions(c, bundle, unit, t, all[i]);
            for (const UnitPart& part : unit.parts) {
                if (!computed(part)) {
                    continue;
                }
                const double w = weights[i] * c.fisherShare(t, "structural",
                                                            bundle.parameters[part.parameter].name);
                for (std::int64_t k = part.offset; k < part.offset + part.rect.count(); ++k) {
                    fisher[static_cast<std::size_t>(k)] +=
                        w * contributions[static_cast<std::size_t>(k)];
                }
            }
        }
    }
    return fisher;
}

ExactProducts exactProducts(const Context& c, const Bundle& bundle, const Unit& unit,
                            std::span<const SideSamples> left, std::span<const SideSamples> right,
                            std::size_t nLeft, std::size_t nRight,
                            const std::vector<double>& weights, const Job& job) {
    ExactProducts out;
    out.scores.assign(nLeft * nRight, 0);
    out.normsLeft.assign(nLeft, 0);
    out.normsRight.assign(nRight, 0);
    const auto term = [&](double x, std::size_t k, double y) {
        return x == 0 || y == 0 ? 0.0 : x * (weights.empty() ? 1.0 : weights[k]) * y;
    };
    const auto norm = [&](const std::vector<double>& v) {
        double sum = 0;
        for (std::size_t k = 0; k < v.size(); ++k) {
            sum += term(v[k], k, v[k]);
        }
        return sum;
    };
    // As many right-hand samples at a time as a quarter of the budget holds.
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(
        1, c.request.memoryBudget / 4 / (8 * std::max<std::int64_t>(1, unit.size))));
    for (const SideSamples& r : right) {
        const auto& samplesR = c.tasks[static_cast<std::size_t>(r.task)].selected;
        for (std::size_t j0 = 0; j0 < samplesR.size(); j0 += most) {
            const std::size_t j1 = std::min(samplesR.size(), j0 + most);
            std::vector<std::vector<double>> ys;
            for (std::size_t j = j0; j < j1; ++j) {
                job.checkCancelled();
                ys.push_back(readOperand(c, bundle, unit, r.task, Side::right, samplesR[j]));
                out.normsRight[r.offset + j] = norm(ys.back());
            }
            for (const SideSamples& l : left) {
                const auto& samplesL = c.tasks[static_cast<std::size_t>(l.task)].selected;
                for (std::size_t i = 0; i < samplesL.size(); ++i) {
                    job.checkCancelled();
                    const std::vector<double> x =
                        readOperand(c, bundle, unit, l.task, Side::left, samplesL[i]);
                    out.normsLeft[l.offset + i] = norm(x);
                    for (std::size_t j = j0; j < j1; ++j) {
                        job.checkCancelled();
                        const std::vector<double>& y = ys[j - j0];
                        double sum = 0;
                        for (std::size_t k = 0; k < x.size(); ++k) {
                            sum += term(x[k], k, y[k]);
                        }
                        out.scores[(l.offset + i) * nRight + r.offset + j] = sum;
                    }
                }
            }
        }
    }
    return out;
}

double exactWork(const Context& c, const std::vector<Bundle>& bundles) {
    if (c.profile()) {
        return std::numeric_limits<double>::infinity();
    }
    constexpr double perReading = 2048;
    const auto modes = static_cast<double>(c.modes.size());
    const double pairs = double(c.tasks[0].selected.size()) * double(c.tasks[1].selected.size());
    double work = 0;
    for (const Bundle& bundle : bundles) {
        for (const Unit& unit : bundle.units) {
            for (const UnitPart& part : unit.parts) {
                const BundleParameter& parameter = bundle.parameters[part.parameter];
                double each = modes * pairs;
                for (std::size_t t = 0; t < 2; ++t) {
                    const TaskSelection& task = c.tasks[t];
                    const auto samples = double(task.all.size());
                    double terms = samples; // of the gradients of a parameter
                    const dump::ParameterEntry* entry = parameter.entries[t];
                    if (entry != nullptr && c.source->hasFactors(*task.task, *entry)) {
                        const auto lengths = c.source->factorLengths(*task.task, *entry);
                        terms = std::accumulate(lengths.begin(), lengths.end(), 0.0);
                    }
                    each += (1 + modes) * terms;
                    work += (1 + modes) * samples * perReading;
                }
                work += double(part.rect.count()) * each;
            }
        }
    }
    return work;
}

} // namespace qkov::engine
