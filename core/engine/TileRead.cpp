// SPDX-License-Identifier: GPL-3.0-or-later
// What is read for a tile, piece by piece.
#include "base/Error.h"
#include "engine/Tiles.h"

#include <algorithm>
#include <cstring>

namespace qkov::engine {

namespace {

template <class Bits>
bool anyAbove(const std::byte* values, std::int64_t n, Bits sign) {
    Bits most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        Bits bits; // not necessarily aligned
        std::memcpy(&bits, values + i * static_cast<std::int64_t>(sizeof bits), sizeof bits);
        most = std::max(most, bits);
    }
    return most > sign; // the sign bit and anything else: not −0
}

bool anyNegative(const std::byte* values, DType type, std::int64_t n) {
    switch (type) {
    case DType::f16:
    case DType::bf16:
        return anyAbove(values, n, std::uint16_t(0x8000));
    case DType::f32:
        return anyAbove(values, n, std::uint32_t(1) << 31);
    case DType::f64:
        return anyAbove(values, n, std::uint64_t(1) << 63);
    }
    return false;
}

/// Of the buffers that one call fills: a cancellation need not wait for the whole tile.
constexpr std::int64_t atOnce = std::int64_t(16) << 20;
/// The same where several threads read.
constexpr std::int64_t atOnceEach = std::int64_t(2) << 20;

} // namespace

void Loader::prepare(Pending& pending) {
    const TileSpec& spec = pending.wanted.spec;
    pending.tile = std::make_unique<LoadedTile>();
    pending.tile->spec = spec;
    const BundleParameter& parameter = m_bundles[pending.wanted.bundle].parameters[spec.parameter];
    const Needs needs = needsOf(m_context, parameter);
    for (std::size_t t = 0; t < 2; ++t) {
        const TaskSelection& selection = m_context.tasks[t];
        for (std::size_t q = 0; q < 2; ++q) {
            const Need& need = needs[t][q];
            if (!need.used) {
                continue;
            }
            LoadedNumbers& out = pending.tile->numbers[t][q];
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
                prepareFactors(*selection.task, entry, pending, out);
            } else {
                prepareDense(*selection.task, entry, quantity, pending, out);
            }
        }
    }
}

