// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/NumberSource.h"

#include "dump/StorageCheck.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <numeric>
#include <unistd.h>

namespace qkov::dump {
namespace {

constexpr std::size_t pieceBytes = 256 << 10;  // stays in a core's L2 between read and conversion
constexpr std::size_t farApart = 32 << 10;     // rows with larger gaps are read one by one
constexpr std::uint64_t aheadBytes = 32 << 20; // asked of the disk before they are needed
constexpr std::size_t smallestCache = std::size_t(4) << 20;
constexpr std::size_t largestCache = std::size_t(64) << 20;
constexpr std::size_t mostOpen = 4;

std::vector<std::byte>& scratch(std::size_t bytes) {
    thread_local std::vector<std::byte> buffer;
    if (buffer.size() < bytes) {
        buffer.resize(bytes);
    }
    return buffer;
}

void swapBytes(std::byte* data, std::size_t n, std::size_t size) {
    for (std::size_t i = 0; i < n; ++i) {
        std::reverse(data + i * size, data + (i + 1) * size);
    }
}

void convert(const void* source, DType type, std::size_t n, float* target) {
    convertToFloat(source, type, n, target);
}
void convert(const void* source, DType type, std::size_t n, double* target) {
    convertToDouble(source, type, n, target);
}

} // namespace

const h5::Object& OpenDatasets::open(const std::string& path, std::size_t cacheBytes) {
    for (std::size_t i = 0; i < m_open.size(); ++i) {
        if (m_open[i].first == path) {
            std::rotate(m_open.begin() + static_cast<std::ptrdiff_t>(i),
                        m_open.begin() + static_cast<std::ptrdiff_t>(i) + 1, m_open.end());
            return m_open.back().second;
        }
    }
    if (m_open.size() >= mostOpen) {
        m_open.erase(m_open.begin());
    }
    const h5::Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
    H5Pset_chunk_cache(access.get(), 12289, cacheBytes, 1.0);
    h5::Handle id(H5Dopen2(m_root.id(), path.c_str(), access.get()), H5Dclose);
    if (!id) {
        throw InputError("can't be opened" + h5::because(), m_root.file(), path);
    }
    m_open.emplace_back(path, h5::Object(std::move(id), m_root.file(), path));
    return m_open.back().second;
}

NumberSource::NumberSource(const h5::Object& dataset, std::int64_t samples, OpenFiles& files,
                           OpenDatasets& datasets)
    : m_file(dataset.file())
    , m_path(dataset.path())
    , m_hasSampleAxis(samples > 0)
    , m_datasets(&datasets) {
    const h5::Lock lock;
    const StorageInfo info = checkStorage(dataset);
    m_layout = floatLayout(dataset);
    m_otherFiles = info.sources;
    std::error_code ignored;
    if (!info.file.empty() && !std::filesystem::equivalent(info.file, m_file, ignored)) {
        m_otherFiles.push_back(info.file);
    }
    m_shape = info.dims;
    if (m_hasSampleAxis) {
        if (m_shape.empty() || m_shape.front() != samples) {
            dataset.fail("has shape " + h5::toString(info.dims) + ", but the task has " +
                         std::to_string(samples) + " samples");
        }
        m_samples = samples;
        m_shape.erase(m_shape.begin());
    }
    if (m_shape.empty() || m_shape.size() > 2 || h5::product(m_shape) < 1) {
        dataset.fail("has shape " + h5::toString(info.dims) + ", expected " +
                     (m_hasSampleAxis ? "[samples, " : "[") +
                     "rows, columns], or one number less for a bias");
    }
    if (info.contiguous) {
        m_disk = files.find(info.file.string());
        m_descriptor = m_disk ? m_disk->descriptor() : -1;
        m_offset = info.offset;
        m_bytesPerSample = static_cast<std::uint64_t>(h5::product(m_shape)) * dtypeSize(dtype());
    } else {
        m_bytesPerSample = info.storedBytes / static_cast<std::uint64_t>(m_samples);
        m_chunks = m_hasSampleAxis ? chunkLayout(dataset) : std::nullopt;
        if (m_chunks && m_chunks->elementBytes != dtypeSize(dtype())) {
            m_chunks.reset();
        }
        // Room for the chunks that one sample touches, within reason.
        m_cacheBytes =
            std::clamp(info.chunkBytes * 2, smallestCache, std::max(largestCache, info.chunkBytes));
    }
}

void NumberSource::fail(const std::string& problem) const {
    throw InputError(problem, m_file, m_path);
}

void NumberSource::fail(const std::string& problem, const std::string& advice) const {
    throw InputError(problem, m_file, m_path, advice);
}

std::optional<DirectData> NumberSource::direct() const {
    if (m_descriptor < 0 || (m_layout.bigEndian && dtypeSize(dtype()) > 1)) {
        return std::nullopt;
    }
    return DirectData{m_descriptor, m_offset, m_bytesPerSample, m_samples, dtype()};
}

InPlace NumberSource::inPlace(std::int64_t first, std::int64_t count, const Region& region) const {
    if (m_descriptor < 0 || (m_layout.bigEndian && dtypeSize(dtype()) > 1) ||
        region.columns != columns() || count < 1 || first < 0 || first > m_samples - count) {
        return {};
    }
    const MappedFile* file = m_disk->mapped();
    if (file == nullptr) {
        return {};
    }
    const std::uint64_t bytes = static_cast<std::uint64_t>(region.count()) * dtypeSize(dtype());
    const std::uint64_t start =
        m_offset + static_cast<std::uint64_t>(first) * m_bytesPerSample +
        static_cast<std::uint64_t>(region.row * columns()) * dtypeSize(dtype());
    const auto end = start + static_cast<std::uint64_t>(count - 1) * m_bytesPerSample + bytes;
    if (end > file->size() || file->broken()) {
        return {};
    }
    double there = 0;
    std::vector<std::uint64_t> incomplete;
    for (std::int64_t s = 0; s < count; ++s) {
        const std::uint64_t at = start + static_cast<std::uint64_t>(s) * m_bytesPerSample;
        const double share = shareInMemory(m_descriptor, at, bytes);
        there += share;
        if (share < 1) {
            incomplete.push_back(at);
        }
        if (there + double(count - 1 - s) < mostlyInMemory * double(count)) {
            return {};
        }
    }
    // The system has dropped some pages: fetched again, they stay.
    for (const std::uint64_t at : incomplete) {
        m_disk->announce(at, bytes);
    }
    return {file->data() + start, static_cast<std::int64_t>(m_bytesPerSample)};
}

void NumberSource::check(std::span<const std::int64_t> samples, const Region& region) const {
    const auto inside = [](std::int64_t first, std::int64_t count, std::int64_t size) {
        return first >= 0 && count >= 0 && first <= size && count <= size - first;
    };
    if (!inside(region.row, region.rows, rows()) ||
        !inside(region.column, region.columns, columns())) {
        fail("rows " + std::to_string(region.row) + "+" + std::to_string(region.rows) +
             ", columns " + std::to_string(region.column) + "+" + std::to_string(region.columns) +
             " lie outside " + h5::toString(m_shape));
    }
    for (const std::int64_t s : samples) {
        if (s < 0 || s >= m_samples) {
            fail("has no sample " + std::to_string(s));
        }
    }
}

void NumberSource::pull(std::uint64_t offset, std::size_t bytes, std::byte* target) const {
    while (bytes > 0) {
        const ssize_t got = ::pread(m_descriptor, target, bytes, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            fail(got == 0 ? std::string("ends before its numbers do")
                          : std::string("can't be read: ") + std::strerror(errno));
        }
        target += got;
        offset += static_cast<std::uint64_t>(got);
        bytes -= static_cast<std::size_t>(got);
    }
}

void NumberSource::announce(std::span<const std::int64_t> samples, std::size_t now,
                            const Region& region, std::size_t& asked) const {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(region.rows * columns()) * dtypeSize(dtype());
    if (m_descriptor < 0 || bytes == 0) {
        return;
    }
    const std::uint64_t window = std::clamp<std::uint64_t>(aheadBytes / bytes, 1, 64);
    for (; asked < samples.size() && asked <= now + window; ++asked) {
        const std::uint64_t start =
            m_offset + static_cast<std::uint64_t>(samples[asked]) * m_bytesPerSample +
            static_cast<std::uint64_t>(region.row * columns()) * dtypeSize(dtype());
        ::posix_fadvise(m_descriptor, static_cast<off_t>(start), static_cast<off_t>(bytes),
                        POSIX_FADV_WILLNEED);
    }
}

/// Calls sink(raw, n) with consecutive numbers of the region, native byte order, piece by piece.
template <class Sink>
void NumberSource::readDirect(std::int64_t sample, const Region& region, Sink&& sink) const {
    const std::size_t size = dtypeSize(dtype());
    const auto width = static_cast<std::size_t>(columns());
    const auto cols = static_cast<std::size_t>(region.columns);
    const auto deliver = [&](std::byte* data, std::size_t n) {
        if (m_layout.bigEndian) {
            swapBytes(data, n, size);
        }
        sink(data, n);
    };
    const std::uint64_t start = m_offset + static_cast<std::uint64_t>(sample) * m_bytesPerSample +
                                (static_cast<std::uint64_t>(region.row) * width +
                                 static_cast<std::uint64_t>(region.column)) *
                                    size;
    const bool whole = cols == width;
    if (whole || (width - cols) * size > farApart) {
        // Runs of consecutive numbers: the whole rectangle, or one row each.
        const std::size_t runs = whole ? 1 : static_cast<std::size_t>(region.rows);
        const std::size_t length = whole ? static_cast<std::size_t>(region.count()) : cols;
        std::vector<std::byte>& buffer = scratch(pieceBytes);
        for (std::size_t r = 0; r < runs; ++r) {
            for (std::size_t at = 0; at < length;) {
                const std::size_t n = std::min(length - at, pieceBytes / size);
                pull(start + (r * width + at) * size, n * size, buffer.data());
                deliver(buffer.data(), n);
                at += n;
            }
        }
        return;
    }
    // Several rows at once, gaps included; then only the columns wanted.
    const std::size_t rowBytes = width * size;
    const std::size_t rowsPerRead = std::max<std::size_t>(1, pieceBytes / rowBytes);
    std::vector<std::byte>& buffer = scratch(rowsPerRead * rowBytes);
    for (std::size_t r = 0; r < static_cast<std::size_t>(region.rows);) {
        const std::size_t n = std::min(rowsPerRead, static_cast<std::size_t>(region.rows) - r);
        pull(start + r * rowBytes, (n - 1) * rowBytes + cols * size, buffer.data());
        for (std::size_t i = 0; i < n; ++i) {
            deliver(buffer.data() + i * rowBytes, cols);
        }
        r += n;
    }
}

void NumberSource::readHdf5(std::int64_t first, std::int64_t count, const Region& region,
                            std::byte* target) const {
    if (m_chunks) {
        std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
        std::iota(samples.begin(), samples.end(), first);
        const auto all = chunked(samples, region, false);
        for (std::size_t i = 0; i < all->size(); ++i) {
            all->read(i, target);
        }
        return;
    }
    const h5::Lock lock;
    const h5::Object& set = m_datasets->open(m_path, m_cacheBytes);
    std::vector<hsize_t> start, extent;
    const auto axis = [&](std::int64_t at, std::int64_t n) {
        start.push_back(static_cast<hsize_t>(at));
        extent.push_back(static_cast<hsize_t>(n));
    };
    if (m_hasSampleAxis) {
        axis(first, count);
    }
    axis(region.row, region.rows);
    if (m_shape.size() > 1) {
        axis(region.column, region.columns);
    }
    const h5::Handle type(H5Dget_type(set.id()), H5Tclose);
    const h5::Handle memoryType(H5Tcopy(type.get()), H5Tclose);
    H5Tset_order(memoryType.get(), H5T_ORDER_LE);
    const h5::Handle fileSpace(H5Dget_space(set.id()), H5Sclose);
    const h5::Handle memorySpace(
        H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose);
    if (H5Sselect_hyperslab(fileSpace.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(),
                            nullptr) < 0 ||
        H5Dread(set.id(), memoryType.get(), memorySpace.get(), fileSpace.get(), H5P_DEFAULT,
                target) < 0) {
        set.fail("can't be read" + h5::because(), "the file may be truncated or damaged");
    }
}

namespace {

/// Calls body(position, first, count) for runs of consecutive samples.
template <class Body>
void forRuns(std::span<const std::int64_t> samples, Body&& body) {
    for (std::size_t i = 0; i < samples.size();) {
        std::size_t n = 1;
        while (i + n < samples.size() &&
               samples[i + n] == samples[i] + static_cast<std::int64_t>(n)) {
            ++n;
        }
        body(i, samples[i], static_cast<std::int64_t>(n));
        i += n;
    }
}

} // namespace

void NumberSource::readRaw(std::span<const std::int64_t> samples, const Region& region,
                           std::byte* target) const {
    check(samples, region);
    const std::size_t bytes = static_cast<std::size_t>(region.count()) * dtypeSize(dtype());
    if (bytes == 0) {
        return;
    }
    if (m_descriptor < 0) {
        forRuns(samples, [&](std::size_t at, std::int64_t first, std::int64_t n) {
            readHdf5(first, n, region, target + at * bytes);
        });
        return;
    }
    std::size_t asked = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        announce(samples, i, region, asked);
        std::byte* to = target + i * bytes;
        if (region.columns == columns()) { // one run: no need for a copy
            pull(m_offset + static_cast<std::uint64_t>(samples[i]) * m_bytesPerSample +
                     static_cast<std::uint64_t>(region.row * columns()) * dtypeSize(dtype()),
                 bytes, to);
            if (m_layout.bigEndian) {
                swapBytes(to, static_cast<std::size_t>(region.count()), dtypeSize(dtype()));
            }
            continue;
        }
        readDirect(samples[i], region, [&](const std::byte* data, std::size_t n) {
            std::memcpy(to, data, n * dtypeSize(dtype()));
            to += n * dtypeSize(dtype());
        });
    }
}

