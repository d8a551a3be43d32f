// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "engine/Tiles.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace qkov::engine {

BufferPool::Buffer BufferPool::take(std::size_t bytes) {
    const std::lock_guard lock(m_mutex);
    auto best = m_free.end();
    for (auto it = m_free.begin(); it != m_free.end(); ++it) {
        if (it->capacity >= bytes && (best == m_free.end() || it->capacity < best->capacity)) {
            best = it;
        }
    }
    // One that is far too large would hide memory from the budget.
    if (best != m_free.end() && best->capacity <= bytes + bytes / 8 + 65536) {
        Buffer buffer = std::move(*best);
        m_free.erase(best);
        return buffer;
    }
    const std::size_t size = LargeMemory::sizeFor(bytes);
    // The longest unused go first: their size may not come again.
    while (!m_free.empty() && m_bytes + size > m_limit) {
        m_bytes -= m_free.front().capacity;
        m_free.erase(m_free.begin());
    }
    Buffer buffer{LargeMemory::allocate(bytes), size};
    m_bytes += size;
    return buffer;
}

std::int64_t BufferPool::bytes() {
    const std::lock_guard lock(m_mutex);
    return static_cast<std::int64_t>(m_bytes);
}

void BufferPool::give(Buffer buffer) {
    if (buffer.data) {
        const std::lock_guard lock(m_mutex);
        m_free.push_back(std::move(buffer));
        while (!m_free.empty() && m_bytes > m_limit) {
            m_bytes -= m_free.front().capacity;
            m_free.erase(m_free.begin());
        }
    }
}

Loader::Loader(const Context& context, const std::vector<Bundle>& bundles, const Backend& backend,
               std::int64_t limit, const Job& job)
    : m_context(context)
    , m_bundles(bundles)
    , m_job(job)
    , m_device(backend.device())
    , m_pool(static_cast<std::size_t>(std::max<std::int64_t>(0, limit)))
    , m_inPlaceLimit(backend.readsInPlace() ? limit : 0) {}

Loader::~Loader() {
    if (m_next.valid()) {
        m_next.wait();
    }
    if (m_inPlace > 0) {
        m_context.source->releaseInPlace();
    }
}

namespace {

bool same(const TileSpec& a, const TileSpec& b) {
    return a.parameter == b.parameter && a.region.row == b.region.row &&
           a.region.rows == b.region.rows && a.region.column == b.region.column &&
           a.region.columns == b.region.columns;
}

/// What using numbers in place costs: the system maps some pages around those that are touched.
std::int64_t inPlaceBytes(const LoadedNumbers& numbers, const dump::Region& region) {
    constexpr std::int64_t around = std::int64_t(64) << 10;
    const std::int64_t sample =
        region.count() * static_cast<std::int64_t>(dtypeSize(numbers.dtype));
    return static_cast<std::int64_t>(numbers.samples.size()) *
           std::min(numbers.inPlace.sampleBytes, sample + around);
}

bool anyNegative(const std::byte* values, DType type, std::int64_t n) {
    const auto scan = [n](const auto* bits, auto sign) {
        for (std::int64_t i = 0; i < n; ++i) {
            if (bits[i] > sign) { // the sign bit and anything else: not −0
                return true;
            }
        }
        return false;
    };
    switch (type) {
    case DType::f16:
    case DType::bf16:
        return scan(reinterpret_cast<const std::uint16_t*>(values), std::uint16_t(0x8000));
    case DType::f32:
        return scan(reinterpret_cast<const std::uint32_t*>(values), std::uint32_t(1) << 31);
    case DType::f64:
        return scan(reinterpret_cast<const std::uint64_t*>(values), std::uint64_t(1) << 63);
    }
    return false;
}

} // namespace

void Loader::ahead(std::size_t bundle, const TileSpec& spec) {
    if (m_next.valid()) {
        return;
    }
    m_nextBundle = bundle;
    m_nextSpec = spec;
    m_next = std::async(std::launch::async, [this, bundle, spec] { return read(bundle, spec); });
}

std::unique_ptr<LoadedTile> Loader::take(std::size_t bundle, const TileSpec& spec) {
    const auto start = std::chrono::steady_clock::now();
    std::unique_ptr<LoadedTile> tile;
    if (m_next.valid()) {
        tile = m_next.get();
        if (m_nextBundle != bundle || !same(m_nextSpec, spec)) {
            recycle(std::move(tile));
        }
    }
    if (!tile) {
        tile = read(bundle, spec);
    }
    m_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return tile;
}

