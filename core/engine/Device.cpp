// SPDX-License-Identifier: GPL-3.0-or-later
// Device names to backends.
#include "base/Error.h"
#include "engine/Backend.h"

namespace qkov::engine {

std::unique_ptr<Backend> makeBackend(const std::string& device, int threads, Precision) {
    if (device == "cpu" || device == "auto") {
        return makeCpuBackend(threads);
    }
    if (device == "cuda" || device.rfind("cuda:", 0) == 0) {
        throw UsageError("this build has no CUDA; use --device cpu");
    }
    throw UsageError("unknown device \"" + device + "\"; choose auto, cpu, cuda or cuda:<number>");
}

} // namespace qkov::engine
