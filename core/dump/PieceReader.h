// SPDX-License-Identifier: GPL-3.0-or-later
// A part of a dataset, cut into pieces that several threads may read at the same time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qkov::dump {

/// Numbers as stored, native byte order. Once all pieces are read, sample s of the list begins
/// first() + s · sampleBytes() after the buffer's begin, its rows follow each other. Valid while
/// the DumpReader lives.
class PieceReader {
  public:
    virtual ~PieceReader() = default;
    /// Of the buffer, which begins at a multiple of bufferAlignment.
    std::int64_t bytes() const { return m_bytes; }
    std::int64_t first() const { return m_first; }
    std::int64_t sampleBytes() const { return m_sampleBytes; }
    /// How many; in the order in which they lie on the disk.
    std::size_t size() const { return m_size; }
    /// Memory beside the buffer: of chunks that wait for the part of them that is asked for next,
    /// and of each piece while it is read.
    std::int64_t keptBytes() const { return m_kept; }
    std::int64_t workingBytes() const { return m_working; }
    /// No more than these of all readers of a dump together.
    static constexpr std::int64_t mostKept = std::int64_t(192) << 20;
    static constexpr std::int64_t mostWorking = std::int64_t(64) << 20;
    /// Safe to call from several threads, with different pieces.
    /// @throws InputError
    virtual void read(std::size_t piece, std::byte* buffer) const = 0;

    static constexpr std::size_t bufferAlignment = 4096;

  protected:
    std::int64_t m_bytes = 0, m_first = 0, m_sampleBytes = 0;
    std::int64_t m_kept = 0, m_working = 0;
    std::size_t m_size = 0;
};

} // namespace qkov::dump
