// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Finish.h"

#include "fisher/Estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

namespace qkov::engine {

void setGroupMeans(const Bundle& bundle, std::vector<UnitState>& states) {
    struct Sum {
        double fisher = 0;
        double parameters = 0;
    };
    std::map<std::pair<Block, int>, Sum> sums;
    for (std::size_t u = 0; u < bundle.units.size(); ++u) {
        Sum& sum = sums[{bundle.units[u].block, bundle.units[u].type}];
        sum.fisher += states[u].fisher.extent.sum;
        sum.parameters += static_cast<double>(bundle.units[u].size);
    }
    for (std::size_t u = 0; u < bundle.units.size(); ++u) {
        const Sum& sum = sums[{bundle.units[u].block, bundle.units[u].type}];
        states[u].fisher.behavioral = sum.fisher / sum.parameters;
    }
}

namespace {

std::string cellName(const Bundle& bundle, const Unit& unit) {
    const bool shared = unit.block == Block::K || unit.block == Block::V;
    return "layer " + std::to_string(bundle.layer.value) + ", " + (shared ? "kv head " : "head ") +
           std::to_string(unit.head) + ", " + blockName(unit.block);
}

} // namespace

std::vector<float> finishUnit(const RunContext& run, const Bundle& bundle, std::size_t u,
                              UnitState& state, std::size_t m, std::string* missing) {
    const Context& c = run.context;
    const ScoreRequest& r = c.request;
    const Unit& unit = bundle.units[u];
    const Mode mode = c.modes[m];
    double factor = 1;
    if (!c.profile()) {
        if (lacksBehavioral(mode, state.fisher)) {
            *missing = cellName(bundle, unit) + ": the dump's behavioral Fisher lacks it";
            return {};
        }
        if (mode == Mode::behavioral && state.fisher.behavioralElements.empty()) {
            state.health[m] = modeHealth(mode, state.fisher, r.regularization);
        }
        if (degenerate(mode, state.fisher, r.regularization)) {
            if (state.leftNonzero) {
                *missing = cellName(bundle, unit) +
                           ": its Fisher is zero while task A's gradients are not";
                return {};
            }
            return std::vector<float>(run.nLeft * run.nRight, 0.0f);
        }
        factor = state.factors[m] *
                 behavioralFactor(mode, weightPower(r.variant), state.fisher, r.regularization);
    }
    const bool cosine = r.variant == Variant::cosine;
    if (!c.profile() && !cosine && r.aggregate == Aggregate::mean) {
        factor /= static_cast<double>(unit.size);
    }
    std::vector<double> perColumn(run.nRight, 1.0);
    if (!c.profile() && !cosine && r.gradScale == GradScale::perToken) {
        const TaskSelection& b = c.tasks[1];
        for (std::size_t j = 0; j < perColumn.size(); ++j) {
            perColumn[j] = 1.0 / b.task->samples[static_cast<std::size_t>(b.selected[j])].tokens;
        }
    }
    std::vector<float> out(run.nLeft * run.nRight);
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    bool infinite = false;
    for (std::size_t i = 0; i < run.nLeft; ++i) {
        run.job.checkCancelled();
        for (std::size_t j = 0; j < run.nRight; ++j) {
            double v = state.scores[m][i * run.nRight + j];
            if (c.profile()) {
                const double x = state.sumsLeft[i];
                const double y = state.sumsRight[j];
                v = x > 0 && y > 0 ? v / x / y : none;
            } else if (cosine) {
                const double x = state.normsLeft[m][i];
                const double y = state.normsRight[m][j];
                v = x > 0 && y > 0 ? std::clamp(v / std::sqrt(x) / std::sqrt(y), -1.0, 1.0) : 0;
            } else {
                v *= factor * perColumn[j];
                infinite = infinite || std::isinf(v);
            }
            out[i * run.nRight + j] = static_cast<float>(v);
        }
    }
    if (infinite) {
        *missing = cellName(bundle, unit) + ": D is zero where task A's gradients are not";
        return {};
    }
    return out;
}

ScoreHeader makeHeader(const Context& c, Mode mode, bool pooledPairs, const std::string& device) {
    ScoreHeader h;
    const dump::DumpInfo& info = c.source->info();
    h.model = info.model;
    h.dumpName = c.source->file().empty() ? info.model.name : c.source->file().filename().string();
    h.dumpFingerprint = info.fingerprint;
    h.taskA = c.request.taskA;
    h.taskB = c.request.taskB;
    h.device = device;
    h.createdBy = std::string("qkov ") + QKOV_VERSION;
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    h.createdAt = text;
    h.request = c.request;
    h.request.mode = mode;
    h.request.estimator = c.estimator;
    h.request.layers = c.layers;
    h.request.heads = c.heads;
    h.request.blocks.clear();
    for (const Block b : allBlocks) {
        if (c.blocks[blockIndex(b)]) {
            h.request.blocks.push_back(b);
        }
    }
    h.configJson = toJson(h.request).dump();
    h.layers.assign(c.layers.begin(), c.layers.end());
    h.heads.assign(c.heads.begin(), c.heads.end());
    for (const std::int64_t i : c.tasks[0].selected) {
        h.samplesA.push_back(c.tasks[0].task->samples[static_cast<std::size_t>(i)]);
    }
    for (const std::int64_t i : c.tasks[1].selected) {
        h.samplesB.push_back(c.tasks[1].task->samples[static_cast<std::size_t>(i)]);
    }
    if (pooledPairs) {
        h.samplesA.insert(h.samplesA.end(), h.samplesB.begin(), h.samplesB.end());
        h.samplesB = h.samplesA;
    }
    h.blocks = c.blocks;
    h.headTypes = info.headTypes;
    h.missing = c.missing;
    h.notes = c.notes;
    return h;
}

} // namespace qkov::engine