void Loader::recycle(std::unique_ptr<LoadedTile> tile) {
    for (auto& task : tile->numbers) {
        for (LoadedNumbers& numbers : task) {
            numbers.tile.reset();
            if (numbers.inPlace.values != nullptr) {
                m_inUse -= inPlaceBytes(numbers, tile->spec.region);
            }
            m_pool.give(std::move(numbers.buffer));
            m_pool.give(std::move(numbers.gradOutput));
        }
    }
}

std::unique_ptr<LoadedTile> Loader::read(std::size_t bundle, const TileSpec& spec) {
    auto tile = std::make_unique<LoadedTile>();
    tile->spec = spec;
    const BundleParameter& parameter = m_bundles[bundle].parameters[spec.parameter];
    const Needs needs = needsOf(m_context, parameter);
    for (std::size_t t = 0; t < 2; ++t) {
        const TaskSelection& selection = m_context.tasks[t];
        for (std::size_t q = 0; q < 2; ++q) {
            const Need& need = needs[t][q];
            if (!need.used) {
                continue;
            }
            LoadedNumbers& out = tile->numbers[t][q];
            out.used = true;
            if (need.all) {
                out.samples = selection.all;
                for (const std::int64_t s : selection.selected) {
                    const auto at = std::lower_bound(out.samples.begin(), out.samples.end(), s);
                    out.selected.push_back(static_cast<std::int32_t>(at - out.samples.begin()));
                }
            } else {
                out.samples = selection.selected;
                for (std::size_t i = 0; i < out.samples.size(); ++i) {
                    out.selected.push_back(static_cast<std::int32_t>(i));
                }
            }
            const dump::ParameterEntry& entry = *parameter.entries[t];
            const auto quantity = static_cast<Quantity>(q);
            if (findInPlace(*selection.task, entry, quantity, spec.region, out)) {
                continue;
            }
            if (quantity == Quantity::gradients &&
                m_context.source->hasFactors(*selection.task, entry)) {
                readFactors(*selection.task, entry, spec.region, out);
            } else {
                readDense(*selection.task, entry, quantity, spec.region, out);
            }
        }
    }
    return tile;
}

bool Loader::findInPlace(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                         Quantity quantity, const dump::Region& region, LoadedNumbers& out) {
    // Stored contributions are read, so that negative ones are found.
    if (m_inPlaceLimit <= 0 || quantity != Quantity::gradients || out.samples.empty()) {
        return false;
    }
    const auto count = static_cast<std::int64_t>(out.samples.size());
    for (std::int64_t i = 0; i < count; ++i) {
        if (out.samples[static_cast<std::size_t>(i)] != out.samples[0] + i) {
            return false;
        }
    }
    out.inPlace = m_context.source->inPlace(task, entry, quantity, out.samples[0], count, region);
    if (out.inPlace.values == nullptr) {
        return false;
    }
    out.dtype = m_context.source->nativeType(task, entry, quantity);
    const std::int64_t bytes = inPlaceBytes(out, region);
    const std::int64_t used =
        count * region.count() * static_cast<std::int64_t>(dtypeSize(out.dtype));
    if (bytes > used + used / 4) {
        out.inPlace = {}; // small pieces: more would be mapped than is used, and than is planned
        return false;
    }
    makeRoom(bytes);
    m_inPlace += bytes;
    m_inUse += bytes;
    return true;
}

void Loader::makeRoom(std::int64_t bytes) {
    if (m_inPlace > m_inUse && m_inPlace + m_pool.bytes() + bytes > m_inPlaceLimit) {
        m_context.source->releaseInPlace();
        m_inPlace = m_inUse; // what lives is touched again
    }
}

BufferPool::Buffer Loader::buffer(std::int64_t bytes) {
    makeRoom(bytes);
    return m_pool.take(static_cast<std::size_t>(bytes));
}

