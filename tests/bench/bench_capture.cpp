// SPDX-License-Identifier: GPL-3.0-or-later
// What capturing per-sample gradients costs, as ratios within one run, on a model of GPT-2-small's
// shape with random weights:
// - plain: one batched forward and backward pass of the same batches, gradients of all weights
// - capture: the same batches through captureBatch: exact per-sample factors of all projections
// - kept: capture, and the factors rounded to float16 where `qkov run` keeps them on a GPU
// - packed: capture, and the factors rounded to float16 in host memory; in batches of the size that
//   collecting takes where they travel, the last one while the next one runs
// - loop: plain passes sample by sample, the gradients dropped; and the same with the gradients of
//   the attention weights kept as float16, on the device and in host memory
//
// bench_capture [--device cpu|cuda] [--samples N] [--tokens T,T] [--layers L] [--batch B]
//               [--no-loop] [--beside "python3 loop_torch.py"]
//     --beside: the loop that a PyTorch user writes, timed by that command in the same run
// bench_capture --only-capture [the same options]
//     nothing but capture, for a profiler
// bench_capture --check FOLDER… [--device cuda]
//     gradients and head scores on the device against float64 on the CPU
#include "CaptureBench.h"
#include "base/Error.h"
#include "base/Threads.h"
#include "collect/CollectRun.h"
#include "collect/DeviceStore.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>

using namespace qkov;
using namespace qkov::collect;

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string device = "cpu";
    std::int64_t samples = 0; ///< 0: 100 on a GPU, 16 on a CPU
    std::int64_t layers = 12, batch = 0;
    std::vector<std::int64_t> tokens{64, 256};
    std::vector<std::string> check;
    std::string beside;
    bool loop = true, onlyCapture = false;
};

void wait(at::Device device) {
    if (device.is_cuda()) {
        at::zeros({1}, at::TensorOptions(at::kFloat).device(device)).item<float>();
    }
}

/// Best of `repeats`.
template <class Body>
double seconds(at::Device device, int repeats, Body body) {
    double best = 1e30;
    for (int i = 0; i < repeats; ++i) {
        wait(device);
        const auto start = Clock::now();
        body();
        wait(device);
        best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    }
    return best;
}

using Samples = std::vector<const Sample*>;

void plainPass(const Decoder& decoder, const Samples& samples) {
    const c10::AutoGradMode gradients(true);
    const auto B = static_cast<std::int64_t>(samples.size());
    const auto T = static_cast<std::int64_t>(samples.front()->ids.size());
    at::Tensor ids = at::empty({B, T}, at::TensorOptions(at::kLong));
    for (std::int64_t b = 0; b < B; ++b) {
        std::copy(samples[std::size_t(b)]->ids.begin(), samples[std::size_t(b)]->ids.end(),
                  ids.data_ptr<std::int64_t>() + b * T);
    }
    ids = ids.to(decoder.device());
    const auto context = decoder.context(std::vector<std::int64_t>(std::size_t(B), T), T);
    at::Tensor h = decoder.embed(ids);
    for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
        h = decoder.layer(l, h, context, {});
    }
    const at::Tensor logits = decoder.rawLogits(decoder.finish(h)).slice(1, 0, T - 1);
    const at::Tensor loss =
        at::cross_entropy_loss(logits.reshape({B * (T - 1), -1}), ids.slice(1, 1).reshape({-1}));
    loss.backward();
}

/// Copies the gradients of the attention weights to memory of their own, as float16.
void keepGradients(const Decoder& decoder, at::Device where, std::vector<at::Tensor>& kept) {
    for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
        for (const auto& [slot, linear] : decoder.projections(l)) {
            kept.push_back(linear->weight.grad().to(at::kHalf).to(where));
        }
    }
}

/// The task's samples in order, `size` at a time.
std::vector<std::vector<std::size_t>> cut(const PlannedTask& task, std::int64_t size) {
    std::vector<std::vector<std::size_t>> batches;
    for (std::size_t i = 0; i < task.samples.size(); ++i) {
        if (i % std::size_t(size) == 0) {
            batches.emplace_back();
        }
        batches.back().push_back(i);
    }
    return batches;
}

std::vector<Samples> samplesOf(const PlannedTask& task) {
    std::vector<Samples> batches;
    for (const auto& batch : task.batches) {
        Samples& samples = batches.emplace_back();
        for (const std::size_t i : batch) {
            samples.push_back(&task.samples[i]);
        }
    }
    return batches;
}

void clearGradients(const Decoder& decoder) {
    for (at::Tensor w : decoder.weights()) {
        w.mutable_grad() = at::Tensor();
    }
}

