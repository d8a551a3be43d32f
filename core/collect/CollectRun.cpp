// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectRun.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "base/Threads.h"
#include "collect/BackgroundWriter.h"
#include "collect/DeviceStore.h"
#include "collect/HeadScores.h"
#include "collect/ScriptModel.h"
#include "collect/TorchThreads.h"
#include "engine/Backend.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <mutex>
#include <thread>
#include <torch/version.h>
#include <unistd.h>
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 8)
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace qkov::collect {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What happens to finished batches.
struct Destination {
    std::function<bool(std::size_t task, std::size_t batch)> has; ///< from an earlier run
    BackgroundWriter::Write write;
    DeviceStore* store = nullptr; ///< takes the factors, if there is one
};

struct BatchPlace {
    std::size_t task = 0, batch = 0;
};

/// Which batches are left to do; tells the job how many samples are collected.
class BatchProgress {
  public:
    BatchProgress(const CollectPlan& plan,
                  const std::function<bool(std::size_t task, std::size_t batch)>& has)
        : m_plan(plan)
        , m_done(plan.tasks.size(), 0) {
        for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
            m_total += plan.tasks[t].samples.size();
            for (std::size_t b = 0; b < plan.tasks[t].batches.size(); ++b) {
                has(t, b) ? count({t, b}) : m_left.push_back({t, b});
            }
        }
    }
    const std::vector<BatchPlace>& left() const { return m_left; }
    std::size_t doneSamples() const { return m_all; }
    std::size_t totalSamples() const { return m_total; }
    /// Called by whichever thread has done it.
    void done(BatchPlace place, Job& job) {
        const std::lock_guard lock(m_mutex);
        count(place);
        const PlannedTask& task = m_plan.tasks[place.task];
        job.rename("Collecting " + task.name + ", " + std::to_string(m_done[place.task]) + " of " +
                   std::to_string(task.samples.size()) + " samples");
        job.advance(double(m_all) / double(m_total));
    }

  private:
    void count(BatchPlace place) {
        const std::size_t n = m_plan.tasks[place.task].batches[place.batch].size();
        m_done[place.task] += n;
        m_all += n;
    }

    const CollectPlan& m_plan;
    std::mutex m_mutex;
    std::vector<BatchPlace> m_left;
    std::vector<std::size_t> m_done;
    std::size_t m_all = 0, m_total = 0;
};

/// The model behind a request: our decoder, or a module.
class Runner {
  public:
    Runner(const CollectPlan& plan, const CollectRequest& request, at::Device device, Job& job)
        : m_plan(plan)
        , m_reduction(request.loss) {
        const at::ScalarType compute = request.computeDouble ? at::kDouble : at::kFloat;
        if (plan.checkpoint) {
            DecoderLoading loading;
            loading.poll = [&job](double fraction) {
                job.checkCancelled();
                job.advance(fraction);
            };
            std::jthread warming; // waits for it at the end of this block
            if (device.is_cuda()) {
                loading.firstLayer = [&](const Decoder& first) {
                    warming =
                        std::jthread([&, first] { warmUp(first, plan, request, device, job); });
                };
            }
            m_decoder =
                std::make_unique<Decoder>(plan.spec, *plan.checkpoint, compute, device, loading);
        } else {
            m_script = std::make_unique<ScriptModel>(request.model, compute, device);
        }
    }
    BatchCapture capture(std::span<const Sample* const> samples, const CancelToken& token) const {
        return m_decoder ? captureBatch(*m_decoder, samples, m_reduction, token)
                         : m_script->capture(m_plan, samples, m_reduction, token);
    }
    const Decoder& decoder() const { return *m_decoder; }

  private:
    /// The first batch through the first layer while the others are being read: libraries load
    /// their kernels when they are first used, which takes longer than a whole batch.
    static void warmUp(const Decoder& first, const CollectPlan& plan, const CollectRequest& request,
                       at::Device device, const Job& job) {
        try {
            // The batches' memory in one piece, cut up later: every piece that the driver is asked
            // for takes time.
            at::empty(
                {static_cast<std::int64_t>(plan.peakBytes - plan.weightBytes - plan.storeBytes)},
                at::TensorOptions(at::kByte).device(device));
            CollectPlan one;
            for (const RecordedParameter& p : plan.parameters) {
                if (p.layer == 0) {
                    one.parameters.push_back(p);
                }
            }
            const PlannedTask& task = plan.tasks.front();
            PlannedTask& copy = one.tasks.emplace_back();
            copy.batches.emplace_back();
            std::vector<const Sample*> samples;
            for (const std::size_t i : task.batches.front()) {
                copy.batches.front().push_back(copy.samples.size());
                copy.samples.push_back(task.samples[i]);
                samples.push_back(&task.samples[i]);
            }
            const BatchCapture captured = captureBatch(first, samples, request.loss, job.token());
            RoundingLoss loss;
            if (plan.storeBytes > 0) {
                DeviceStore store(one, request, device);
                store.put(0, 0, captured, loss);
                store.finish();
            } else {
                packBatch(one, request, copy, copy.batches.front(), captured, loss);
            }
        } catch (const std::exception&) {
            // The real batches will say what is wrong.
        }
    }

