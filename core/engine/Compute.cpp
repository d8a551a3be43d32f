// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Compute.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "base/Threads.h"
#include "engine/Finish.h"
#include "engine/GroupRun.h"
#include "engine/Run.h"
#include "engine/Tiles.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::engine {

namespace {

using Clock = std::chrono::steady_clock;
using SharedLayer = std::shared_ptr<const LayerScores>;

double seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
}

/// One computation: its layers as they become ready, for each mode.
class Computation {
  public:
    Computation(Context context, bool pooledPairs, Backend& backend, Job& job,
                const PartialSink& partial)
        : m_context(std::move(context))
        , m_pooledPairs(pooledPairs)
        , m_backend(backend)
        , m_job(job)
        , m_partial(partial)
        , m_bundles(makeBundles(m_context))
        , m_results(m_context.modes.size(), std::vector<SharedLayer>(m_context.layers.size()))
        , m_missing(m_context.modes.size()) {}

    /// @param shrink divides the memory for tiles, after a device ran out of it
    void run(std::int64_t shrink);
    Excluded scan();
    std::vector<std::shared_ptr<const Scores>> results() const;

  private:
    RunContext runContext(Loader& loader);
    void startProgress(const Plan& plan, double begin, double end, bool scanning);
    void finishUnits(RunContext& run, const Bundle& bundle, const std::vector<std::size_t>& units,
                     std::vector<UnitState>& states);
    void finishBundle(std::size_t bundle);
    void finishLayer(std::size_t row);
    LayerScores& openLayer(std::size_t mode, Block block);

    Context m_context;
    bool m_pooledPairs;
    Backend& m_backend;
    Job& m_job;
    const PartialSink& m_partial;
    std::vector<Bundle> m_bundles;
    std::vector<std::vector<SharedLayer>> m_results; ///< [mode][layer row]
    std::vector<LayerScores> m_open;                 ///< [mode], of the layer being computed
    std::vector<std::vector<std::string>> m_missing; ///< [mode], cells without a value
    std::size_t m_nextBundle = 0; ///< first one not finished: where a retry goes on
    Clock::time_point m_start = Clock::now();
    double m_work = 1, m_done = 0;
    double m_readSeconds = 0, m_computeSeconds = 0;
    StageSeconds m_stages;
};

RunContext Computation::runContext(Loader& loader) {
    RunContext run{m_context, m_bundles, m_backend, loader, m_job, {}, {}, 0,    0,
                   false,     1,         {},        0,      {},    {}, {}, false};
    run.allPairs = m_pooledPairs || !m_context.profile();
    const std::size_t nA = m_context.tasks[0].selected.size();
    const std::size_t nB = m_context.tasks[1].selected.size();
    if (m_pooledPairs || m_context.profile()) {
        // D' is the mean over both tasks' samples, whichever pairs are asked for.
        run.left = {{0, 0}, {1, nA}};
        run.right = {{0, 0}, {1, nA}};
        run.nLeft = run.nRight = nA + nB;
    } else {
        run.left = {{0, 0}};
        run.right = {{1, 0}};
        run.nLeft = nA;
        run.nRight = nB;
    }
    run.exact = exactWork(m_context, m_bundles) <= double(m_context.request.exactBelow);
    run.threads = m_context.request.threads > 0 ? m_context.request.threads : defaultThreadCount();
    run.advance = [this](double parameters) {
        m_done += parameters;
        m_context.source->checkInPlace();
        m_job.advance(m_done / m_work);
        m_job.checkCancelled();
    };
    return run;
}

void Computation::startProgress(const Plan& plan, double begin, double end, bool scanning) {
    m_work = 1;
    m_done = 0;
    for (const Group& g : plan.groups) {
        for (const TileSpec& t : g.tiles) {
            m_work += static_cast<double>(t.region.count()) * (scanning ? 1 : g.passes);
        }
    }
    m_job.stage(scanning ? "Looking for NaN and infinity" : "Scoring", begin, end);
}

Excluded Computation::scan() {
    Excluded found;
    const Plan plan = makePlan(m_context, m_bundles, m_backend, tileBudget(m_context, m_backend));
    Loader loader(m_context, m_bundles, m_backend, plan, true, m_job);
    RunContext run = runContext(loader);
    startProgress(plan, 0, 0.2, true);
    for (const Group& group : plan.groups) {
        scanGroup(run, group, found, m_context.notes);
    }
    return found;
}