/// Runs the command for one length and prints what its loop takes, as multiples of ours.
void printBeside(const Options& o, std::int64_t tokens, double capture, double kept,
                 double packed) {
    const std::string command = o.beside + " --json --samples " + std::to_string(o.samples) +
                                " --tokens " + std::to_string(tokens) + " --device " + o.device;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    char part[4096];
    for (std::size_t n; pipe != nullptr && (n = std::fread(part, 1, sizeof part, pipe)) > 0;) {
        text.append(part, n);
    }
    const auto start = text.find('{');
    if (pipe == nullptr || ::pclose(pipe) != 0 || start == std::string::npos) {
        throw Error("\"" + command + "\" failed");
    }
    const auto times = nlohmann::json::parse(text.substr(start));
    const auto dropped = times.at("dropped").get<double>();
    const auto device = times.at("device").get<double>();
    const auto half = times.at("half").get<double>();
    std::printf("  the PyTorch loop: gradients dropped %.3f s (%.1f x capture)", dropped,
                dropped / capture);
    if (kept > 0) {
        std::printf(", the attention's kept on the GPU %.3f s (%.1f x the same of capture)", device,
                    device / kept);
    }
    std::printf(", the attention's in memory %.3f s (%.1f x the same of capture)\n", half,
                half / packed);
    std::fflush(stdout);
}

void measure(const Options& o) {
    const at::Device device = resolveDevice(o.device);
    const auto folder = bench::makeModel(o.layers);
    const auto checkpoint = model::Checkpoint::open(folder);
    const Decoder decoder = bench::openDecoder(folder, checkpoint, at::kFloat, device);
    const Decoder trained = bench::openDecoder(folder, checkpoint, at::kFloat, device, true);
    CollectRequest request;
    for (const std::int64_t tokens : o.tokens) {
        CollectPlan plan;
        plan.spec = decoder.spec();
        for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
            for (const auto& [slot, linear] : decoder.projections(l)) {
                RecordedParameter& p = plan.parameters.emplace_back();
                p.name = linear->parameter;
                p.layer = l;
                p.inOut = linear->inOut;
                p.dIn = linear->in();
                p.dOut = linear->out();
            }
        }
        PlannedTask task;
        std::mt19937 random(2);
        for (std::int64_t i = 0; i < o.samples; ++i) {
            Sample s;
            s.id = std::to_string(i);
            for (std::int64_t t = 0; t < tokens; ++t) {
                s.ids.push_back(static_cast<std::int32_t>(random() % 50257));
            }
            s.labels = s.ids;
            s.predicted = static_cast<std::int32_t>(tokens - 1);
            task.samples.push_back(std::move(s));
        }
        const auto sized = [&](std::int64_t most) {
            return o.batch > 0 ? o.batch : std::max<std::int64_t>(1, most / tokens);
        };
        const std::int64_t size = sized(device.is_cuda() ? 32768 : 512);
        task.batches = cut(task, size);
        const std::vector<Samples> batches = samplesOf(task);
        const int repeats = device.is_cuda() ? 3 : 2;
        const auto all = [&](auto body) {
            return seconds(device, repeats, [&] {
                for (std::size_t b = 0; b < batches.size(); ++b) {
                    body(b);
                }
            });
        };
        const auto needGradients = [&](bool on) {
            for (at::Tensor w : trained.weights()) {
                w.requires_grad_(on);
            }
        };
        if (o.onlyCapture) {
            const auto once = [&](std::size_t b) {
                captureBatch(decoder, batches[b], LossReduction::mean, {});
            };
            once(0);
            std::printf("capture of %lld samples of %lld tokens %.4f s\n",
                        static_cast<long long>(o.samples), static_cast<long long>(tokens),
                        all(once));
            continue;
        }
        needGradients(true);
        plainPass(trained, batches[0]);
        const double plain = all([&](std::size_t b) { plainPass(trained, batches[b]); });
        double loop = 0, loopOnDevice = 0, loopKept = 0;
        if (o.loop) {
            const auto few = std::min<std::size_t>(task.samples.size(), device.is_cuda() ? 20 : 4);
            const auto run = [&](std::optional<at::Device> keep) {
                std::vector<at::Tensor> kept;
                const double s = seconds(device, 1, [&] {
                    for (std::size_t i = 0; i < few; ++i) {
                        clearGradients(trained);
                        plainPass(trained, {&task.samples[i]});
                        if (keep) {
                            keepGradients(trained, *keep, kept);
                        }
                    }
                });
                return s * double(o.samples) / double(few);
            };
            run({}); // kernels of this shape are loaded
            loop = run({});
            loopOnDevice = run(device);
            loopKept = run(at::Device(at::kCPU));
        }
        clearGradients(trained);
        needGradients(false);
        captureBatch(decoder, batches[0], LossReduction::mean, {});
        const double capture =
            all([&](std::size_t b) { captureBatch(decoder, batches[b], LossReduction::mean, {}); });
        RoundingLoss rounding;
        PlannedTask parcels = task;
        parcels.batches = cut(task, sized(device.is_cuda() ? 8192 : 512));
        const std::vector<Samples> travelling = samplesOf(parcels);
        std::vector<Payload> there;
        const auto inMemory = [&](std::size_t b, std::future<Payload>& fetched) {
            std::future<Payload> room;
            if (device.is_cuda()) {
                room = std::async(std::launch::async, roomFor,
                                  PayloadLayout(plan, request, parcels, parcels.batches[b]).bytes);
            }
            const auto c = captureBatch(decoder, travelling[b], LossReduction::mean, {});
            PackedBatch one = packBatch(plan, request, parcels, parcels.batches[b], c, rounding);
            if (room.valid()) {
                one.payload = room.get();
            }
            if (fetched.valid()) {
                there.push_back(fetched.get());
            }
            fetched = std::async(std::launch::async, fetch, std::move(one));
        };
        double packed = 1e30;
        for (int i = 0; i < repeats; ++i) {
            there.clear();
            packed = std::min(packed, seconds(device, 1, [&] {
                                  std::future<Payload> fetched;
                                  for (std::size_t b = 0; b < travelling.size(); ++b) {
                                      inMemory(b, fetched);
                                  }
                                  there.push_back(fetched.get());
                              }));
        }
        double kept = 0;
        if (device.is_cuda()) {
            plan.tasks.push_back(task);
            DeviceStore store(plan, request, device);
            kept = all([&](std::size_t b) {
                store.put(0, b, captureBatch(decoder, batches[b], LossReduction::mean, {}),
                          rounding);
            });
        }
        std::printf(
            "%s, %lld samples of %lld tokens, batches of %lld: plain %.4f s, capture %.4f s "
            "(%.2f x)",
            o.device.c_str(), static_cast<long long>(o.samples), static_cast<long long>(tokens),
            static_cast<long long>(size), plain, capture, capture / plain);
        if (device.is_cuda()) {
            std::printf(", float16 factors kept on the GPU %.4f s (%.2f x)", kept, kept / plain);
        }
        std::printf(", float16 factors in memory %.4f s (%.2f x)", packed, packed / plain);
        if (o.loop) {
            std::printf("\n  sample by sample: gradients dropped %.3f s (%.1f x capture)", loop,
                        loop / capture);
            if (device.is_cuda()) {
                std::printf(", the attention's kept on the GPU %.3f s (%.1f x the same of capture)",
                            loopOnDevice, loopOnDevice / kept);
            }
            std::printf(", the attention's in memory %.3f s (%.1f x the same of capture)", loopKept,
                        loopKept / packed);
        }
        std::printf("\n");
        std::fflush(stdout);
        if (!o.beside.empty()) {
            printBeside(o, tokens, capture, kept, packed);
        }
    }
    // Torch 2 brings a remove_all() of another standard library, which crashes here.
    for (const char* file : {"model.safetensors", "config.json"}) {
        std::remove((folder / file).c_str());
    }
    std::remove(folder.c_str());
}

} // namespace

