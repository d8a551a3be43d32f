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
constexpr std::size_t ahead = 16; ///< pieces that the system is told of

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

bool consecutive(std::span<const std::int64_t> samples) {
    for (std::size_t i = 1; i < samples.size(); ++i) {
        if (samples[i] != samples[i - 1] + 1) {
            return false;
        }
    }
    return true;
}

} // namespace

std::unique_ptr<PieceReader> NumberSource::pieces(std::span<const std::int64_t> samples,
                                                  const Region& region, bool again) const {
    check(samples, region);
    const auto size = static_cast<std::int64_t>(dtypeSize(dtype()));
    const std::int64_t bytes = region.count() * size;
    if (samples.empty() || bytes == 0 || m_disk == nullptr) {
        return nullptr;
    }
    const bool foreign = m_layout.bigEndian && size > 1;
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
