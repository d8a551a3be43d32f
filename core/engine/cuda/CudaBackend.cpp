// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/CudaBackend.h"

#include "base/Threads.h"

namespace qkov::engine::cuda {

CudaBackend::CudaBackend(int device, bool fast)
    : m_device(device)
    , m_fast(fast)
    , m_pieceWork(0) {
    select();
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "device properties");
    if (properties.major < 8) {
        throw Error("device cuda:" + std::to_string(device) + " (" + properties.name +
                    ") is too old: compute capability 8.0 or later is needed");
    }
    int kilohertz = 0;
    check(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, device), "device properties");
    // The general kernel does about 50 multiply-adds per clock tick of a data centre's
    // multiprocessor, and a quarter of that of a desktop's.
    const double perTick = properties.minor == 0 ? 50 : 12;
    m_pieceWork = 0.04 * perTick * 1e3 * kilohertz * properties.multiProcessorCount;
    m_description = "cuda:" + std::to_string(device) + " (" + properties.name + ")";
    check(cudaStreamCreateWithFlags(&m_stream, cudaStreamNonBlocking), "stream");
    // Filling page-locked buffers needs several cores to keep up with the link.
    m_uploader = std::make_unique<Uploader>(device, std::clamp(defaultThreadCount() / 2, 1, 8));
    m_scorer = std::make_unique<DenseScorer>();
    m_tables = std::make_unique<TableStore>();
}

CudaBackend::~CudaBackend() {
    cudaSetDevice(m_device);
    cudaStreamSynchronize(m_stream);
    m_scorer.reset();
    m_tables.reset();
    m_uploader.reset();
    cudaStreamDestroy(m_stream);
}

std::int64_t CudaBackend::tileBytes(std::int64_t memoryBudget) const {
    select();
    std::size_t available = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&available, &total), "free device memory");
    // Scratch, weights and partial sums take up to about a gigabyte; on small devices less.
    const auto room = static_cast<std::int64_t>(available);
    const std::int64_t own = std::min(std::int64_t(1) << 30, room / 3);
    return std::max<std::int64_t>(std::int64_t(16) << 20,
                                  std::min(memoryBudget, (room - own) / 10 * 9));
}

std::int64_t CudaBackend::factorTileBytes(const FactorData& data) const {
    if (data.onDevice) {
        return 0;
    }
    const std::int64_t tokens = data.offsets[data.samples];
    return tokens * (data.inputs() * static_cast<std::int64_t>(dtypeSize(data.inputDtype)) +
                     data.outputs() * static_cast<std::int64_t>(dtypeSize(data.gradOutputDtype)));
}

std::unique_ptr<Tile> CudaBackend::load(const DenseData& data, const Job& job) {
    select();
    auto tile = std::make_unique<CudaTile>(m_pool);
    tile->samples = data.samples;
    tile->rows = data.rows;
    tile->columns = data.columns;
    tile->dtype = data.dtype;
    const std::size_t bytes =
        static_cast<std::size_t>(data.samples * data.rows * data.columns) * dtypeSize(data.dtype);
    tile->buffers.push_back(withTileMemory([&] { return m_pool->take(bytes); }));
    tile->values = tile->buffers[0].as<void>();
    m_uploader->copy(tile->buffers[0].as<void>(), data.values, bytes, job);
    return tile;
}

std::unique_ptr<Tile> CudaBackend::load(const FactorData& data, const Job& job) {
    select();
    auto tile = std::make_unique<CudaTile>(m_pool);
    tile->samples = data.samples;
    tile->rows = data.rows;
    tile->columns = data.columns;
    tile->dtype = DType::f32;
    tile->factored = true;
    tile->buffers.reserve(3);
    const auto send = [&](const void* source, std::size_t bytes) {
        DeviceBuffer& buffer =
            tile->buffers.emplace_back(withTileMemory([&] { return m_pool->take(bytes); }));
        m_uploader->copy(buffer.as<void>(), source, bytes, job);
        return buffer.as<void>();
    };
    const void* input = data.input;
    const void* gradOutput = data.gradOutput;
    std::int64_t inputWidth = data.inputWidth;
    std::int64_t gradOutputWidth = data.gradOutputWidth;
    if (!data.onDevice) {
        const auto tokens = static_cast<std::size_t>(data.offsets[data.samples]);
        inputWidth = data.inputs();
        gradOutputWidth = data.outputs();
        input =
            send(input, tokens * static_cast<std::size_t>(inputWidth) * dtypeSize(data.inputDtype));
        gradOutput = send(gradOutput, tokens * static_cast<std::size_t>(gradOutputWidth) *
                                          dtypeSize(data.gradOutputDtype));
    }
    std::vector<std::int64_t> ranges;
    ranges.reserve(static_cast<std::size_t>(2 * data.samples));
    for (std::int64_t s = 0; s < data.samples; ++s) {
        const std::int64_t begin = data.onDevice ? data.starts[s] : data.offsets[s];
        ranges.push_back(begin);
        ranges.push_back(begin + data.offsets[s + 1] - data.offsets[s]);
    }
    Factors& f = tile->factors;
    f.ranges =
        static_cast<const std::int64_t*>(send(ranges.data(), ranges.size() * sizeof(std::int64_t)));
    f.rowFactor = data.inOut ? input : gradOutput;
    f.columnFactor = data.inOut ? gradOutput : input;
    f.rowType = data.inOut ? data.inputDtype : data.gradOutputDtype;
    f.columnType = data.inOut ? data.gradOutputDtype : data.inputDtype;
    f.rowWidth = data.inOut ? inputWidth : gradOutputWidth;
    f.columnWidth = data.inOut ? gradOutputWidth : inputWidth;
    return tile;
}