int main(int argc, char** argv) {
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string a = argv[i];
        const auto next = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
        if (a == "--device") {
            o.device = next();
        } else if (a == "--samples") {
            o.samples = std::max(1L, std::atol(next().c_str()));
        } else if (a == "--layers") {
            o.layers = std::max(1L, std::atol(next().c_str()));
        } else if (a == "--batch") {
            o.batch = std::atol(next().c_str());
        } else if (a == "--beside") {
            o.beside = next();
        } else if (a == "--only-capture") {
            o.onlyCapture = true;
        } else if (a == "--no-loop") {
            o.loop = false;
        } else if (a == "--tokens") {
            o.tokens.clear();
            std::string list = next();
            for (char* part = std::strtok(list.data(), ","); part;
                 part = std::strtok(nullptr, ",")) {
                o.tokens.push_back(std::max(2L, std::atol(part)));
            }
        } else if (a == "--check") {
            while (i + 1 < argc && argv[i + 1][0] != '-') {
                o.check.push_back(next());
            }
        } else {
            std::fprintf(stderr, "unknown option %s\n", a.c_str());
            return 2;
        }
    }
    int code = 0;
    try {
        at::set_num_threads(defaultThreadCount());
        if (o.samples == 0) {
            o.samples = resolveDevice(o.device).is_cuda() ? 100 : 16;
        }
        o.check.empty() ? measure(o) : bench::checkCapture(o.check, o.device);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        code = 1;
    }
    // Torch's libraries, linked here, take themselves apart in the order in which they were loaded,
    // and its GPU threads then use what is gone: some builds crashed after all was done.
    std::fflush(nullptr);
    std::_Exit(code);
}
