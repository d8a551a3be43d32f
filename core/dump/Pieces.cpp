// SPDX-License-Identifier: GPL-3.0-or-later
// How a part of a dataset is cut into pieces.
#include "dump/NumberSource.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace qkov::dump {
namespace {

constexpr std::int64_t pieceBytes = std::int64_t(2) << 20;
/// Samples this many times as long as the disk's alignment may be padded to it.
constexpr std::int64_t padFrom = 64;
constexpr std::size_t ahead = 16;     ///< pieces that the system is told of
constexpr std::int64_t chunkWork = 3; ///< times its size while a chunk is undone

std::int64_t up(std::int64_t n, std::int64_t align) {
    return (n + align - 1) / align * align;
}

/// Rows of samples as they lie in the file: no copy between the disk and the buffer.
class StraightPieces final : public PieceReader {
  public:
    struct Run {
        std::int64_t offset, bytes; ///< in the file
        std::int64_t at;            ///< in the buffer
    };

    StraightPieces(const NumberSource& source, const DiskFile& file, bool keep)
        : m_source(source)
        , m_file(file)
        , m_keep(keep) {}

    /// @param announce through the page cache, in pieces that may lie apart
    void layOut(std::int64_t bytes, std::int64_t first, std::int64_t sampleBytes, bool announce) {
        m_announce = announce;
        m_bytes = bytes;
        m_first = first;
        m_sampleBytes = sampleBytes;
    }
    /// Cuts a run at multiples of the alignment, in the file and in the buffer alike.
    void add(const Run& run, std::int64_t align) {
        const std::int64_t shift = run.offset % align;
        const std::int64_t end = run.offset + run.bytes;
        for (std::int64_t from = run.offset - shift; from < end; from += pieceBytes) {
            const std::int64_t to = std::min(from + pieceBytes, up(end, align));
            m_pieces.push_back(
                {from, to - from, std::min(to, end) - from, run.at + (from - run.offset)});
        }
        m_size = m_pieces.size();
    }
    void read(std::size_t piece, std::byte* buffer) const override {
        const Piece& p = m_pieces[piece];
        if (m_announce) {
            // Pieces lie apart, which the system can't foresee.
            for (std::size_t next = piece == 0 ? 1 : piece + ahead;
                 next < m_size && next <= piece + ahead; ++next) {
                m_file.announce(static_cast<std::uint64_t>(m_pieces[next].offset),
                                static_cast<std::uint64_t>(m_pieces[next].needed));
            }
        }
        const auto needed = static_cast<std::size_t>(p.needed);
        if (m_file.read(static_cast<std::uint64_t>(p.offset), static_cast<std::size_t>(p.bytes),
                        needed, buffer + p.at, m_keep) < needed) {
            m_source.fail(errno == 0 ? std::string("ends before its numbers do")
                                     : std::string("can't be read: ") + std::strerror(errno));
        }
    }

  private:
    struct Piece {
        std::int64_t offset, bytes;
        std::int64_t needed; ///< of these, the rest only fills up to the alignment
        std::int64_t at;
    };
    const NumberSource& m_source;
    const DiskFile& m_file;
    bool m_keep;
    bool m_announce = false;
    std::vector<Piece> m_pieces;
};

/// Some samples, or some rows of one, per piece, one after the other in the buffer.
class CopiedPieces final : public PieceReader {
  public:
    CopiedPieces(const NumberSource& source, std::span<const std::int64_t> samples,
                 const Region& region)
        : m_source(source)
        , m_samples(samples.begin(), samples.end())
        , m_region(region) {
        m_rowBytes = region.columns * static_cast<std::int64_t>(dtypeSize(source.dtype()));
        m_sampleBytes = m_rowBytes * region.rows;
        const auto count = static_cast<std::int64_t>(samples.size());
        m_bytes = m_sampleBytes * count;
        m_step = std::clamp<std::int64_t>(pieceBytes / m_sampleBytes, 1, count);
        m_rows = m_step > 1 ? region.rows
                            : std::clamp<std::int64_t>(pieceBytes / m_rowBytes, 1, region.rows);
        m_parts = (region.rows - 1) / m_rows + 1;
        m_size = static_cast<std::size_t>(((count - 1) / m_step + 1) * m_parts);
    }
    void read(std::size_t piece, std::byte* buffer) const override {
        const auto at = static_cast<std::int64_t>(piece);
        const std::int64_t sample = at / m_parts * m_step;
        const std::int64_t row = at % m_parts * m_rows;
        const auto count = static_cast<std::int64_t>(m_samples.size());
        const auto some = std::span(m_samples).subspan(
            static_cast<std::size_t>(sample),
            static_cast<std::size_t>(std::min(m_step, count - sample)));
        const Region part{m_region.row + row, std::min(m_rows, m_region.rows - row),
                          m_region.column, m_region.columns};
        m_source.readRaw(some, part, buffer + sample * m_sampleBytes + row * m_rowBytes);
    }