template <class T>
void NumberSource::readAs(std::span<const std::int64_t> samples, const Region& region,
                          T* target) const {
    check(samples, region);
    const auto count = static_cast<std::size_t>(region.count());
    if (count == 0) {
        return;
    }
    const std::size_t size = dtypeSize(dtype());
    if (m_descriptor >= 0) {
        std::size_t asked = 0;
        for (std::size_t i = 0; i < samples.size(); ++i) {
            announce(samples, i, region, asked);
            T* to = target + i * count;
            readDirect(samples[i], region, [&](const std::byte* data, std::size_t n) {
                convert(data, dtype(), n, to);
                to += n;
            });
        }
        return;
    }
    if (size > sizeof(T)) { // float64 narrowed: through one sample's memory
        std::vector<std::byte> one(count * size);
        for (std::size_t i = 0; i < samples.size(); ++i) {
            readHdf5(samples[i], 1, region, one.data());
            convert(one.data(), dtype(), count, target + i * count);
        }
        return;
    }
    forRuns(samples, [&](std::size_t at, std::int64_t first, std::int64_t n) {
        // Raw numbers at the end of the run's own place, widened from the front: what is written
        // never reaches what is still to be read.
        T* to = target + at * count;
        const std::size_t all = count * static_cast<std::size_t>(n);
        std::byte* raw = reinterpret_cast<std::byte*>(to) + all * (sizeof(T) - size);
        readHdf5(first, n, region, raw);
        alignas(64) std::byte piece[4096];
        const std::size_t step = sizeof piece / size;
        for (std::size_t i = 0; i < all; i += step) {
            const std::size_t m = std::min(step, all - i);
            std::memcpy(piece, raw + i * size, m * size);
            convert(piece, dtype(), m, to + i);
        }
    });
}

void NumberSource::read(std::span<const std::int64_t> samples, const Region& region,
                        float* target) const {
    readAs(samples, region, target);
}

void NumberSource::read(std::span<const std::int64_t> samples, const Region& region,
                        double* target) const {
    readAs(samples, region, target);
}

} // namespace qkov::dump
