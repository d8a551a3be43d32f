// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Chunks.h"

#include "dump/PieceReader.h"

#include <algorithm>
#include <cstring>
#include <zlib.h>

namespace qkov::dump {
namespace {

/// Larger ones are HDF5's affair: several of them at a time would take too much memory.
constexpr std::size_t largestChunk = std::size_t(16) << 20;
constexpr auto mostWorking = static_cast<std::size_t>(PieceReader::mostWorking);

template <std::size_t N>
void unshuffleBy(const std::byte* from, std::size_t count, std::byte* to) {
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t b = 0; b < N; ++b) {
            to[i * N + b] = from[b * count + i];
        }
    }
}

void unshuffle(const std::byte* from, std::size_t bytes, std::size_t size, std::byte* to) {
    const std::size_t count = size > 0 ? bytes / size : 0;
    switch (size) {
    case 2:
        unshuffleBy<2>(from, count, to);
        break;
    case 4:
        unshuffleBy<4>(from, count, to);
        break;
    case 8:
        unshuffleBy<8>(from, count, to);
        break;
    default:
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t b = 0; b < size; ++b) {
                to[i * size + b] = from[b * count + i];
            }
        }
    }
    std::memcpy(to + count * size, from + count * size, bytes - count * size);
}

/// Sums of big-endian 16-bit words, as HDF5 computes them.
std::uint32_t fletcher32(const std::byte* data, std::size_t bytes) {
    std::uint32_t one = 0;
    std::uint32_t two = 0;
    std::size_t words = bytes / 2;
    const auto word = [&](std::size_t high, std::size_t low) {
        return (std::to_integer<std::uint32_t>(data[high]) << 8) |
               std::to_integer<std::uint32_t>(data[low]);
    };
    const auto fold = [](std::uint32_t sum) { return (sum & 0xffffU) + (sum >> 16); };
    std::size_t at = 0;
    while (words > 0) {
        const std::size_t some = std::min<std::size_t>(words, 360); // no overflow before folding
        for (std::size_t i = 0; i < some; ++i, at += 2) {
            one += word(at, at + 1);
            two += one;
        }
        words -= some;
        one = fold(one);
        two = fold(two);
    }
    if (bytes % 2 != 0) {
        one += std::to_integer<std::uint32_t>(data[at]) << 8;
        two += one;
        one = fold(one);
        two = fold(two);
    }
    return (fold(two) << 16) | fold(one);
}

/// Whether exactly `bytes` bytes come out.
bool inflateTo(std::span<const std::byte> stored, std::byte* target, std::size_t bytes) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) {
        throw std::bad_alloc();
    }
    stream.next_in =
        const_cast<Bytef*>(reinterpret_cast<const Bytef*>(stored.data())); // zlib only reads it
    stream.avail_in = static_cast<uInt>(stored.size());
    stream.next_out = reinterpret_cast<Bytef*>(target);
    stream.avail_out = static_cast<uInt>(bytes);
    const int result = inflate(&stream, Z_FINISH);
    const bool all = result == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    return all;
}

} // namespace

std::optional<ChunkLayout> chunkLayout(const h5::Object& dataset) {
    const h5::Lock lock;
    const h5::Handle creation(H5Dget_create_plist(dataset.id()), H5Pclose);
    const h5::Handle type(H5Dget_type(dataset.id()), H5Tclose);
    if (!creation || !type || H5Pget_layout(creation.get()) != H5D_CHUNKED) {
        return std::nullopt;
    }
    unsigned options = 0;
    if (H5Pget_chunk_opts(creation.get(), &options) < 0 || options != 0) {
        return std::nullopt;
    }
    hsize_t extent[4] = {};
    const int rank = H5Pget_chunk(creation.get(), 4, extent);
    if (rank < 1 || rank > 3) {
        return std::nullopt;
    }
    ChunkLayout layout;
    layout.elementBytes = H5Tget_size(type.get());
    layout.bytes = layout.elementBytes;
    for (int i = 0; i < rank; ++i) {
        if (extent[i] == 0 || extent[i] > largestChunk ||
            __builtin_mul_overflow(layout.bytes, extent[i], &layout.bytes)) {
            return std::nullopt;
        }
        layout.chunk.push_back(static_cast<std::int64_t>(extent[i]));
    }
    if (layout.bytes == 0 || layout.bytes > largestChunk) {
        return std::nullopt;
    }
    const int filters = H5Pget_nfilters(creation.get());
    if (filters < 0 || filters > 8) {
        return std::nullopt;
    }
    for (int i = 0; i < filters; ++i) {
        unsigned flags = 0;
        unsigned config = 0;
        unsigned values[8] = {};
        std::size_t count = 8;
        const H5Z_filter_t filter = H5Pget_filter2(creation.get(), static_cast<unsigned>(i), &flags,
                                                   &count, values, 0, nullptr, &config);
        switch (filter) {
        case H5Z_FILTER_DEFLATE:
            if (std::any_of(layout.steps.begin(), layout.steps.end(), [](const auto& step) {
                    return step.filter == ChunkLayout::Filter::deflate;
                })) {
                return std::nullopt; // of a size that only HDF5 finds out
            }
            layout.steps.push_back({ChunkLayout::Filter::deflate, 0});
            break;
        case H5Z_FILTER_SHUFFLE:
            if (count < 1 || values[0] == 0) {
                return std::nullopt;
            }
            layout.steps.push_back({ChunkLayout::Filter::shuffle, values[0]});
            break;
        case H5Z_FILTER_FLETCHER32:
            layout.steps.push_back({ChunkLayout::Filter::fletcher32, 0});
            break;
        default:
            return std::nullopt;
        }
    }
    return layout;
}

