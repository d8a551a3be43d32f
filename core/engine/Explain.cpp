// SPDX-License-Identifier: GPL-3.0-or-later
// What a computation would read, hold and take, before it runs.
#include "base/Numbers.h"
#include "base/Threads.h"
#include "engine/Compute.h"
#include "engine/Run.h"
#include "engine/Tiles.h"
#include "engine/cpu/Kernels.h"

#include <algorithm>
#include <chrono>

namespace qkov::engine {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Multiply-adds × 2 per second of one core, from a few milliseconds of products.
double coreRate() {
    constexpr std::int64_t n = 64;
    constexpr std::int64_t depth = 512;
    const std::vector<float> a(static_cast<std::size_t>(n * depth), 1.0f);
    std::vector<double> c(static_cast<std::size_t>(n * n));
    const cpu::Kernels& k = cpu::kernels();
    k.products(a.data(), n, a.data(), n, depth, c.data(), n, nullptr);
    int rounds = 0;
    const auto start = Clock::now();
    while (since(start) < 0.01) {
        k.products(a.data(), n, a.data(), n, depth, c.data(), n, nullptr);
        ++rounds;
    }
    return 2.0 * double(n * n * depth) * rounds / since(start);
}

/// Bytes per second of the first tile's first samples.
double readRate(const Context& context, const std::vector<Bundle>& bundles, const Plan& plan) {
    if (plan.groups.empty()) {
        return 0;
    }
    const Bundle& bundle = bundles[plan.groups.front().bundle];
    const TileSpec& spec = plan.groups.front().tiles.front();
    const BundleParameter& p = bundle.parameters[spec.parameter];
    const dump::ParameterEntry& entry = *p.entries[0];
    const Quantity quantity = Context::contributions(entry).quantity;
    const DType type = context.source->nativeType(*context.tasks[0].task, entry, quantity);
    const auto bytes = spec.region.count() * static_cast<std::int64_t>(dtypeSize(type));
    const auto count =
        std::clamp<std::int64_t>((std::int64_t(32) << 20) / bytes, 1,
                                 static_cast<std::int64_t>(context.tasks[0].selected.size()));
    std::vector<std::byte> target(static_cast<std::size_t>(bytes * count));
    const auto start = Clock::now();
    context.source->read(
        *context.tasks[0].task, entry, quantity,
        std::span(context.tasks[0].selected).first(static_cast<std::size_t>(count)), spec.region,
        type, target.data());
    return double(bytes * count) / std::max(since(start), 1e-6);
}

/// What reading compressed numbers takes beside the tiles.
std::int64_t chunkBytes(const Context& context, const std::vector<Bundle>& bundles,
                        const Plan& plan) {
    ChunkBytes most;
    for (const Group& group : plan.groups) {
        for (const TileSpec& spec : group.tiles) {
            const ChunkBytes own = chunkBytesOf(
                context, bundles[group.bundle].parameters[spec.parameter], spec.region);
            most.kept = std::max(most.kept, own.kept);
            most.working = std::max(most.working, own.working);
        }
    }
    return std::min(most.kept, dump::PieceReader::mostKept) + most.working;
}

} // namespace

Explanation explain(const GradientSource& source, const ScoreRequest& request,
                    const std::vector<Mode>& modes) {
    Context context = resolve(source, request, modes, {});
    const std::vector<Bundle> bundles = makeBundles(context);
    const std::unique_ptr<Backend> backend =
        makeBackend(request.device, request.threads, request.precision);
    const Plan plan = makePlan(context, bundles, *backend, tileBudget(context, *backend));

    Explanation e;
    e.device = backend->description();
    e.readBytes = plan.readBytes;
    e.tileBytes = plan.tileBytes;
    e.resultBytes = resultBytes(context, false);
    e.groups = static_cast<std::int64_t>(plan.groups.size());
    const auto nModes = static_cast<std::int64_t>(context.modes.size());
    for (const Group& g : plan.groups) {
        e.repeatedGroups += g.resident ? 0 : 1;
    }
    for (const Bundle& bundle : bundles) {
        for (const Unit& unit : bundle.units) {
            if (!unit.columns.empty()) {
                e.slices += 1;
                e.parameters += unit.size;
            }
        }
    }
    const auto scored =
        static_cast<double>(context.tasks[0].selected.size() * context.tasks[1].selected.size());
    e.flops = 2.0 * scored * double(e.parameters) * double(nModes);
    e.peakBytes = e.tileBytes + e.resultBytes + chunkBytes(context, bundles, plan) +
                  workingBytes(context, bundles, plan, *backend, false);
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    const double compute = e.flops / (coreRate() * threads);
    const double read = readRate(context, bundles, plan);
    e.seconds = std::max(compute, read > 0 ? double(e.readBytes) / read : 0);

    const auto count = [](std::int64_t n) { return formatCount(n); };
    e.text = "device          " + e.device + "\n" + "slices          " + count(e.slices) + " (" +
             count(e.parameters) + " parameters)\n" + "pairs           " +
             count(static_cast<std::int64_t>(scored)) + " per slice, " + count(nModes) +
             (nModes == 1 ? " mode\n" : " modes\n") + "to read         " +
             formatBytes(double(e.readBytes)) + " in " + count(e.groups) + " parts" +
             (e.repeatedGroups > 0 ? ", " + count(e.repeatedGroups) + " of them once per pass: " +
                                         "they don't fit the memory budget\n"
                                   : "\n") +
             "products        " + formatNumber(e.flops) + " operations\n" + "memory          " +
             formatBytes(double(e.peakBytes)) + " (tiles " + formatBytes(double(e.tileBytes)) +
             ", results " + formatBytes(double(e.resultBytes)) + ")\n" + "expected time   " +
             formatDuration(e.seconds) + "\n";
    return e;
}

} // namespace qkov::engine