  private:
    const NumberSource& m_source;
    std::vector<std::int64_t> m_samples;
    Region m_region;
    std::int64_t m_rowBytes = 0;
    std::int64_t m_step = 1;  ///< samples per piece
    std::int64_t m_rows = 1;  ///< rows per piece
    std::int64_t m_parts = 1; ///< pieces per sample, or per step of samples
};

/// Chunks, each undone once by one thread.
class ChunkedPieces final : public PieceReader {
  public:
    /// Of the dataset: [samples, rows, columns] of all of it and of a chunk.
    using Axes = std::array<std::int64_t, 3>;

    ChunkedPieces(const NumberSource& source, const Axes& all, const Axes& chunk,
                  std::span<const std::int64_t> samples, const Region& region, bool allSamples,
                  bool swap)
        : m_source(source)
        , m_all(all)
        , m_chunk(chunk)
        , m_region(region)
        , m_width(dtypeSize(source.dtype()))
        , m_allSamples(allSamples)
        , m_swap(swap) {
        m_sampleBytes = region.count() * static_cast<std::int64_t>(m_width);
        m_bytes = m_sampleBytes * static_cast<std::int64_t>(samples.size());
        for (std::size_t i = 0; i < samples.size(); ++i) {
            m_samples.push_back({samples[i], static_cast<std::int64_t>(i)});
        }
        std::sort(m_samples.begin(), m_samples.end());
        for (std::size_t i = 0; i < m_samples.size(); ++i) {
            if (i == 0 || m_samples[i].first / chunk[0] != m_samples[i - 1].first / chunk[0]) {
                m_slabs.push_back(i);
            }
        }
        m_firstRow = region.row / chunk[1];
        m_firstColumn = region.column / chunk[2];
        m_rowChunks = (region.row + region.rows - 1) / chunk[1] - m_firstRow + 1;
        m_columnChunks = (region.column + region.columns - 1) / chunk[2] - m_firstColumn + 1;
        m_count = static_cast<std::int64_t>(m_slabs.size()) * m_rowChunks * m_columnChunks;
        const std::int64_t bytes =
            chunk[0] * chunk[1] * chunk[2] * static_cast<std::int64_t>(m_width);
        m_step = std::max<std::int64_t>(1, chunksAtOnce / bytes);
        m_size = static_cast<std::size_t>((m_count - 1) / m_step + 1);
        m_working = chunkWork * bytes;
        // The last chunk along an axis is kept if the region ends inside of it.
        const auto whole = [&](std::size_t axis, std::int64_t first, std::int64_t chunks,
                               std::int64_t end) {
            return chunks - (end < std::min((first + chunks) * chunk[axis], all[axis]) ? 1 : 0);
        };
        const std::int64_t done =
            whole(1, m_firstRow, m_rowChunks, region.row + region.rows) *
            whole(2, m_firstColumn, m_columnChunks, region.column + region.columns);
        m_kept = std::min(mostKept, static_cast<std::int64_t>(m_slabs.size()) *
                                        (m_rowChunks * m_columnChunks - done) * bytes);
    }
    void read(std::size_t piece, std::byte* buffer) const override {
        const auto first = static_cast<std::int64_t>(piece) * m_step;
        for (std::int64_t i = first; i < std::min(first + m_step, m_count); ++i) {
            const std::int64_t perSlab = m_rowChunks * m_columnChunks;
            readChunk(static_cast<std::size_t>(i / perSlab),
                      m_firstRow + i % perSlab / m_columnChunks, m_firstColumn + i % m_columnChunks,
                      buffer);
        }
    }

