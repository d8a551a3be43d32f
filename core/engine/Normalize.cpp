// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Normalize.h"

#include "base/Error.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::engine {

namespace {

std::string fisherPath(const dump::TaskInfo& task, const char* setName,
                       const std::string& parameter) {
    return "tasks/" + task.name + "/fisher/" + setName + "/" + parameter;
}

void checkValue(const Context& c, double v, const std::string& path) {
    if (!(v >= 0) || std::isinf(v)) {
        throw InputError(v < 0 ? "holds a negative Fisher value" : "holds a NaN or infinite value",
                         c.source->file(), path, "compute it again, or leave it out of the dump");
    }
}

/// The number of distinct slices of this block and layer that have the unit's type.
std::int64_t slicesOfType(const Context& c, const Bundle& bundle, const Unit& unit) {
    const auto& info = c.source->info();
    const bool shared = unit.block == Block::K || unit.block == Block::V;
    const std::int64_t count = shared ? info.model.numKvHeads : info.model.numHeads;
    std::int64_t same = 0;
    for (std::int64_t h = 0; h < count; ++h) {
        same += sliceType(info, unit.block, bundle.layer.value, h) == unit.type ? 1 : 0;
    }
    return same;
}

/// One value of a reduced set for this part of a slice.
double reducedValue(const Context& c, const dump::TaskInfo& task, const dump::FisherSet& set,
                    const Bundle& bundle, const Unit& unit, const UnitPart& part) {
    const BundleParameter& parameter = bundle.parameters[part.parameter];
    const dump::FisherEntry& entry = set.parameters.at(parameter.name);
    const std::string path = fisherPath(task, set.name.c_str(), parameter.name);
    const bool byType = entry.resolution == dump::Resolution::type;
    if (byType && unit.type < 0) {
        throw InputError("holds one value per head type, but the dump has no head types",
                         c.source->file(), path);
    }
    const std::int64_t index = byType ? unit.type : unit.head;
    const std::vector<double> values = c.source->readFisherReduced(task, set, parameter.name);
    const std::int64_t width = entry.shape.empty() ? 0 : entry.shape.back();
    const std::int64_t row = entry.shape.size() > 1 ? part.fusedRow : 0;
    const std::int64_t at = row * width + index;
    if (index >= width || at >= static_cast<std::int64_t>(values.size())) {
        if (byType) {
            return std::numeric_limits<double>::quiet_NaN();
        }
        throw InputError("has too few values for the model's heads", c.source->file(), path);
    }
    double v = values[static_cast<std::size_t>(at)];
    if (std::isnan(v) && byType) {
        return v; // absent type
    }
    checkValue(c, v, path);
    if (entry.reducedBySum) {
        v /= static_cast<double>(part.rect.count() * (byType ? slicesOfType(c, bundle, unit) : 1));
    }
    return v;
}

/// shares × elements of a stored set, added to target[part.offset …].
void addElements(const Context& c, const dump::TaskInfo& task, const dump::FisherSet& set,
                 const BundleParameter& parameter, const UnitPart& part, double share,
                 double* target) {
    std::vector<double> values(static_cast<std::size_t>(part.rect.count()));
    c.source->readFisherElements(task, set, parameter.name, part.rect, values.data());
    for (std::size_t k = 0; k < values.size(); ++k) {
        if (!(values[k] >= 0) || std::isinf(values[k])) {
            const auto at = static_cast<std::int64_t>(k);
            checkValue(c, values[k],
                       fisherPath(task, set.name.c_str(), parameter.name) + " at [" +
                           std::to_string(part.rect.row + at / part.rect.columns) + ", " +
                           std::to_string(part.rect.column + at % part.rect.columns) + "]");
        }
        target[k] += share * values[k];
    }
}

double powerOf(double d, double power) {
    // D = 0 needs ε = 0: contributions are 0 there too (or the cell takes the exact path).
    if (d <= 0) {
        return std::numeric_limits<double>::infinity();
    }
    if (power == 1) {
        return 1 / d;
    }
    const double root = std::sqrt(d);
    if (power == 0.5) {
        return 1 / root;
    }
    if (power == 1.5) {
        return 1 / (d * root);
    }
    if (power == 0.75) {
        return 1 / (root * std::sqrt(root));
    }
    return std::pow(d, -power);
}

double meanOf(const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

bool constant(const UnitFisher& f) {
    return f.extent.least == f.extent.most;
}

double structuralLambda(const UnitFisher& f, const Regularization& r) {
    return fisher::ridge(r, f.extent.sum / static_cast<double>(f.structural.size()));
}

} // namespace

bool addStoredStructural(const Context& c, const Bundle& bundle, const Unit& unit,
                         std::vector<double>& fisher) {
    bool left = false;
    for (const UnitPart& part : unit.parts) {
        const BundleParameter& parameter = bundle.parameters[part.parameter];
        double* target = fisher.data() + part.offset;
        for (const int t : c.fisherTasks()) {
            const dump::TaskInfo& task = *c.tasks[static_cast<std::size_t>(t)].task;
            const FisherOrigin origin = c.structuralOrigin(t, parameter.name);
            if (origin == FisherOrigin::computed) {
                left = true;
                continue;
            }
            const dump::FisherSet& set = task.fisher.at("structural");
            const double share = c.fisherShare(t, "structural", parameter.name);
            if (origin == FisherOrigin::elements) {
                addElements(c, task, set, parameter, part, share, target);
            } else {
                const double v = share * reducedValue(c, task, set, bundle, unit, part);
                for (std::int64_t k = 0; k < part.rect.count(); ++k) {
                    target[k] += v;
                }
            }
        }
    }
    return left;
}

void readStoredBehavioral(const Context& c, const Bundle& bundle, const Unit& unit,
                          UnitFisher& fisher) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> elements;
    std::vector<double> values; // per part
    const auto materialise = [&] {
        if (elements.empty()) {
            elements.assign(static_cast<std::size_t>(unit.size), 0);
        }
    };
    for (const UnitPart& part : unit.parts) {
        const BundleParameter& parameter = bundle.parameters[part.parameter];
        double value = 0;
        if (!c.behavioralStored(parameter.name)) {
            fisher.behavioral = none; // a bias that the stored set leaves out
            return;
        }
        for (const int t : c.fisherTasks()) {
            const dump::TaskInfo& task = *c.tasks[static_cast<std::size_t>(t)].task;
            const dump::FisherSet& set = task.fisher.at("behavioral");
            const double share = c.fisherShare(t, "behavioral", parameter.name);
            if (set.parameters.at(parameter.name).resolution == dump::Resolution::element) {
                materialise();
                addElements(c, task, set, parameter, part, share, elements.data() + part.offset);
            } else {
                value += share * reducedValue(c, task, set, bundle, unit, part);
            }
        }
        values.push_back(value);
    }
    const bool alike = std::all_of(values.begin(), values.end(),
                                   [&](double v) { return v == values[0] || std::isnan(v); });
    if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) {
        fisher.behavioral = none;
        return;
    }
    if (elements.empty() && alike) {
        fisher.behavioral = values[0];
        return;
    }
    materialise();
    for (std::size_t p = 0; p < unit.parts.size(); ++p) {
        for (std::int64_t k = 0; k < unit.parts[p].rect.count(); ++k) {
            elements[static_cast<std::size_t>(unit.parts[p].offset + k)] += values[p];
        }
    }
    fisher.behavioralElements = std::move(elements);
}