void Computation::run(std::int64_t shrink) {
    const std::int64_t results = resultBytes(m_context, m_pooledPairs);
    if (results > m_context.request.memoryBudget) {
        throw UsageError("the scores of all pairs need " + formatBytes(double(results)) +
                         "; raise --memory-budget, or select fewer samples, layers or heads");
    }
    const Plan plan =
        makePlan(m_context, m_bundles, m_backend, tileBudget(m_context, m_backend) / shrink);
    Loader loader(m_context, m_bundles, m_backend, plan, false, m_job);
    RunContext run = runContext(loader);
    startProgress(plan, m_context.request.nonFinite == NonFinite::skip ? 0.2 : 0.0, 1.0, false);
    std::vector<UnitState> states;
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
        const Group& group = plan.groups[g];
        if (group.bundle < m_nextBundle) {
            continue;
        }
        const Bundle& bundle = m_bundles[group.bundle];
        const bool first = g == 0 || plan.groups[g - 1].bundle != group.bundle;
        if (first) {
            states.assign(bundle.units.size(), {});
            m_job.rename("Scoring layer " + std::to_string(bundle.layerRow + 1) + " of " +
                         std::to_string(m_context.layers.size()));
        }
        runGroup(run, group, states, [&] {
            if (g + 1 < plan.groups.size()) {
                loader.ahead(plan.groups[g + 1].bundle, plan.groups[g + 1].tiles.front());
            }
        });
        // Sums of pairs are large: only modes that wait for the block's mean keep them.
        const bool waits = m_context.needsBehavioral() && !m_context.profile() &&
                           !m_context.behavioralStored(bundle.parameters[0].name);
        if (!waits) {
            finishUnits(run, bundle, group.units, states);
        }
        if (g + 1 == plan.groups.size() || plan.groups[g + 1].bundle != group.bundle) {
            if (waits) {
                setGroupMeans(bundle, states);
                std::vector<std::size_t> all(bundle.units.size());
                std::iota(all.begin(), all.end(), std::size_t(0));
                finishUnits(run, bundle, all, states);
            }
            finishBundle(group.bundle);
            m_nextBundle = group.bundle + 1;
            m_readSeconds += loader.readSeconds() - m_readSeconds;
            m_computeSeconds = run.computeSeconds;
            m_stages = run.stages;
        }
    }
    // Layers without any bundle are complete as they are: all missing.
    for (std::size_t row = 0; row < m_context.layers.size(); ++row) {
        finishLayer(row);
    }
}

LayerScores& Computation::openLayer(std::size_t mode, Block block) {
    if (m_open.empty()) {
        m_open.resize(m_context.modes.size());
    }
    LayerScores& open = m_open[mode];
    const std::size_t b = blockIndex(block);
    if (open.pairs[b].empty()) {
        const std::size_t heads = m_context.heads.size();
        const auto size = pairCount(m_context, m_pooledPairs);
        open.pairs[b].assign(heads * size, std::numeric_limits<float>::quiet_NaN());
        open.means[b].assign(heads, std::numeric_limits<double>::quiet_NaN());
        open.health[b].assign(heads, fisher::noHealth());
    }
    return open;
}

void Computation::finishUnits(RunContext& run, const Bundle& bundle,
                              const std::vector<std::size_t>& units,
                              std::vector<UnitState>& states) {
    const std::size_t nA = m_context.tasks[0].selected.size();
    for (const std::size_t u : units) {
        const Unit& unit = bundle.units[u];
        for (std::size_t m = 0; m < m_context.modes.size() && !unit.columns.empty(); ++m) {
            m_job.checkCancelled();
            std::string missing;
            std::vector<float> pairs = finishUnit(run, bundle, u, states[u], m, &missing);
            LayerScores& open = openLayer(m, unit.block);
            const std::size_t b = blockIndex(unit.block);
            if (!missing.empty()) {
                m_missing[m].push_back(missing);
            }
            if (!pairs.empty() && m_context.profile() && !m_pooledPairs) {
                // The corner of A's rows and B's columns.
                std::vector<float> corner;
                for (std::size_t i = 0; i < nA; ++i) {
                    const auto row = pairs.begin() + static_cast<std::ptrdiff_t>(i * run.nRight);
                    corner.insert(corner.end(), row + static_cast<std::ptrdiff_t>(nA),
                                  row + static_cast<std::ptrdiff_t>(run.nRight));
                }
                pairs = std::move(corner);
            }
            double sum = 0;
            double count = 0;
            for (const float v : pairs) {
                if (!std::isnan(v)) {
                    sum += double(v);
                    count += 1;
                }
            }
            for (const std::size_t column : unit.columns) {
                open.health[b][column] = states[u].health[m];
                if (pairs.empty()) {
                    continue;
                }
                std::copy(pairs.begin(), pairs.end(),
                          open.pairs[b].begin() +
                              static_cast<std::ptrdiff_t>(column * pairs.size()));
                open.means[b][column] =
                    count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
            }
        }
        states[u] = {};
    }
}

void Computation::finishBundle(std::size_t index) {
    const Bundle& bundle = m_bundles[index];
    const bool last =
        index + 1 == m_bundles.size() || m_bundles[index + 1].layerRow != bundle.layerRow;
    if (last) {
        finishLayer(bundle.layerRow);
        if (m_partial) {
            m_partial(results().front());
        }
    }
}

