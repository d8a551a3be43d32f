// SPDX-License-Identifier: GPL-3.0-or-later
// One pair, one head, float64 throughout: compute()'s entry with the numbers behind it.
#include "engine/Compute.h"
#include "engine/Exact.h"
#include "engine/Finish.h"
#include "engine/Normalize.h"
#include "engine/Run.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::engine {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double sumOf(const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0);
}
double normOf(const std::vector<double>& v) {
    double sum = 0;
    for (const double x : v) {
        sum += x * x;
    }
    return std::sqrt(sum);
}

void checkFinite(const Context& c, const Bundle& bundle, const Unit& unit, int task,
                 const std::vector<double>& values) {
    for (const double v : values) {
        if (!std::isfinite(v)) {
            const dump::TaskInfo& info = *c.tasks[static_cast<std::size_t>(task)].task;
            throw InputError("holds NaN or infinity in " + std::string(1, blockName(unit.block)) +
                                 " of the pair's samples or of those behind the Fisher",
                             c.source->file(),
                             "tasks/" + info.name + "/gradients/" + bundle.parameters[0].name);
        }
    }
}

/// Fisher of the unit as the mode needs it.
UnitFisher fisherOf(const Context& c, const Bundle& bundle, const Unit& unit, Mode mode,
                    const Job& job) {
    UnitFisher f;
    const bool grouping =
        mode != Mode::structural && !c.behavioralStored(bundle.parameters[0].name);
    if (mode != Mode::behavioral) {
        f.structural = exactStructural(c, bundle, unit, job);
        checkFinite(c, bundle, unit, c.fisherTasks().front(), f.structural);
        f.extent = fisher::extentOf(f.structural);
    }
    if (grouping) {
        double sum = 0;
        double parameters = 0;
        for (const Unit& other : bundle.units) {
            if (other.block != unit.block || other.type != unit.type) {
                continue;
            }
            const std::vector<double> structural = exactStructural(c, bundle, other, job);
            checkFinite(c, bundle, other, c.fisherTasks().front(), structural);
            sum += sumOf(structural);
            parameters += static_cast<double>(other.size);
        }
        f.behavioral = sum / parameters;
    } else if (mode != Mode::structural) {
        readStoredBehavioral(c, bundle, unit, f);
    }
    return f;
}

/// D' of `profile`: the mean of C_u/ΣC_u over both tasks' selected samples.
UnitFisher profileOf(const Context& c, const Bundle& bundle, const Unit& unit, const Job& job) {
    UnitFisher f;
    f.structural.assign(static_cast<std::size_t>(unit.size), 0);
    double used = 0;
    for (int t = 0; t < 2; ++t) {
        for (const std::int64_t s : c.tasks[static_cast<std::size_t>(t)].selected) {
            job.checkCancelled();
            const auto x = readContributions(c, bundle, unit, t, s);
            const double sum = sumOf(x);
            if (!(sum > 0)) {
                continue;
            }
            used += 1;
            for (std::size_t k = 0; k < x.size(); ++k) {
                f.structural[k] += x[k] / sum;
            }
        }
    }
    for (double& v : f.structural) {
        v /= std::max(used, 1.0);
    }
    f.extent = fisher::extentOf(f.structural);
    return f;
}

struct PairRun {
    const Context& scoring; ///< samples i and j selected
    const Context& pool;    ///< the selection that profile's D' is over
    std::int64_t i, j;
    Job& job;
};