    const CollectPlan& m_plan;
    LossReduction m_reduction;
    std::unique_ptr<Decoder> m_decoder;
    std::unique_ptr<ScriptModel> m_script;
};

dump::HeadTypes headTypes(const CollectPlan& plan, const CollectRequest& request,
                          const Decoder& decoder, Job& job) {
    const DecoderSpec& spec = plan.spec;
    job.stage("Telling the heads' types", 0.8, 0.85);
    const Probe probe =
        request.probe.empty()
            ? randomProbe(spec.vocabulary, specialTokens(plan.shape.configJson, plan.directory),
                          spec.maxPositions)
            : readProbe(request.probe, spec.vocabulary, spec.maxPositions);
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    setOperationThreads(decoder.device().is_cuda() ? threads : 1);
    return computeHeadTypes(decoder, probe, job, threads);
}

/// What the workers' pools keep for their next batch goes back to the system: the stages that
/// follow have other threads and sizes, and would not use it.
void releaseFreeMemory() {
#ifdef __GLIBC__
    ::malloc_trim(0);
#endif
}

/// Memory for a batch that is on its way from a GPU, made while that works; nothing where it would
/// be a good part of the machine's: several batches are on their way at times.
std::future<Payload> makeRoom(std::size_t bytes) {
    constexpr std::size_t share = 16;
    const auto pages = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
    if (bytes > pages / share * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
        return {};
    }
    return std::async(std::launch::async, roomFor, bytes);
}

/// Runs what is not there yet; returns the head types if they are wanted.
/// @param ready called when the model is loaded
dump::HeadTypes runModel(const CollectPlan& plan, const CollectRequest& request, at::Device device,
                         const Destination& destination, Job& job, CollectSummary& summary,
                         const std::function<void()>& ready) {
    const bool wantTypes = request.headTypes || request.behavioralFisher;
    BatchProgress progress(plan, destination.has);
    const std::vector<BatchPlace>& left = progress.left();
    if (progress.doneSamples() > 0) {
        summary.warnings.push_back("continued: " + std::to_string(progress.doneSamples()) + " of " +
                                   std::to_string(progress.totalSamples()) +
                                   " samples were already collected");
    }
    if (left.empty() && !wantTypes) {
        return {};
    }
    job.stage("Loading the model", 0, 0.05);
    setOperationThreads(plan.operationThreads(request));
    const Runner runner(plan, request, device, job);
    job.checkCancelled();
    ready();
    BackgroundWriter writer(destination.write);
    job.stage("Collecting", 0.05, 0.8);
    std::vector<RoundingLoss> losses(static_cast<std::size_t>(plan.workers));
    parallelFor(left.size(), plan.workers, [&](std::size_t i, int worker) {
        const auto [t, b] = left[i];
        job.checkCancelled();
        const PlannedTask& task = plan.tasks[t];
        std::vector<const Sample*> samples;
        for (const std::size_t s : task.batches[b]) {
            samples.push_back(&task.samples[s]);
        }
        try {
            std::future<Payload> room;
            if (device.is_cuda() && !destination.store) {
                room = makeRoom(PayloadLayout(plan, request, task, task.batches[b]).bytes);
            }
            BatchCapture capture = runner.capture(samples, job.token());
            RoundingLoss& loss = losses[static_cast<std::size_t>(worker)];
            PackedBatch packed;
            if (destination.store) {
                packed.payload = destination.store->put(t, b, capture, loss);
            } else {
                packed = packBatch(plan, request, task, task.batches[b], capture, loss);
            }
            if (room.valid()) {
                packed.payload = room.get();
            }
            writer.put({t, b, std::move(capture.losses), std::move(packed), {}});
        } catch (const c10::OutOfMemoryError&) {
            throw Error("the GPU's memory is full; close what else uses it, or lower "
                        "--memory-budget or --max-tokens");
        }
        progress.done(left[i], job);
    });
    writer.finish();
    releaseFreeMemory();
    RoundingLoss loss;
    for (const RoundingLoss& one : losses) {
        loss.written += one.written;
        loss.zeroed += one.zeroed;
    }
    if (loss.zeroed > 0.01 * loss.written) {
        summary.warnings.push_back(
            formatNumber(100 * loss.zeroed / loss.written, 2) +
            "% of the numbers were too small for float16 and became zero; --dtype f32 keeps them");
    }
    return wantTypes ? headTypes(plan, request, runner.decoder(), job) : dump::HeadTypes();
}

} // namespace

