// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Checks.h"

#include "base/Numbers.h"
#include "engine/Additivity.h"
#include "engine/AlteredSource.h"
#include "engine/CompareModes.h"
#include "engine/Context.h"
#include "engine/SubJob.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

namespace qkov::engine {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
/// Two float32 runs over differently ordered or scaled numbers.
constexpr double tolerance = 1e-5;
constexpr std::size_t fewSamples = 8;
constexpr std::size_t fewLayers = 4;

/// What the checks share: a small part of the data, and the request that fits it.
struct Setting {
    const GradientSource& source; ///< the user's
    const ScoreRequest& asked;
    Alteration part;      ///< keeps few samples
    ScoreRequest request; ///< magnitude over few layers, all kept samples, default options
};

std::vector<std::int64_t> fewOf(const std::vector<std::int64_t>& all, std::size_t most) {
    if (all.size() <= most) {
        return all;
    }
    std::vector<std::int64_t> out;
    for (std::size_t k = 0; k < most; ++k) {
        out.push_back(all[k * (all.size() - 1) / (most - 1)]);
    }
    return out;
}

Setting makeSetting(const GradientSource& source, const ScoreRequest& asked) {
    const Context c = resolve(source, asked, {}, {});
    Setting s{source, asked, {}, asked};
    for (const TaskSelection& t : c.tasks) {
        s.part.samples[t.task->name] = fewOf(t.selected, fewSamples);
    }
    s.request.layers = fewOf(c.layers, fewLayers);
    s.request.mode = c.modes.front();
    s.request.variant = Variant::magnitude;
    s.request.aggregate = Aggregate::sum;
    s.request.gradScale = GradScale::none;
    s.request.samplesA.clear();
    s.request.samplesB.clear();
    s.request.maxSamples = static_cast<std::int64_t>(fewSamples);
    s.request.device = "cpu";
    return s;
}

/// Largest |x − y| relative to the cell's largest |y|; infinite where only one is missing.
/// @param pick maps an entry (i, j) of x to y's
double deviation(const Scores& x, const Scores& y, double factor,
                 const std::function<std::size_t(std::size_t, std::size_t)>& pick,
                 const std::function<bool(Block, std::size_t, std::size_t)>& counts) {
    double worst = 0;
    const ScoreHeader& h = x.header();
    for (const Block block : allBlocks) {
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                if (!h.distinct(block, column) || !counts(block, row, column)) {
                    continue;
                }
                const auto a = x.pairs(block, row, column);
                const auto b = y.pairs(block, row, column);
                if (a.size() != b.size()) {
                    return std::numeric_limits<double>::infinity();
                }
                double size = 0;
                for (const float v : b) {
                    size = std::max(size, std::abs(double(v)) * factor);
                }
                for (std::size_t i = 0; i < h.nA() && !a.empty() && size > 0; ++i) {
                    for (std::size_t j = 0; j < h.nB(); ++j) {
                        const double d = double(a[i * h.nB() + j]) - factor * double(b[pick(i, j)]);
                        worst = std::max(worst, std::abs(d) / size);
                    }
                }
            }
        }
    }
    return worst;
}

const auto everyCell = [](Block, std::size_t, std::size_t) { return true; };

Check verdict(const char* name, double worst, double limit, const std::string& what) {
    Check check{name, worst <= limit ? CheckStatus::pass : CheckStatus::fail, what, worst};
    check.detail +=
        "; largest deviation " + formatNumber(worst) + ", allowed " + formatNumber(limit);
    return check;
}

Check lossScale(const Setting& s, Job& job) {
    constexpr double a = 3;
    Alteration scaled = s.part;
    scaled.scale = a;
    const auto plain = alter(s.source, s.part);
    const auto larger = alter(s.source, scaled);
    ScoreRequest q = s.request;
    q.regularization = {};
    const auto same = [&](std::size_t i, std::size_t j) {
        return i * s.part.samples.at(q.taskB).size() + j;
    };
    Job run = subJob(job, 0, 1);
    const auto m = compute(*plain, q, run);
    const double magnitude = deviation(*compute(*larger, q, run), *m, a, same, everyCell);
    q.variant = Variant::natural;
    const double natural =
        deviation(*compute(*larger, q, run), *compute(*plain, q, run), 1, same, everyCell);
    return verdict("loss_scale", std::max(magnitude, natural), tolerance,
                   "gradients × 3: magnitude × 3, natural unchanged (default regularization)");
}