void Loader::readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                         const dump::Region& region, LoadedNumbers& out) {
    const std::span<const std::int32_t> lengths = m_context.source->factorLengths(task, entry);
    out.factored = true;
    out.inOut = entry.inOut;
    out.factorTypes = m_context.source->factorTypes(task, entry);
    out.dtype = DType::f32;
    out.offsets = {0};
    for (const std::int64_t s : out.samples) {
        out.offsets.push_back(out.offsets.back() + lengths[static_cast<std::size_t>(s)]);
    }
    const DeviceFactors there =
        m_device >= 0 ? m_context.source->deviceFactors(task, entry) : DeviceFactors{};
    if (there.device >= 0 && there.device == m_device) {
        out.onDevice = there;
        out.inputWidth = entry.shape[entry.inOut ? 0 : 1];
        out.gradOutputWidth = entry.shape[entry.inOut ? 1 : 0];
        const auto skip = [](const void* from, std::int64_t features, DType type) {
            return static_cast<const std::byte*>(from) +
                   features * static_cast<std::int64_t>(dtypeSize(type));
        };
        out.onDevice.input =
            skip(there.input, entry.inOut ? region.row : region.column, out.factorTypes[0]);
        out.onDevice.gradOutput =
            skip(there.gradOutput, entry.inOut ? region.column : region.row, out.factorTypes[1]);
        for (const std::int64_t s : out.samples) {
            out.starts.push_back(there.starts[static_cast<std::size_t>(s)]);
        }
        return;
    }
    const std::int64_t inputBytes = (entry.inOut ? region.rows : region.columns) *
                                    static_cast<std::int64_t>(dtypeSize(out.factorTypes[0]));
    const std::int64_t outputBytes = (entry.inOut ? region.columns : region.rows) *
                                     static_cast<std::int64_t>(dtypeSize(out.factorTypes[1]));
    out.buffer = buffer(out.offsets.back() * inputBytes);
    out.gradOutput = buffer(out.offsets.back() * outputBytes);
    constexpr std::int64_t atOnce = std::int64_t(16) << 20;
    std::size_t s = 0;
    while (s < out.samples.size()) {
        m_job.checkCancelled();
        std::size_t end = s + 1;
        while (end < out.samples.size() &&
               (out.offsets[end + 1] - out.offsets[s]) * (inputBytes + outputBytes) <= atOnce) {
            ++end;
        }
        m_context.source->readFactors(task, entry, std::span(out.samples).subspan(s, end - s),
                                      region, out.buffer.data.get() + out.offsets[s] * inputBytes,
                                      out.gradOutput.data.get() + out.offsets[s] * outputBytes);
        s = end;
    }
}

void Loader::readDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                       Quantity quantity, const dump::Region& region, LoadedNumbers& out) {
    out.dtype = m_context.source->nativeType(task, entry, quantity);
    const auto width = static_cast<std::int64_t>(dtypeSize(out.dtype));
    const std::int64_t sampleBytes = region.count() * width;
    const auto count = static_cast<std::int64_t>(out.samples.size());
    out.buffer = buffer(sampleBytes * count);
    // A few samples per call: a cancellation need not wait for the whole tile.
    constexpr std::int64_t atOnce = std::int64_t(16) << 20;
    const std::int64_t step = std::max<std::int64_t>(1, atOnce / sampleBytes);
    for (std::int64_t s = 0; s < count; s += step) {
        m_job.checkCancelled();
        const std::int64_t n = std::min(step, count - s);
        std::byte* target = out.buffer.data.get() + s * sampleBytes;
        const auto some = std::span(out.samples)
                              .subspan(static_cast<std::size_t>(s), static_cast<std::size_t>(n));
        // A sample that is larger still: a few of its rows per call.
        const std::int64_t rows =
            n > 1 ? region.rows
                  : std::clamp<std::int64_t>(atOnce / (region.columns * width), 1, region.rows);
        for (std::int64_t row = 0; row < region.rows; row += rows) {
            m_job.checkCancelled();
            const dump::Region piece{region.row + row, std::min(rows, region.rows - row),
                                     region.column, region.columns};
            m_context.source->read(task, entry, quantity, some, piece, out.dtype,
                                   target + row * region.columns * width);
        }
        if (quantity == Quantity::contributions &&
            anyNegative(target, out.dtype, n * region.count())) {
            // NaNs with a sign are told apart by the scan for them.
            std::vector<double> wide(static_cast<std::size_t>(n * region.count()));
            convertToDouble(target, out.dtype, wide.size(), wide.data());
            for (std::size_t k = 0; k < wide.size(); ++k) {
                if (wide[k] < 0) {
                    const std::int64_t sample = out.samples[static_cast<std::size_t>(
                        s + static_cast<std::int64_t>(k) / region.count())];
                    throw InputError("holds a negative contribution at sample \"" +
                                         task.samples[static_cast<std::size_t>(sample)].id + "\"",
                                     m_context.source->file(),
                                     "tasks/" + task.name + "/contributions/" + entry.name);
                }
            }
        }
    }
}

} // namespace qkov::engine