/// Weight of every parameter, D^−power; empty when the cell is settled without.
std::vector<double> weightsOf(const PairRun& run, const Bundle& bundle, const Unit& unit,
                              PairBlock& block, bool* zero, std::vector<std::string>& notes) {
    const Context& c = run.scoring;
    const ScoreRequest& r = c.request;
    const auto size = static_cast<std::size_t>(unit.size);
    std::vector<double> weights(size, 1.0);
    *zero = false;
    if (c.profile()) {
        const UnitFisher f = profileOf(run.pool, bundle, unit, run.job);
        const double lambda =
            r.regularization.ridgeRelative * f.extent.sum / static_cast<double>(size);
        block.fisher = fisher::health(f.structural, f.extent, 0, lambda);
        for (std::size_t k = 0; k < size; ++k) {
            weights[k] = f.structural[k] + lambda > 0 ? 1 / (f.structural[k] + lambda) : 0;
        }
        return weights;
    }
    const Mode mode = c.modes.front();
    const UnitFisher f = fisherOf(c, bundle, unit, mode, run.job);
    if (lacksBehavioral(mode, f)) {
        notes.push_back(std::string(1, blockName(unit.block)) +
                        ": the dump's behavioral Fisher lacks this head.");
        return {};
    }
    block.fisher = modeHealth(mode, f, r.regularization);
    if (degenerate(mode, f, r.regularization)) {
        *zero = true;
        return {};
    }
    const double power = weightPower(r.variant);
    const ElementWeights e = elementWeights(mode, power, f, r.regularization);
    const double factor = e.factor * behavioralFactor(mode, power, f, r.regularization);
    for (std::size_t k = 0; k < size; ++k) {
        weights[k] = factor * (e.values.empty() ? 1.0 : e.values[k]);
    }
    return weights;
}

void scoreBlock(const PairRun& run, const Bundle& bundle, const Unit& unit, PairBlock& block,
                std::vector<std::string>& notes) {
    const Context& c = run.scoring;
    const ScoreRequest& r = c.request;
    block.parameters = unit.size;
    const auto x = readOperand(c, bundle, unit, 0, Side::left, run.i);
    const auto y = readOperand(c, bundle, unit, 1, Side::right, run.j);
    checkFinite(c, bundle, unit, 0, x);
    checkFinite(c, bundle, unit, 1, y);

    // Gradients themselves, as far as the dump has them.
    const auto signs = [&](int t) {
        return std::all_of(unit.parts.begin(), unit.parts.end(), [&](const UnitPart& p) {
            return bundle.parameters[p.parameter].entries[static_cast<std::size_t>(t)]->storage !=
                   dump::Storage::contributions;
        });
    };
    Context raw = c;
    raw.request.variant = Variant::signedProduct;
    const bool known = signs(0) && signs(1);
    std::vector<double> gi, gj;
    if (known) {
        gi = readOperand(raw, bundle, unit, 0, Side::left, run.i);
        gj = readOperand(raw, bundle, unit, 1, Side::left, run.j);
    } else {
        raw.request.variant = Variant::magnitude;
        gi = readOperand(raw, bundle, unit, 0, Side::right, run.i);
        gj = readOperand(raw, bundle, unit, 1, Side::right, run.j);
    }
    block.normI = normOf(gi);
    block.normJ = normOf(gj);
    block.cosine = none;
    block.signAgreement = none;
    if (known) {
        double dot = 0;
        double agree = 0;
        double nonzero = 0;
        for (std::size_t k = 0; k < gi.size(); ++k) {
            const double p = gi[k] * gj[k];
            dot += p;
            if (gi[k] != 0 && gj[k] != 0) {
                nonzero += 1;
                agree += (gi[k] > 0) == (gj[k] > 0) ? 1 : 0;
            }
        }
        block.cosine = block.normI > 0 && block.normJ > 0
                           ? std::clamp(dot / block.normI / block.normJ, -1.0, 1.0)
                           : 0;
        block.signAgreement = nonzero > 0 ? agree / nonzero : none;
    }

    bool zero = false;
    const std::vector<double> w = weightsOf(run, bundle, unit, block, &zero, notes);
    block.topShare = none;
    if (w.empty()) {
        // As in compute(): a cell is zero only if all of A's selected samples are; one pair can
        // speak for its own sample only.
        const bool any = std::any_of(x.begin(), x.end(), [](double v) { return v != 0; });
        block.score = zero && !any ? 0 : none;
        return;
    }
    std::vector<double> terms(x.size());
    double normX = 0;
    double normY = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
        terms[k] = x[k] == 0 || y[k] == 0 ? 0 : x[k] * w[k] * y[k];
        normX += x[k] == 0 ? 0 : x[k] * w[k] * x[k];
        normY += y[k] == 0 ? 0 : y[k] * w[k] * y[k];
    }
    double score = sumOf(terms);
    if (r.variant == Variant::cosine) {
        score = normX > 0 && normY > 0
                    ? std::clamp(score / std::sqrt(normX) / std::sqrt(normY), -1.0, 1.0)
                    : 0;
    } else if (c.profile()) {
        const double sx = sumOf(x);
        const double sy = sumOf(y);
        score = sx > 0 && sy > 0 ? score / sx / sy : none;
    } else {
        if (r.aggregate == Aggregate::mean) {
            score /= static_cast<double>(unit.size);
        }
        if (r.gradScale == GradScale::perToken) {
            score /= c.tasks[1].task->samples[static_cast<std::size_t>(run.j)].tokens;
        }
    }
    block.score = std::isinf(score) ? none : score;

    // The largest 1% of the terms, by size, against all of them.
    const std::size_t top = std::max<std::size_t>(1, terms.size() / 100);
    double all = 0;
    for (double& t : terms) {
        t = std::abs(t);
        all += t;
    }
    std::nth_element(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(top - 1),
                     terms.end(), std::greater<>());
    const double largest =
        std::accumulate(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(top), 0.0);
    block.topShare = all > 0 ? largest / all : none;
}

} // namespace