Source CudaBackend::materialize(const CudaTile& tile, const TilePart& part, std::int64_t row,
                                std::int64_t rows, std::int64_t first, std::int64_t count,
                                DType type, std::size_t& scratchUsed) {
    if (!tile.factored && tile.dtype == type) {
        return {{tile.values, tile.samples, tile.rows, tile.columns, tile.columns,
                 tile.rows * tile.columns},
                part.row + row,
                part.column,
                0};
    }
    const std::size_t numbers = static_cast<std::size_t>(count * rows * part.columns);
    const std::size_t bytes = (numbers * dtypeSize(type) + 255) / 256 * 256;
    char* target = m_scratch.as<char>() + scratchUsed;
    if (scratchUsed + bytes > m_scratch.size()) {
        throw Error("scratch memory of the device was planned too small");
    }
    scratchUsed += bytes;
    if (tile.factored) {
        // Only ever float64 beside a task whose numbers are float64.
        float* rebuilt = reinterpret_cast<float*>(target);
        if (type == DType::f64) {
            m_staging.reserve(numbers * sizeof(float));
            rebuilt = m_staging.as<float>();
        }
        launchRebuild(tile.factors, first, count, part.row + row, rows, part.column, part.columns,
                      rebuilt, m_stream);
        if (type == DType::f64) {
            launchCopy({rebuilt, part.columns, rows * part.columns, rows, part.columns}, DType::f32,
                       static_cast<int>(count), type, target, m_stream);
        }
    } else {
        const std::int64_t offset =
            (first * tile.rows + part.row + row) * tile.columns + part.column;
        launchCopy({static_cast<const char*>(tile.values) +
                        offset * static_cast<std::int64_t>(dtypeSize(tile.dtype)),
                    tile.columns, tile.rows * tile.columns, rows, part.columns},
                   tile.dtype, static_cast<int>(count), type, target, m_stream);
    }
    return {{target, count, rows, part.columns, part.columns, rows * part.columns}, 0, 0, first};
}

void CudaBackend::download(const DeviceBuffer& from, std::size_t bytes) {
    m_hostResults.reserve(bytes);
    check(cudaMemcpyAsync(m_hostResults.as<void>(), from.as<void>(), bytes, cudaMemcpyDeviceToHost,
                          m_stream),
          "results");
    check(cudaStreamSynchronize(m_stream), "results");
}

} // namespace qkov::engine::cuda

using namespace qkov::engine;

extern "C" {

__attribute__((visibility("default"))) int qkov_cuda_abi() {
    return 2;
}

/// Devices that can be used; 0 and a reason in `why` when there is none.
__attribute__((visibility("default"))) int qkov_cuda_devices(std::string* why) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) {
        cudaGetLastError();
        *why = cudaGetErrorString(status);
        return 0;
    }
    return count;
}

/// Bytes that are free, and all; false where the device can't be asked.
__attribute__((visibility("default"))) bool qkov_cuda_memory(int device, std::int64_t* available,
                                                             std::int64_t* total) {
    std::size_t room = 0;
    std::size_t all = 0;
    if (cudaSetDevice(device) != cudaSuccess || cudaMemGetInfo(&room, &all) != cudaSuccess) {
        cudaGetLastError();
        return false;
    }
    *available = static_cast<std::int64_t>(room);
    *total = static_cast<std::int64_t>(all);
    return true;
}

/// @throws Error
__attribute__((visibility("default"))) Backend* qkov_cuda_backend(int device, bool fast) {
    return new cuda::CudaBackend(device, fast);
}
}