  private:
    void readChunk(std::size_t slab, std::int64_t rowChunk, std::int64_t columnChunk,
                   std::byte* buffer) const {
        const std::size_t begin = m_slabs[slab];
        const std::size_t end = slab + 1 < m_slabs.size() ? m_slabs[slab + 1] : m_samples.size();
        const Axes at{m_samples[begin].first / m_chunk[0], rowChunk, columnChunk};
        struct Range {
            std::int64_t from, to;
        };
        const auto overlap = [&](std::size_t axis, std::int64_t from, std::int64_t count) {
            return Range{std::max(from, at[axis] * m_chunk[axis]),
                         std::min(from + count, (at[axis] + 1) * m_chunk[axis])};
        };
        const Range rows = overlap(1, m_region.row, m_region.rows);
        const Range columns = overlap(2, m_region.column, m_region.columns);
        const auto chunkEnd = [&](std::size_t axis) {
            return std::min((at[axis] + 1) * m_chunk[axis], m_all[axis]);
        };
        // Parts are asked for in ascending order: who reaches the chunk's end was the last.
        const bool last = rows.to == chunkEnd(1) && columns.to == chunkEnd(2) &&
                          (m_allSamples || m_samples[end - 1].first + 1 == chunkEnd(0));
        const ChunkCache::Bytes chunk = m_source.chunk(at, !last);
        const auto width = static_cast<std::int64_t>(m_width);
        const auto run = static_cast<std::size_t>((columns.to - columns.from) * width);
        for (std::size_t i = begin; i < end; ++i) {
            const std::int64_t sample = m_samples[i].first - at[0] * m_chunk[0];
            for (std::int64_t row = rows.from; row < rows.to; ++row) {
                const std::byte* from =
                    chunk.get() + ((sample * m_chunk[1] + row - at[1] * m_chunk[1]) * m_chunk[2] +
                                   columns.from - at[2] * m_chunk[2]) *
                                      width;
                std::byte* to =
                    buffer + m_samples[i].second * m_sampleBytes +
                    ((row - m_region.row) * m_region.columns + columns.from - m_region.column) *
                        width;
                if (m_swap) {
                    for (std::size_t k = 0; k < run; k += m_width) {
                        std::reverse_copy(from + k, from + k + m_width, to + k);
                    }
                } else {
                    std::memcpy(to, from, run);
                }
            }
        }
    }

    static constexpr std::int64_t chunksAtOnce = std::int64_t(512) << 10; ///< bytes per piece
    const NumberSource& m_source;
    Axes m_all, m_chunk;
    Region m_region;
    std::size_t m_width;
    bool m_allSamples; ///< more samples of the same chunks are not asked for later
    bool m_swap;
    std::vector<std::pair<std::int64_t, std::int64_t>> m_samples; ///< and their places in the list
    std::vector<std::size_t> m_slabs; ///< where samples of another chunk begin in m_samples
    std::int64_t m_firstRow = 0, m_firstColumn = 0, m_rowChunks = 0, m_columnChunks = 0;
    std::int64_t m_count = 0, m_step = 1; ///< chunks, and of these per piece
};

bool consecutive(std::span<const std::int64_t> samples) {
    for (std::size_t i = 1; i < samples.size(); ++i) {
        if (samples[i] != samples[i - 1] + 1) {
            return false;
        }
    }
    return true;
}

} // namespace