Check ablation(const Setting& s, Job& job) {
    const auto plain = alter(s.source, s.part);
    ScoreRequest q = s.request;
    q.mode = Mode::structural;
    q.layers = {s.request.layers.back()};
    q.heads.clear();
    Job run = subJob(job, 0, 1);
    const auto before = compute(*plain, q, run);
    const ScoreHeader& h = before->header();
    const auto column = h.heads.size() / 2;
    const std::int64_t head = h.heads[column];
    const std::int64_t layer = h.layers[0];
    Alteration ablated = s.part;
    const auto& layout = s.source.layout();
    for (const Block block : allBlocks) {
        const auto slice = layout.slice(block, LayerIndex(layer), HeadIndex(head));
        if (!slice) {
            continue;
        }
        const auto add = [&](const model::HeadSlice& part) {
            constexpr std::int64_t all = std::int64_t(1) << 40;
            ablated.zeroed[part.parameter].push_back(
                part.axis == model::Axis::rows ? dump::Region{part.start, part.length, 0, all}
                                               : dump::Region{0, all, part.start, part.length});
        };
        add(*slice);
        if (const auto bias = layout.biasSlice(block, LayerIndex(layer), HeadIndex(head))) {
            add(*bias);
        }
    }
    const auto without = alter(s.source, ablated);
    const auto after = compute(*without, q, run);
    double left = 0;
    for (const Block block : allBlocks) {
        for (const float v : after->pairs(block, 0, column)) {
            left = std::max(left, std::abs(double(v)));
        }
    }
    const std::size_t nB = h.nB();
    const double others = deviation(
        *after, *before, 1, [&](std::size_t i, std::size_t j) { return i * nB + j; },
        [&](Block block, std::size_t, std::size_t c) {
            return h.representative(block, c) != h.representative(block, column);
        });
    const std::string where = "layer " + std::to_string(layer) + ", head " + std::to_string(head);
    Check check = verdict("ablation", left > 0 ? std::max(others, 1.0) : others, tolerance,
                          where + " without gradients scores 0, every other cell is unchanged");
    if (left > 0) {
        check.status = CheckStatus::fail;
        check.detail = where + " was zeroed but still scores up to " + formatNumber(left);
    }
    return check;
}

Check symmetry(const Setting& s, Job& job) {
    const auto plain = alter(s.source, s.part);
    ScoreRequest q = s.request;
    q.variant = Variant::symmetric;
    q.fisherTask = FisherTask::pooled;
    Job run = subJob(job, 0, 1);
    const auto forward = compute(*plain, q, run);
    std::swap(q.taskA, q.taskB);
    const auto back = compute(*plain, q, run);
    const std::size_t nA = forward->header().nA();
    return verdict("symmetry",
                   deviation(
                       *forward, *back, 1,
                       [nA](std::size_t i, std::size_t j) { return j * nA + i; }, everyCell),
                   tolerance, "symmetric with the pooled Fisher: A to B equals B to A");
}

Check sampleOrder(const Setting& s, Job& job) {
    Alteration reversed = s.part;
    for (auto& [task, samples] : reversed.samples) {
        std::reverse(samples.begin(), samples.end());
    }
    const auto plain = alter(s.source, s.part);
    const auto other = alter(s.source, reversed);
    ScoreRequest q = s.request;
    // A moving average depends on the order, so it must not be computed here.
    const Context c = resolve(*plain, q, {}, {});
    const auto bundles = [&] {
        Context copy = c;
        return makeBundles(copy);
    }();
    bool stored = true;
    for (const Bundle& bundle : bundles) {
        for (const BundleParameter& p : bundle.parameters) {
            for (const int t : c.fisherTasks()) {
                stored = stored && c.structuralOrigin(t, p.name) != FisherOrigin::computed;
            }
        }
    }
    if (!stored) {
        q.estimator = Estimator::mean;
    }
    Job run = subJob(job, 0, 1);
    const auto x = compute(*plain, q, run);
    const auto y = compute(*other, q, run);
    const std::size_t nA = x->header().nA();
    const std::size_t nB = x->header().nB();
    return verdict(
        "sample_order",
        deviation(
            *y, *x, 1,
            [=](std::size_t i, std::size_t j) { return (nA - 1 - i) * nB + (nB - 1 - j); },
            everyCell),
        tolerance,
        std::string("samples in reverse order give reversed scores (") +
            (stored ? "stored Fisher)" : "estimator mean)"));
}