bool Loader::findInPlace(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                         Quantity quantity, const dump::Region& region, LoadedNumbers& out) {
    // Stored contributions are read, so that negative ones are found.
    if (!m_usesInPlace || quantity != Quantity::gradients || out.samples.empty()) {
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
    const std::int64_t own = region.count() * static_cast<std::int64_t>(dtypeSize(out.dtype));
    const std::int64_t takes = dump::DumpReader::inPlaceBytes(out.inPlace, count, own);
    if (takes > count * own + count * own / 4) {
        out.inPlace = {}; // small pieces: more would be mapped than is used, and than is planned
        return false;
    }
    out.mapped = true;
    const std::lock_guard lock(m_roomMutex);
    m_used.push_back({out.inPlace, count, own, takes});
    const auto known = std::find_if(m_idle.begin(), m_idle.end(), [&](const Mapped& m) {
        return m.where.values == out.inPlace.values && m.samples == count && m.bytes == own;
    });
    if (known != m_idle.end()) {
        m_idle.erase(known);
    } else {
        makeRoom(takes);
        m_inPlace += takes;
    }
    return true;
}

void Loader::releaseOldest() {
    const Mapped oldest = m_idle.front();
    m_idle.pop_front();
    m_context.source->releaseInPlace(oldest.where, oldest.samples, oldest.bytes);
    m_inPlace -= oldest.takes;
}

void Loader::makeRoom(std::int64_t bytes) {
    const auto tooMuch = [&] { return m_inPlace + m_pool.bytes() + bytes > m_room; };
    while (!m_idle.empty() && tooMuch()) {
        releaseOldest();
    }
    if (tooMuch()) {
        m_pool.trim(m_room - m_inPlace - bytes);
    }
}

BufferPool::Buffer Loader::buffer(std::int64_t bytes) {
    const std::lock_guard lock(m_roomMutex);
    BufferPool::Buffer taken = m_pool.take(static_cast<std::size_t>(bytes));
    makeRoom(0); // its pages are there once they are written to
    return taken;
}

void Loader::giveBack(LoadedTile& tile) {
    for (auto& task : tile.numbers) {
        for (LoadedNumbers& numbers : task) {
            if (numbers.mapped) {
                const std::lock_guard lock(m_roomMutex);
                const auto used = std::find_if(m_used.begin(), m_used.end(), [&](const Mapped& m) {
                    return m.where.values == numbers.inPlace.values &&
                           m.samples == static_cast<std::int64_t>(numbers.samples.size());
                });
                if (used != m_used.end()) {
                    m_idle.push_back(*used);
                    m_used.erase(used);
                }
            }
            numbers.mapped = false;
            numbers.inPlace = {};
            m_pool.give(std::move(numbers.buffer));
            m_pool.give(std::move(numbers.gradOutput));
        }
    }
}

void Loader::prepareFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                            Pending& pending, LoadedNumbers& out) {
    const dump::Region& region = pending.wanted.spec.region;
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
        m_backend.device() >= 0 ? m_context.source->deviceFactors(task, entry) : DeviceFactors{};
    if (there.device >= 0 && there.device == m_backend.device()) {
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
    const std::int64_t most = m_context.source->readsInParallel() ? atOnceEach : atOnce;
    for (std::size_t s = 0; s < out.samples.size();) {
        std::size_t end = s + 1;
        while (end < out.samples.size() &&
               (out.offsets[end + 1] - out.offsets[s]) * (inputBytes + outputBytes) <= most) {
            ++end;
        }
        pending.pieces.emplace_back([this, &task, &entry, &region, &out, inputBytes, outputBytes, s,
                                     end] {
            m_context.source->readFactors(task, entry, std::span(out.samples).subspan(s, end - s),
                                          region,
                                          out.buffer.data.get() + out.offsets[s] * inputBytes,
                                          out.gradOutput.data.get() + out.offsets[s] * outputBytes);
        });
        s = end;
    }
}

void Loader::prepareDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                          Quantity quantity, Pending& pending, LoadedNumbers& out) {
    const dump::Region& region = pending.wanted.spec.region;
    out.dtype = m_context.source->nativeType(task, entry, quantity);
    const std::int64_t bytes = region.count() * static_cast<std::int64_t>(dtypeSize(out.dtype));
    const std::shared_ptr<const dump::PieceReader> reader =
        m_context.source->pieces(task, entry, quantity, out.samples, region, pending.wanted.again);
    // Only backends that use numbers where they lie know of samples that lie apart.
    if (reader && (m_usesInPlace || reader->sampleBytes() == bytes)) {
        out.buffer = buffer(reader->bytes());
        std::byte* begin = out.buffer.data.get();
        out.inPlace = {begin + reader->first(), reader->sampleBytes()};
        for (std::size_t i = 0; i < reader->size(); ++i) {
            pending.pieces.emplace_back([reader, begin, i] { reader->read(i, begin); });
        }
    } else {
        out.buffer = buffer(bytes * static_cast<std::int64_t>(out.samples.size()));
        pending.pieces.emplace_back([this, &task, &entry, quantity, &region, &out] {
            readDense(task, entry, quantity, region, out);
        });
    }
    if (quantity == Quantity::contributions) {
        const auto [values, apart] = out.inPlace.values != nullptr
                                         ? out.inPlace
                                         : dump::InPlace{out.buffer.data.get(), bytes};
        for (std::size_t s = 0; s < out.samples.size(); ++s) {
            const std::byte* from = values + static_cast<std::int64_t>(s) * apart;
            pending.after.emplace_back([this, &task, &entry, &region, &out, from, s] {
                checkContributions(task, entry, region.count(), from, out.dtype, out.samples[s]);
            });
        }
    }
}

void Loader::readDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                       Quantity quantity, const dump::Region& region, LoadedNumbers& out) const {
    const auto width = static_cast<std::int64_t>(dtypeSize(out.dtype));
    const std::int64_t sampleBytes = region.count() * width;
    const auto count = static_cast<std::int64_t>(out.samples.size());
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
    }
}

void Loader::checkContributions(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                                std::int64_t count, const std::byte* values, DType type,
                                std::int64_t sample) const {
    if (!anyNegative(values, type, count)) {
        return;
    }
    // NaNs with a sign are told apart by the scan for them.
    std::vector<double> wide(static_cast<std::size_t>(count));
    convertToDouble(values, type, wide.size(), wide.data());
    if (std::any_of(wide.begin(), wide.end(), [](double v) { return v < 0; })) {
        throw InputError("holds a negative contribution at sample \"" +
                             task.samples[static_cast<std::size_t>(sample)].id + "\"",
                         m_context.source->file(),
                         "tasks/" + task.name + "/contributions/" + entry.name);
    }
}

} // namespace qkov::engine
