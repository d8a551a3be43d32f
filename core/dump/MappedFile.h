// SPDX-License-Identifier: GPL-3.0-or-later
// A file seen as memory, read only: numbers that the system already holds need no copy. Private to
// core/dump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace qkov::dump {

/// How much of [offset, offset + bytes) the page cache holds, 0 … 1. Where the system doesn't count
/// pages: 1 if a sample of them is there, else 0.
double shareInMemory(int descriptor, std::uint64_t offset, std::uint64_t bytes);
/// What holds less is read from the disk as a whole.
inline constexpr double mostlyInMemory = 0.875;

/// Memory of a file that shrinks, or can't be read from its disk, raises SIGBUS. Such a mapping is
/// replaced by zeros and marked broken: whoever used it must ask broken() before trusting a result.
class MappedFile {
  public:
    /// Null where the file can't be mapped.
    static std::unique_ptr<MappedFile> open(int descriptor, std::uint64_t bytes);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::byte* data() const { return m_data; }
    std::uint64_t size() const { return m_size; }
    bool contains(const std::byte* at) const { return at >= m_data && at < m_data + m_size; }
    /// Gives back the touched pages of [from, from + bytes), which lies inside, and those around
    /// them that the system maps along; touching them again fetches them again.
    void release(const std::byte* from, std::uint64_t bytes) const;
    /// The system maps pages in parts of this size, around the one that is touched; newer ones as
    /// many as the page cache holds in one piece, `mostAround` at most.
    static constexpr std::uint64_t around = std::uint64_t(64) << 10;
    static constexpr std::uint64_t mostAround = std::uint64_t(2) << 20;
    bool broken() const;

  private:
    MappedFile() = default;
    std::byte* m_data = nullptr;
    std::uint64_t m_size = 0;
    std::size_t m_slot = 0;
};

} // namespace qkov::dump
