// SPDX-License-Identifier: GPL-3.0-or-later
// Device names to backends.
#include "base/Error.h"
#include "engine/Backend.h"
#include "engine/cuda/CudaLoader.h"

#include <charconv>
#include <cstdint>
#include <vector>

namespace qkov::engine {

std::unique_ptr<Backend> makeBackend(const std::string& device, int threads, Precision precision) {
    if (device == "cpu") {
        return makeCpuBackend(threads);
    }
    if (device == "auto") {
        if (cudaUsable()) {
            try {
                return makeCudaBackend(0, precision);
            } catch (const Error&) {
                // A device that is too old, or taken by others: the CPU serves as well.
            }
        }
        return makeCpuBackend(threads);
    }
    if (device == "cuda") {
        return makeCudaBackend(0, precision);
    }
    if (device.rfind("cuda:", 0) == 0) {
        int number = -1;
        const char* begin = device.data() + 5;
        const char* end = device.data() + device.size();
        const auto [last, error] = std::from_chars(begin, end, number);
        if (error == std::errc() && last == end && number >= 0) {
            return makeCudaBackend(number, precision);
        }
    }
    throw UsageError("unknown device \"" + device + "\"; choose auto, cpu, cuda or cuda:<number>");
}

DeviceMemory deviceMemory(int device) {
    DeviceMemory memory;
    cudaMemory(device, memory.available, memory.total);
    return memory;
}

void warmUp(const std::string& device) noexcept {
    try {
        if (device == "cpu" || (device == "auto" && !cudaUsable())) {
            return;
        }
        const std::unique_ptr<Backend> backend = makeBackend(device, 1, Precision::fp32);
        if (backend->device() < 0) {
            return;
        }
        // A little of everything that gradients in factors need.
        constexpr std::int64_t samples = 2, tokens = 4, d = 64;
        const std::vector<std::uint16_t> factors(static_cast<std::size_t>(samples * tokens * d),
                                                 0x3c00);
        const std::vector<std::int64_t> offsets{0, tokens, samples * tokens};
        FactorData data;
        data.inputDtype = data.gradOutputDtype = DType::f16;
        data.input = data.gradOutput = factors.data();
        data.offsets = offsets.data();
        data.samples = samples;
        data.rows = data.columns = d;
        const Job job;
        const std::unique_ptr<Tile> tile = backend->load(data, job);
        const TilePart part{0, d, 0, d};
        std::vector<SampleStatistics> statistics(samples);
        const StatisticsCall statisticsCall{tile.get(), part, false, statistics.data()};
        backend->statistics(std::span(&statisticsCall, 1), job);
        const std::vector<double> ones(samples, 1.0);
        std::vector<double> fisher(d * d);
        const FisherCall fisherCall{tile.get(),  part,        Transform::square,
                                    ones.data(), ones.data(), fisher.data()};
        backend->fisher(std::span(&fisherCall, 1), job);
        const std::vector<std::int32_t> all{0, 1};
        std::vector<double> scores(samples * samples);
        ScoreCall scoreCall;
        scoreCall.a = scoreCall.b = tile.get();
        scoreCall.partA = scoreCall.partB = part;
        scoreCall.samplesA = scoreCall.samplesB = all;
        scoreCall.scaleA = scoreCall.scaleB = ones.data();
        scoreCall.weights = {nullptr};
        scoreCall.scores = scores.data();
        backend->score(std::span(&scoreCall, 1), job);
    } catch (const std::exception&) {
        // Whoever uses the device for a purpose says what is wrong with it.
    }
}

} // namespace qkov::engine
