// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cpu/CpuBackend.h"

#include "base/Threads.h"

#include <unistd.h>

namespace qkov::engine {

using cpu::packAlign;

namespace {

/// Rectangles up to this size are rebuilt from factors in float64: in a short sum one parameter
/// whose tokens nearly cancel can dominate, and shows float32's rounding; in a long one it can't.
constexpr std::int64_t exactRebuild = 4096;

} // namespace

std::int64_t secondLevelCache() {
    long bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes > 0 ? std::clamp<std::int64_t>(bytes, 256 << 10, 2 << 20) : 512 << 10;
}

CpuBackend::CpuBackend(int threads)
    : m_threads(threads > 0 ? threads : defaultThreadCount())
    , m_kernels(cpu::kernels())
    , m_cache(secondLevelCache())
    , m_workers(static_cast<std::size_t>(m_threads)) {}

std::string CpuBackend::description() const {
    return "cpu (" + std::string(m_kernels.name) + ", " + std::to_string(m_threads) +
           (m_threads == 1 ? " thread)" : " threads)");
}

std::unique_ptr<Tile> CpuBackend::load(const DenseData& data, const Job&) {
    auto tile = std::make_unique<CpuTile>();
    tile->samples = data.samples;
    tile->rows = data.rows;
    tile->columns = data.columns;
    tile->dtype = data.dtype;
    tile->values = static_cast<const char*>(data.values);
    tile->rowBytes = data.columns * tile->width();
    tile->sampleBytes = data.sampleBytes > 0 ? data.sampleBytes : data.rows * tile->rowBytes;
    return tile;
}

std::unique_ptr<Tile> CpuBackend::load(const FactorData& data, const Job& job) {
    auto tile = std::make_unique<CpuTile>();
    tile->samples = data.samples;
    tile->rows = data.rows;
    tile->columns = data.columns;
    tile->dtype = DType::f32;
    const std::int64_t size = data.rows * data.columns;
    tile->values = reinterpret_cast<const char*>(tile->rebuilt.reserve(data.samples * size));
    tile->rowBytes = data.columns * 4;
    tile->sampleBytes = size * 4;
    // Rows follow grad_output for Linear and input for Conv1D.
    struct Factor {
        const char* values;
        int type;
        std::int64_t width, features;
        const char* at(std::int64_t token) const { return values + token * features * width; }
    };
    const Factor input{static_cast<const char*>(data.input), typeNumber(data.inputDtype),
                       static_cast<std::int64_t>(dtypeSize(data.inputDtype)), data.inputs()};
    const Factor output{static_cast<const char*>(data.gradOutput), typeNumber(data.gradOutputDtype),
                        static_cast<std::int64_t>(dtypeSize(data.gradOutputDtype)), data.outputs()};
    const Factor& rowFactor = data.inOut ? input : output;
    const Factor& columnFactor = data.inOut ? output : input;
    parallelFor(static_cast<std::size_t>(data.samples), m_threads, [&](std::size_t s, int w) {
        Worker& worker = m_workers[static_cast<std::size_t>(w)];
        // A few tokens at a time: their rows and the target's rows stay close, and long sequences
        // are cancelled soon.
        constexpr std::int64_t step = 128;
        float* rows = worker.a.reserve(step * data.rows + packAlign);
        float* columns = worker.b.reserve(step * data.columns + packAlign);
        const int identity = changeNumber(Transform::identity);
        std::vector<double> exact(static_cast<std::size_t>(size <= exactRebuild ? size : 0));
        float* target = tile->rebuilt.data + static_cast<std::int64_t>(s) * size;
        std::fill(target, target + size, 0.0f);
        for (std::int64_t t = data.offsets[s]; t < data.offsets[s + 1]; t += step) {
            job.checkCancelled();
            const std::int64_t n = std::min(step, data.offsets[s + 1] - t);
            const double one = 1;
            const void* from = rowFactor.at(t);
            m_kernels.pack(&from, 1, rowFactor.type, {1, n * data.rows, 0}, &one, identity, nullptr,
                           rows, 0);
            from = columnFactor.at(t);
            m_kernels.pack(&from, 1, columnFactor.type, {1, n * data.columns, 0}, &one, identity,
                           nullptr, columns, 0);
            if (exact.empty()) {
                m_kernels.outer(rows, data.rows, data.rows, columns, data.columns, data.columns, n,
                                target, data.columns);
                continue;
            }
            for (std::int64_t token = 0; token < n; ++token) {
                for (std::int64_t r = 0; r < data.rows; ++r) {
                    const double value = double(rows[token * data.rows + r]);
                    double* row = exact.data() + r * data.columns;
                    for (std::int64_t c = 0; c < data.columns; ++c) {
                        row[c] += value * double(columns[token * data.columns + c]);
                    }
                }
            }
        }
        for (std::size_t k = 0; k < exact.size(); ++k) {
            target[k] = static_cast<float>(exact[k]);
        }
    });
    return tile;
}

std::unique_ptr<Backend> makeCpuBackend(int threads) {
    return std::make_unique<CpuBackend>(threads);
}

} // namespace qkov::engine