ChunkCache::Bytes NumberSource::chunk(const std::array<std::int64_t, 3>& at, bool keep) const {
    ChunkCache& cache = m_datasets->chunks();
    const ChunkCache::Key key{m_path, at};
    if (ChunkCache::Bytes known = cache.find(key, keep)) {
        return known;
    }
    const auto where = [&] {
        std::string text = "its chunk at [";
        for (std::size_t i = 0; i < m_chunks->chunk.size(); ++i) {
            text += (i > 0 ? ", " : "") + std::to_string(at[i] * m_chunks->chunk[i]);
        }
        return text + "] ";
    };
    const ChunkCache::Room room(cache, static_cast<std::size_t>(chunkWork) * m_chunks->bytes);
    std::unique_ptr<std::byte[]> stored;
    hsize_t size = 0;
    std::uint32_t mask = 0;
    {
        const h5::Lock lock;
        const h5::Object& set = m_datasets->open(m_path, m_cacheBytes);
        hsize_t offset[3] = {};
        for (std::size_t i = 0; i < m_chunks->chunk.size(); ++i) {
            offset[i] = static_cast<hsize_t>(at[i] * m_chunks->chunk[i]);
        }
        // What deflate makes of numbers that can't be compressed is hardly longer than they are.
        const hsize_t most = m_chunks->bytes + m_chunks->bytes / 64 + 4096;
        if (H5Dget_chunk_storage_size(set.id(), offset, &size) < 0) {
            fail(where() + "can't be read" + h5::because());
        }
        if (size == 0 || size > most) {
            fail(where() + (size == 0 ? "was never written"
                                      : "is not of the size that its shape asks for"),
                 "write the dump again");
        }
        stored = std::make_unique_for_overwrite<std::byte[]>(size);
        if (H5Dread_chunk(set.id(), H5P_DEFAULT, offset, &mask, stored.get()) < 0) {
            fail(where() + "can't be read" + h5::because(), "the file may be truncated or damaged");
        }
    }
    std::shared_ptr<std::byte[]> chunk(new std::byte[m_chunks->bytes]);
    std::string problem;
    if (!undoFilters(*m_chunks, mask, {stored.get(), static_cast<std::size_t>(size)}, chunk.get(),
                     problem)) {
        fail(where() + problem, "copy the file again, or write the dump again");
    }
    if (keep) {
        cache.keep(key, chunk, m_chunks->bytes);
    }
    return chunk;
}

std::unique_ptr<PieceReader> NumberSource::chunked(std::span<const std::int64_t> samples,
                                                   const Region& region, bool allSamples) const {
    const h5::Dims& c = m_chunks->chunk;
    return std::make_unique<ChunkedPieces>(*this, ChunkedPieces::Axes{m_samples, rows(), columns()},
                                           ChunkedPieces::Axes{c[0], c[1], c.size() > 2 ? c[2] : 1},
                                           samples, region, allSamples,
                                           m_layout.bigEndian && dtypeSize(dtype()) > 1);
}

std::unique_ptr<PieceReader> NumberSource::pieces(std::span<const std::int64_t> samples,
                                                  const Region& region, bool again) const {
    check(samples, region);
    const auto size = static_cast<std::int64_t>(dtypeSize(dtype()));
    const std::int64_t bytes = region.count() * size;
    const bool foreign = m_layout.bigEndian && size > 1;
    if (samples.empty() || bytes == 0) {
        return nullptr;
    }
    if (m_chunks) {
        return chunked(samples, region, true);
    }
    if (m_disk == nullptr) {
        return nullptr;
    }
    if (foreign || region.columns != columns()) {
        return std::make_unique<CopiedPieces>(*this, samples, region);
    }
    const auto apart = static_cast<std::int64_t>(m_bytesPerSample);
    const auto count = static_cast<std::int64_t>(samples.size());
    const std::int64_t begin = static_cast<std::int64_t>(m_offset) + region.row * columns() * size;
    const bool follow = consecutive(samples);
    auto align = static_cast<std::int64_t>(m_disk->alignment());
    // A second reading comes from memory if there is room.
    const bool keep = align == 0 || (again && m_disk->size() < availableMemory() / 2);
    align = keep ? 1 : align;
    auto out = std::make_unique<StraightPieces>(*this, *m_disk, keep);
    if (follow && region.rows == rows()) {
        const std::int64_t offset = begin + samples[0] * apart;
        const std::int64_t shift = offset % align;
        out->layOut(up(shift + count * bytes, align), shift, bytes, align == 1);
        out->add({offset, count * bytes, shift}, align);
        return out;
    }
    const bool even = apart % align == 0;
    if (bytes < padFrom * align || (!even && !follow)) {
        align = 1;
    }
    // Each sample begins as far behind a multiple of the alignment as in the file.
    const std::int64_t shift = (begin + samples[0] * apart) % align;
    std::int64_t stride = up(shift + bytes, align);
    if (!even && align > 1) {
        stride = up(bytes + 2 * align, align) + apart % align;
    }
    out->layOut(up(shift + (count - 1) * stride + bytes, align) + align, shift, stride, align == 1);
    for (std::int64_t s = 0; s < count; ++s) {
        out->add({begin + samples[static_cast<std::size_t>(s)] * apart, bytes, shift + s * stride},
                 align);
    }
    return out;
}

} // namespace qkov::dump