double weightPower(Variant variant) {
    return variant == Variant::natural ? 1.5 : 1.0;
}

std::optional<StructuralPower> structuralPower(Mode mode, double power, const UnitFisher& f,
                                               const Regularization& r, bool skipZero) {
    if (mode == Mode::behavioral || !f.behavioralElements.empty() || constant(f)) {
        return std::nullopt;
    }
    StructuralPower p;
    p.lambda = structuralLambda(f, r);
    p.power = mode == Mode::hybrid ? power / 2 : power;
    const double low = skipZero ? f.extent.leastNonzero : f.extent.least;
    p.least = powerOf(fisher::denominator(f.extent.most, r.epsilon, p.lambda), p.power);
    p.most = powerOf(fisher::denominator(low, r.epsilon, p.lambda), p.power);
    return p.least > 0 && std::isfinite(p.most) ? std::optional(p) : std::nullopt;
}

ElementWeights elementWeights(Mode mode, double power, const UnitFisher& f,
                              const Regularization& r) {
    ElementWeights w;
    const double own = mode == Mode::hybrid ? power / 2 : power;
    if (mode != Mode::behavioral) {
        const double lambda = structuralLambda(f, r);
        if (constant(f)) {
            w.factor = powerOf(fisher::denominator(f.structural.front(), r.epsilon, lambda), own);
        } else {
            w.values.resize(f.structural.size());
            for (std::size_t k = 0; k < w.values.size(); ++k) {
                w.values[k] = powerOf(fisher::denominator(f.structural[k], r.epsilon, lambda), own);
            }
        }
    }
    if (mode != Mode::structural && !f.behavioralElements.empty()) {
        const double lambda = fisher::ridge(r, meanOf(f.behavioralElements));
        if (w.values.empty()) {
            w.values.assign(f.behavioralElements.size(), 1);
        }
        for (std::size_t k = 0; k < w.values.size(); ++k) {
            w.values[k] *=
                powerOf(fisher::denominator(f.behavioralElements[k], r.epsilon, lambda), own);
        }
    }
    return w;
}

double behavioralFactor(Mode mode, double power, const UnitFisher& f, const Regularization& r) {
    if (mode == Mode::structural || !f.behavioralElements.empty()) {
        return 1;
    }
    const double own = mode == Mode::hybrid ? power / 2 : power;
    return powerOf(fisher::denominator(f.behavioral, r.epsilon, fisher::ridge(r, f.behavioral)),
                   own);
}

bool degenerate(Mode mode, const UnitFisher& f, const Regularization& r) {
    // With F = 0 all over, the relative ridge is 0 as well.
    if (r.ridge > 0) {
        return false;
    }
    const bool structural = mode != Mode::behavioral && f.extent.sum == 0;
    const double behavioral =
        f.behavioralElements.empty() ? f.behavioral : meanOf(f.behavioralElements);
    return structural || (mode != Mode::structural && behavioral == 0);
}

CellHealth modeHealth(Mode mode, const UnitFisher& f, const Regularization& r) {
    if (mode != Mode::behavioral) {
        const double lambda = structuralLambda(f, r);
        return constant(f) ? fisher::constantHealth(f.structural.front(), r.epsilon, lambda)
                           : fisher::health(f.structural, f.extent, r.epsilon, lambda);
    }
    if (!f.behavioralElements.empty()) {
        return fisher::health(f.behavioralElements, r.epsilon,
                              fisher::ridge(r, meanOf(f.behavioralElements)));
    }
    return fisher::constantHealth(f.behavioral, r.epsilon, fisher::ridge(r, f.behavioral));
}

bool lacksBehavioral(Mode mode, const UnitFisher& f) {
    return mode != Mode::structural && f.behavioralElements.empty() && std::isnan(f.behavioral);
}

} // namespace qkov::engine