void Computation::finishLayer(std::size_t row) {
    for (std::size_t m = 0; m < m_results.size(); ++m) {
        if (m_results[m][row]) {
            continue;
        }
        m_results[m][row] = m_open.empty()
                                ? std::make_shared<const LayerScores>()
                                : std::make_shared<const LayerScores>(std::move(m_open[m]));
    }
    m_open.clear();
}

std::vector<std::shared_ptr<const Scores>> Computation::results() const {
    std::vector<std::shared_ptr<const Scores>> out;
    for (std::size_t m = 0; m < m_results.size(); ++m) {
        auto header = std::make_shared<ScoreHeader>(
            makeHeader(m_context, m_context.modes[m], m_pooledPairs, m_backend.description()));
        header->missing.insert(header->missing.end(), m_missing[m].begin(), m_missing[m].end());
        header->readSeconds = m_readSeconds;
        header->computeSeconds = m_computeSeconds;
        header->stages = m_stages;
        header->totalSeconds = seconds(m_start);
        out.push_back(std::make_shared<ScoreTensor>(std::move(header), m_results[m]));
    }
    return out;
}

std::vector<std::shared_ptr<const Scores>>
computeAll(const GradientSource& source, const ScoreRequest& request,
           const std::vector<Mode>& modes, bool pooledPairs, Job& job, const PartialSink& partial) {
    const std::unique_ptr<Backend> backend =
        makeBackend(request.device, request.threads, request.precision);
    return computeOn(*backend, source, request, modes, pooledPairs, job, partial);
}

} // namespace

std::vector<std::shared_ptr<const Scores>>
computeOn(Backend& backend, const GradientSource& source, const ScoreRequest& request,
          const std::vector<Mode>& modes, bool pooledPairs, Job& job, const PartialSink& partial) {
    Context context = resolve(source, request, modes, {});
    if (request.nonFinite == NonFinite::skip) {
        const Excluded excluded = Computation(context, pooledPairs, backend, job, {}).scan();
        context = resolve(source, request, modes, excluded);
        for (std::size_t t = 0; t < 2; ++t) {
            for (const std::int64_t s : excluded[t]) {
                const dump::TaskInfo& task = *context.tasks[t].task;
                context.notes.push_back(
                    "Left out sample \"" + task.samples[static_cast<std::size_t>(s)].id +
                    "\" of task \"" + task.name + "\": its gradients hold NaN or infinity.");
            }
        }
    }
    Computation computation(std::move(context), pooledPairs, backend, job, partial);
    for (std::int64_t shrink = 1;; shrink *= 2) {
        try {
            computation.run(shrink);
            job.advance(1); // the caller may have more to do: finish() is theirs
            return computation.results();
        } catch (const OutOfTileMemory&) {
            if (shrink >= 1024) {
                throw;
            }
        }
    }
}

std::size_t pairCount(const Context& c, bool pooledPairs) {
    const std::size_t nA = c.tasks[0].selected.size();
    const std::size_t nB = c.tasks[1].selected.size();
    return pooledPairs ? (nA + nB) * (nA + nB) : nA * nB;
}

std::int64_t resultBytes(const Context& c, bool pooledPairs) {
    const auto blocks = std::count(c.blocks.begin(), c.blocks.end(), true);
    return static_cast<std::int64_t>(pairCount(c, pooledPairs) * c.layers.size() * c.heads.size() *
                                     c.modes.size() * 4) *
           blocks;
}

std::int64_t tileBudget(const Context& c, const Backend& backend) {
    // Fisher, weights, sums and buffers kept for the next tiles take about what is left.
    const std::int64_t left = c.request.memoryBudget - resultBytes(c, c.profile());
    return backend.tileBytes(std::max<std::int64_t>(left / 2, 1024));
}

Excluded findNonFinite(const GradientSource& source, const ScoreRequest& request, Job& job) {
    const std::unique_ptr<Backend> backend = makeCpuBackend(request.threads);
    return Computation(resolve(source, request, {}, {}), false, *backend, job, {}).scan();
}

std::shared_ptr<const Scores> compute(const GradientSource& source, const ScoreRequest& request,
                                      Job& job, const PartialSink& partial) {
    return computeAll(source, request, {}, false, job, partial).front();
}

std::shared_ptr<const Scores> compute(const dump::DumpReader& dump, const ScoreRequest& request,
                                      Job& job, const PartialSink& partial) {
    return compute(*makeDumpSource(dump), request, job, partial);
}

std::vector<std::shared_ptr<const Scores>> computeModes(const GradientSource& source,
                                                        const ScoreRequest& request,
                                                        const std::vector<Mode>& modes, Job& job) {
    return computeAll(source, request, modes, false, job, {});
}

std::shared_ptr<const Scores> computePooled(const GradientSource& source,
                                            const ScoreRequest& request, Job& job) {
    ScoreRequest pooled = request;
    pooled.variant = Variant::profile;
    return computeAll(source, pooled, {}, true, job, {}).front();
}

} // namespace qkov::engine