Check fisherHealth(const Scores& scores) {
    Check check{"fisher_health", CheckStatus::pass, {}, none};
    const ScoreHeader& h = scores.header();
    double worst = -1;
    std::string where;
    double least = std::numeric_limits<double>::infinity();
    double most = 0;
    std::size_t empty = 0;
    for (const Block block : allBlocks) {
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                const CellHealth f = scores.health(block, row, column);
                if (!h.distinct(block, column) || std::isnan(f.max)) {
                    continue;
                }
                empty += f.max == 0 ? 1 : 0;
                least = std::min(least, f.median);
                most = std::max(most, f.max);
                if (f.shareBelow > worst) {
                    worst = f.shareBelow;
                    where = "layer " + std::to_string(h.layers[row]) + ", head " +
                            std::to_string(h.heads[column]) + ", " + blockName(block);
                }
            }
        }
    }
    if (worst < 0) {
        check.status = CheckStatus::skipped;
        check.detail = "no cell has a Fisher";
        return check;
    }
    check.worst = worst;
    check.detail = "medians from " + formatNumber(least) + ", largest value " + formatNumber(most) +
                   "; largest share below max(ε, λ) " + formatNumber(100 * worst) + "% at " + where;
    if (empty > 0) {
        check.status = CheckStatus::fail;
        check.detail += "; " + std::to_string(empty) + " cells have no Fisher at all";
    } else if (worst > 0.99) {
        check.status = CheckStatus::fail;
        check.detail += "; there the regularization replaces the normalization";
    }
    return check;
}

Check dependenceOnA(const Setting& s, const Scores& scores, Job& job) {
    Check check{"dependence_on_a", CheckStatus::skipped, {}, none};
    if (s.asked.taskA == s.asked.taskB) {
        check.detail = "the two tasks are the same";
        return check;
    }
    Job run = subJob(job, 0, 1);
    const auto sizes = gradientSizes(s.source, s.asked, run);
    check.worst = correlationWithSizes(scores, *sizes);
    const auto cells = distinctCells(scores).size();
    constexpr std::size_t enough = 10;
    if (cells < enough || std::isnan(check.worst)) {
        check.detail = "the map has only " + std::to_string(cells) + " cells with data";
        return check;
    }
    const bool picture = check.worst > pictureOfBLimit;
    check.status = picture ? CheckStatus::fail : CheckStatus::pass;
    check.detail = "rank correlation of the map with the mean gradient size of B: " +
                   formatNumber(check.worst, 4) +
                   (picture ? "; the chosen Fisher makes the map a picture of B alone, choose "
                              "another --fisher-task"
                            : "");
    return check;
}

} // namespace

std::string name(CheckStatus status) {
    return status == CheckStatus::pass ? "pass" : status == CheckStatus::fail ? "fail" : "skipped";
}

std::vector<Check> runChecks(const GradientSource& source, const ScoreRequest& request, Job& job) {
    const Setting setting = makeSetting(source, request);
    std::vector<Check> checks;
    job.stage("Checking", 0, 0.4);
    const auto run = [&](const std::function<Check(Job&)>& check) {
        const double begin = double(checks.size()) / 5;
        Job part = subJob(job, begin, begin + 0.2);
        checks.push_back(check(part));
    };
    run([&](Job& j) { return headAdditivity(setting.source, setting.part, setting.request, j); });
    run([&](Job& j) { return lossScale(setting, j); });
    run([&](Job& j) { return ablation(setting, j); });
    run([&](Job& j) { return symmetry(setting, j); });
    run([&](Job& j) { return sampleOrder(setting, j); });
    job.stage("Scoring the map", 0.4, 1);
    Job scoring = subJob(job, 0, 0.7);
    const auto scores = compute(source, request, scoring);
    checks.push_back(fisherHealth(*scores));
    Job sizing = subJob(job, 0.7, 1);
    checks.push_back(dependenceOnA(setting, *scores, sizing));
    job.finish();
    return checks;
}

std::vector<Check> runChecks(const dump::DumpReader& dump, const ScoreRequest& request, Job& job) {
    return runChecks(*makeDumpSource(dump), request, job);
}

nlohmann::json toJson(const std::vector<Check>& checks) {
    nlohmann::json out = nlohmann::json::object();
    for (const Check& c : checks) {
        out[c.name] = {
            {"status", name(c.status)},
            {"detail", c.detail},
            {"worst", std::isfinite(c.worst) ? nlohmann::json(c.worst) : nlohmann::json(nullptr)}};
    }
    return out;
}

} // namespace qkov::engine
