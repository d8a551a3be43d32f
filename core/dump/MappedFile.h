// SPDX-License-Identifier: GPL-3.0-or-later
// A file seen as memory, read only: numbers that the system already holds need no copy. Private to
// core/dump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace qkov::dump {

/// Whether the page cache holds [offset, offset + bytes), by a sample of its pages.
bool pagesInMemory(int descriptor, std::uint64_t offset, std::uint64_t bytes);

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
    /// Whether [offset, offset + bytes) is in memory, by a sample of its pages.
    bool inMemory(std::uint64_t offset, std::uint64_t bytes) const;
    /// Gives back the pages that were touched; touching them again fetches them again.
    void release() const;
    bool broken() const;

  private:
    MappedFile() = default;
    int m_descriptor = -1;
    std::byte* m_data = nullptr;
    std::uint64_t m_size = 0;
    std::size_t m_slot = 0;
};

} // namespace qkov::dump