at::Device resolveDevice(const std::string& device) {
    if (device == "cpu") {
        return at::kCPU;
    }
    const bool available = at::globalContext().hasCUDA() && at::getNumGPUs() > 0;
    if (device == "auto") {
        return available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
    }
    if (device != "cuda" && !device.starts_with("cuda:")) {
        throw UsageError("unknown device '" + device + "'; use auto, cpu or cuda[:n]");
    }
    if (!available) {
        throw UsageError("there is no usable GPU here; use --device cpu");
    }
    int index = 0;
    if (device.size() > 4) {
        const std::string number = device.substr(5);
        if (number.empty() || number.size() > 3 ||
            number.find_first_not_of("0123456789") != std::string::npos) {
            throw UsageError("unknown device '" + device + "'; use auto, cpu or cuda[:n]");
        }
        index = std::stoi(number);
    }
    if (index >= static_cast<int>(at::getNumGPUs())) {
        throw UsageError("there is no GPU " + std::to_string(index) + " here");
    }
    return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

namespace {

CollectPlan planFor(const CollectRequest& request, bool keep) {
    const at::Device device = resolveDevice(request.device);
    if (isScript(request)) {
        return planScript(request, ScriptModel(request.model, at::kFloat, at::kCPU).parameters());
    }
    PlanDevice where;
    where.cuda = device.is_cuda();
    where.halfWeights = hasHalfProducts(device);
    where.keep = keep;
    if (where.cuda) {
        const engine::DeviceMemory memory =
            engine::deviceMemory(device.index() < 0 ? 0 : device.index());
        where.available = double(memory.available);
        where.total = double(memory.total);
    }
    return planCollect(request, where);
}

/// Gives back what Torch keeps for later: the engine allocates on its own.
void releaseDeviceMemory(at::Device device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 8)
    if (device.is_cuda()) {
        at::getDeviceAllocator(device.type())->emptyCache();
    }
#else
    (void)device; // older ones can't be asked without CUDA's headers
#endif
}

} // namespace

CollectPlan makePlan(const CollectRequest& request) {
    return planFor(request, false);
}

double measureRate(const CollectRequest& request) {
    const at::Device device = resolveDevice(request.device);
    const at::TensorOptions options =
        at::TensorOptions(request.computeDouble ? at::kDouble : at::kFloat).device(device);
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    const int workers = device.is_cuda() ? 1 : threads;
    const std::int64_t n = device.is_cuda() ? 4096 : 512;
    setOperationThreads(device.is_cuda() ? threads : 1);
    std::atomic<std::int64_t> products = 0;
    const auto measure = [&](double seconds) {
        const auto start = Clock::now();
        parallelFor(static_cast<std::size_t>(workers), workers, [&](std::size_t, int) {
            const c10::NoGradGuard noGrad;
            const at::Tensor a = at::randn({n, n}, options);
            at::Tensor c = at::empty({n, n}, options);
            do {
                at::mm_out(c, a, a);
                c.select(0, 0).sum().item<double>(); // waits for the GPU
                ++products;
            } while (secondsSince(start) < seconds);
        });
        return secondsSince(start);
    };
    measure(0.02); // warm
    products = 0;
    const double seconds = measure(0.15);
    return double(products) * 2 * double(n) * double(n) * double(n) / seconds;
}

namespace {

void describe(const CollectPlan& plan, CollectSummary& summary) {
    summary.warnings = plan.warnings;
    for (const PlannedTask& task : plan.tasks) {
        CollectSummary::Task t;
        t.name = task.name;
        t.samples = static_cast<std::int64_t>(task.samples.size());
        t.predictedTokens = task.predicted;
        t.truncated = task.truncated;
        summary.tasks.push_back(t);
    }
}

CollectPlan preparedPlan(const CollectRequest& request, bool keep, Job& job) {
    job.stage("Reading the samples", 0, 0.02);
    CollectPlan plan = planFor(request, keep);
    job.checkCancelled();
    return plan;
}

} // namespace

