// SPDX-License-Identifier: GPL-3.0-or-later
// Device names to backends.
#include "base/Error.h"
#include "engine/Backend.h"
#include "engine/cuda/CudaLoader.h"

#include <charconv>

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

} // namespace qkov::engine
