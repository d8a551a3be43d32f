// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Additivity.h"

#include "base/Numbers.h"
#include "engine/Exact.h"
#include "engine/Finish.h"
#include "engine/Normalize.h"
#include "engine/SubJob.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qkov::engine {

namespace {

constexpr double tolerance = 1e-5;

/// Weights 1/D of a unit in float64; empty when its cell has no value.
std::vector<double> unitWeights(const Context& c, const Bundle& bundle, std::size_t u,
                                std::vector<UnitState>& states) {
    const Mode mode = c.modes.front();
    const Regularization& reg = c.request.regularization;
    UnitFisher& f = states[u].fisher;
    if (lacksBehavioral(mode, f) || degenerate(mode, f, reg)) {
        return {};
    }
    const ElementWeights e = elementWeights(mode, 1, f, reg);
    const double factor = e.factor * behavioralFactor(mode, 1, f, reg);
    std::vector<double> w(static_cast<std::size_t>(bundle.units[u].size), factor);
    for (std::size_t k = 0; k < e.values.size(); ++k) {
        w[k] *= e.values[k];
    }
    return w;
}

/// One matrix: its weights laid out as it is stored, and how often each parameter is owned.
struct Unsliced {
    std::vector<double> weights;
    std::vector<int> owners;
};

Unsliced layOut(const Context& c, const Bundle& bundle, const Job& job) {
    std::vector<UnitState> states(bundle.units.size());
    const bool grouping = c.needsBehavioral() && !c.behavioralStored(bundle.parameters[0].name);
    for (std::size_t u = 0; u < bundle.units.size(); ++u) {
        if (c.needsStructural() || grouping) {
            states[u].fisher.structural = exactStructural(c, bundle, bundle.units[u], job);
            states[u].fisher.extent = fisher::extentOf(states[u].fisher.structural);
        }
        if (c.needsBehavioral() && !grouping) {
            readStoredBehavioral(c, bundle, bundle.units[u], states[u].fisher);
        }
    }
    if (grouping) {
        setGroupMeans(bundle, states);
    }
    const BundleParameter& p = bundle.parameters[0];
    Unsliced out;
    out.weights.assign(static_cast<std::size_t>(p.rows * p.columns), 0);
    out.owners.assign(out.weights.size(), 0);
    for (std::size_t u = 0; u < bundle.units.size(); ++u) {
        const std::vector<double> w = unitWeights(c, bundle, u, states);
        const UnitPart& part = bundle.units[u].parts[0];
        for (std::int64_t k = 0; k < part.rect.count(); ++k) {
            const std::int64_t row = part.rect.row + k / part.rect.columns;
            const std::int64_t column = part.rect.column + k % part.rect.columns;
            const auto at = static_cast<std::size_t>(row * p.columns + column);
            out.owners[at] += 1;
            if (!w.empty()) {
                out.weights[at] = w[static_cast<std::size_t>(part.offset + k)];
            }
        }
    }
    return out;
}

} // namespace

Check headAdditivity(const GradientSource& source, const Alteration& part,
                     const ScoreRequest& request, Job& job) {
    const auto few = alter(source, part);
    ScoreRequest q = request;
    q.layers = {request.layers.front()};
    q.heads.clear();
    q.blocks.clear();
    q.includeBias = false;
    q.maxSamples = 2;
    Job run = subJob(job, 0, 1);
    const auto scores = compute(*few, q, run);
    Context c = resolve(*few, q, {}, {});
    const std::vector<Bundle> bundles = makeBundles(c);
    const ScoreHeader& h = scores->header();
    Check check{"head_additivity", CheckStatus::pass, {}, 0};
    for (const Bundle& bundle : bundles) {
        const BundleParameter& p = bundle.parameters[0];
        const Unsliced whole = layOut(c, bundle, job);
        const auto orphans = std::count(whole.owners.begin(), whole.owners.end(), 0);
        const auto shared =
            std::count_if(whole.owners.begin(), whole.owners.end(), [](int n) { return n > 1; });
        if (orphans > 0 || shared > 0) {
            check.status = CheckStatus::fail;
            check.worst = double(orphans + shared) / double(whole.owners.size());
            check.detail = p.name + ": " + formatCount(orphans) +
                           " parameters belong to no head, " + formatCount(shared) +
                           " to several; the model's layout is wrong";
            return check;
        }
        Bundle one = bundle;
        Unit all;
        all.parts = {{0, {0, p.rows, 0, p.columns}, 0, 0}};
        all.size = p.rows * p.columns;
        const SideSamples left{0, 0};
        const SideSamples right{1, 0};
        const ExactProducts exact =
            exactProducts(c, one, all, std::span(&left, 1), std::span(&right, 1), h.nA(), h.nB(),
                          whole.weights, job);
        std::vector<double> sum(exact.scores.size(), 0);
        for (const Unit& unit : bundle.units) {
            const auto pairs = scores->pairs(unit.block, 0, unit.columns.front());
            for (std::size_t k = 0; k < pairs.size(); ++k) {
                sum[k] += double(pairs[k]);
            }
        }
        for (std::size_t k = 0; k < sum.size(); ++k) {
            const double size = std::abs(exact.scores[k]);
            const double off = std::abs(sum[k] - exact.scores[k]);
            check.worst = std::max(check.worst, size > 0 ? off / size : off > 0 ? 1.0 : 0.0);
        }
    }
    if (bundles.empty()) {
        check.status = CheckStatus::skipped;
        check.detail = "layer " + std::to_string(q.layers.front()) + " has no data";
        return check;
    }
    check.status = check.worst <= tolerance ? CheckStatus::pass : CheckStatus::fail;
    check.detail = "layer " + std::to_string(q.layers.front()) +
                   ": the heads' scores add up to the whole matrices'; largest deviation " +
                   formatNumber(check.worst) + ", allowed " + formatNumber(tolerance);
    return check;
}

} // namespace qkov::engine