CollectSummary runCollect(const CollectRequest& request, Job& job) {
    const auto start = Clock::now();
    const at::Device device = resolveDevice(request.device);
    std::error_code ignored;
    if (std::filesystem::is_directory(request.out, ignored)) {
        throw InputError("is a folder, expected the name of a dump file", request.out);
    }
    const CollectPlan plan = preparedPlan(request, false, job);
    CollectSummary summary;
    describe(plan, summary);
    Spool spool(request.out, planFingerprint(request, plan), request.resume);
    const Destination destination{
        [&](std::size_t t, std::size_t b) { return request.resume && spool.has(t, b); },
        [&](const BackgroundWriter::Batch& batch) {
            spool.write(batch.task, batch.batch, batch.losses, batch.payload);
        },
        nullptr};
    try {
        const dump::HeadTypes types = runModel(plan, request, device, destination, job, summary,
                                               [&] { summary.loadSeconds = secondsSince(start); });
        releaseFreeMemory();
        writeDump(plan, request, spool, types, device, job, summary);
    } catch (const InputError&) {
        spool.remove(); // can't be continued as it is
        throw;
    } catch (const Cancelled&) {
        if (spool.written() == 0 && !request.resume) {
            spool.remove();
        }
        throw;
    }
    spool.remove();
    summary.diskBytes = std::filesystem::file_size(request.out, ignored);
    summary.seconds = secondsSince(start);
    job.finish();
    return summary;
}

std::unique_ptr<engine::GradientSource> runCapture(const CollectRequest& request, Job& job,
                                                   CollectSummary& summary) {
    const auto start = Clock::now();
    const at::Device device = resolveDevice(request.device);
    std::jthread warming;
    if (device.is_cuda()) { // scoring follows: the engine gets ready beside the loading
        warming = std::jthread([name = request.device] { engine::warmUp(name); });
    }
    CollectPlan plan = preparedPlan(request, !request.resume, job);
    describe(plan, summary);
    const bool onDevice = plan.storeBytes > 0;
    double bytes = 0;
    for (const PlannedTask& task : plan.tasks) {
        for (const auto& batch : task.batches) {
            bytes += double(PayloadLayout(plan, request, task, batch, !onDevice).bytes);
        }
    }
    // On a GPU the model is in the card's memory.
    const double room = double(request.memoryBudget) - (device.is_cuda() ? 0 : plan.peakBytes);
    std::unique_ptr<Spool> spool;
    // What is to be resumed must lie on disk.
    if ((bytes > room && !onDevice) || request.resume) {
        const auto base = request.out.empty() ? std::filesystem::temp_directory_path() /
                                                    ("qkov-" + std::to_string(::getpid()))
                                              : request.out;
        spool = std::make_unique<Spool>(base, planFingerprint(request, plan), request.resume);
    }
    auto source = std::make_unique<CapturedGradients>(std::move(plan), request, std::move(spool));
    DeviceStore* store = nullptr;
    if (onDevice) {
        auto made = std::make_unique<DeviceStore>(source->plan(), source->request(), device);
        store = made.get();
        source->setStore(std::move(made));
    }
    const Destination destination{
        [&](std::size_t t, std::size_t b) { return request.resume && source->spool()->has(t, b); },
        [&](BackgroundWriter::Batch batch) {
            if (Spool* s = source->spool()) {
                s->write(batch.task, batch.batch, batch.losses, batch.payload);
            } else {
                source->add(batch.task, batch.batch, batch.losses, std::move(batch.payload));
            }
        },
        store};
    source->complete(runModel(source->plan(), request, device, destination, job, summary, [&] {
        if (warming.joinable()) {
            warming.join();
        }
        summary.loadSeconds = secondsSince(start);
    }));
    if (store) {
        store->finish();
    }
    if (request.behavioralFisher) {
        addBehavioralFisher(*source, device, job);
    }
    releaseDeviceMemory(device);
    for (CollectSummary::Task& t : summary.tasks) {
        double total = 0;
        for (const dump::SampleInfo& s : source->info().task(t.name)->samples) {
            total += s.loss;
        }
        t.meanLoss = total / double(t.samples);
    }
    summary.seconds = secondsSince(start);
    return source;
}

} // namespace qkov::collect