PairResult scorePair(const GradientSource& source, ScoreRequest request, const std::string& sampleI,
                     const std::string& sampleJ, LayerIndex layer, HeadIndex head, Job& job) {
    // What compute() would leave out, over all that it would read.
    const Excluded excluded =
        request.nonFinite == NonFinite::skip ? findNonFinite(source, request, job) : Excluded{};
    // profile's D' is over the samples of the whole analysis, not only these two.
    ScoreRequest wide = request;
    wide.layers = {layer.value};
    wide.heads = {head.value};
    Context pool = resolve(source, wide, {}, excluded);
    request = wide;
    request.samplesA = {sampleI};
    request.samplesB = {sampleJ};
    Context context = resolve(source, request, {}, excluded);
    const std::vector<Bundle> bundles = makeBundles(context);

    PairResult result;
    result.request = makeHeader(context, context.modes.front(), false, "cpu").request;
    for (PairBlock& block : result.blocks) {
        block.score = block.normI = block.normJ = block.cosine = none;
        block.signAgreement = block.topShare = none;
        block.fisher = fisher::noHealth();
    }
    job.stage("Scoring the pair", 0, 1);
    const PairRun run{context, pool, context.tasks[0].selected.front(),
                      context.tasks[1].selected.front(), job};
    std::vector<std::string> notes;
    for (const Bundle& bundle : bundles) {
        for (const Unit& unit : bundle.units) {
            if (unit.columns.empty()) {
                continue;
            }
            job.checkCancelled();
            const std::size_t b = blockIndex(unit.block);
            result.present[b] = true;
            scoreBlock(run, bundle, unit, result.blocks[b], notes);
        }
    }
    result.notes = context.notes;
    result.notes.insert(result.notes.end(), context.missing.begin(), context.missing.end());
    result.notes.insert(result.notes.end(), notes.begin(), notes.end());
    job.finish();
    return result;
}

PairResult scorePair(const dump::DumpReader& dump, ScoreRequest request, const std::string& sampleI,
                     const std::string& sampleJ, LayerIndex layer, HeadIndex head, Job& job) {
    return scorePair(*makeDumpSource(dump), std::move(request), sampleI, sampleJ, layer, head, job);
}

} // namespace qkov::engine