bool undoFilters(const ChunkLayout& layout, unsigned mask, std::span<const std::byte> stored,
                 std::byte* target, std::string& problem) {
    using Filter = ChunkLayout::Filter;
    constexpr std::size_t sumBytes = 4;
    // What each step was given: checksums added before it belong to its data. Behind a deflate: 0,
    // nobody knows.
    std::vector<std::size_t> given;
    std::size_t bytes = layout.bytes;
    std::vector<std::size_t> used;
    for (std::size_t i = 0; i < layout.steps.size(); ++i) {
        if ((mask >> i & 1U) == 0) {
            used.push_back(i);
            given.push_back(bytes);
            const Filter filter = layout.steps[i].filter;
            bytes += filter == Filter::fletcher32 && bytes > 0 ? sumBytes : 0;
            bytes = filter == Filter::deflate ? 0 : bytes;
        }
    }
    std::span<const std::byte> data = stored;
    std::unique_ptr<std::byte[]> last; // holds data
    for (std::size_t k = used.size(); k-- > 0;) {
        const ChunkLayout::Step& step = layout.steps[used[k]];
        if (step.filter == Filter::fletcher32) {
            if (data.size() < sumBytes) {
                problem = "is too short";
                return false;
            }
            data = data.first(data.size() - sumBytes);
            const std::byte* end = data.data() + data.size();
            std::uint32_t told = 0;
            for (std::size_t i = 0; i < sumBytes; ++i) {
                told |= std::to_integer<std::uint32_t>(end[i]) << (8 * i);
            }
            const std::uint32_t sum = fletcher32(data.data(), data.size());
            // Old HDF5 wrote the bytes of each half in the other order.
            const std::uint32_t old = (sum & 0x00ff00ffU) << 8 | (sum & 0xff00ff00U) >> 8;
            if (told != sum && told != old) {
                problem = "has a wrong checksum";
                return false;
            }
            continue;
        }
        const std::size_t size = given[k] > 0 ? given[k] : data.size();
        auto next = k == 0 ? nullptr : std::make_unique_for_overwrite<std::byte[]>(size);
        std::byte* to = k == 0 ? target : next.get();
        if (step.filter == Filter::deflate) {
            if (!inflateTo(data, to, size)) {
                problem = "is damaged, or not of the size that its shape asks for";
                return false;
            }
        } else {
            if (data.size() != size) {
                problem = "is not of the size that its shape asks for";
                return false;
            }
            unshuffle(data.data(), data.size(), step.elementBytes, to);
        }
        data = {to, size};
        last = std::move(next);
    }
    if (data.size() != layout.bytes) {
        problem = "is not of the size that its shape asks for";
        return false;
    }
    if (data.data() != target) {
        std::memcpy(target, data.data(), data.size());
    }
    return true;
}

ChunkCache::Bytes ChunkCache::find(const Key& key, bool keep) {
    const std::lock_guard lock(m_mutex);
    const auto it = m_index.find(key);
    if (it == m_index.end()) {
        return nullptr;
    }
    Bytes chunk = it->second->chunk;
    if (!keep) {
        m_bytes -= it->second->bytes;
        m_entries.erase(it->second);
        m_index.erase(it);
    }
    return chunk;
}

void ChunkCache::keep(const Key& key, Bytes chunk, std::size_t bytes) {
    const std::lock_guard lock(m_mutex);
    if (m_index.count(key) > 0) {
        return;
    }
    while (!m_entries.empty() && m_bytes + bytes > m_limit &&
           m_entries.front().key.first != key.first) {
        m_bytes -= m_entries.front().bytes;
        m_index.erase(m_entries.front().key);
        m_entries.pop_front();
    }
    if (m_bytes + bytes <= m_limit) {
        m_bytes += bytes;
        m_index[key] = m_entries.insert(m_entries.end(), {key, std::move(chunk), bytes});
    }
}

ChunkCache::Room::Room(ChunkCache& cache, std::size_t bytes)
    : m_cache(cache)
    , m_bytes(bytes) {
    std::unique_lock lock(m_cache.m_mutex);
    m_cache.m_roomy.wait(
        lock, [&] { return m_cache.m_working == 0 || m_cache.m_working + m_bytes <= mostWorking; });
    m_cache.m_working += m_bytes;
}

ChunkCache::Room::~Room() {
    {
        const std::lock_guard lock(m_cache.m_mutex);
        m_cache.m_working -= m_bytes;
    }
    m_cache.m_roomy.notify_all();
}

} // namespace qkov::dump
