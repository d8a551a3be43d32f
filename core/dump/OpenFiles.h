// SPDX-License-Identifier: GPL-3.0-or-later
// Files that are read directly, past HDF5. Private to core/dump.
#pragma once

#include "dump/MappedFile.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace qkov::dump {

/// One file of a dump, read by several threads at once. What the page cache holds is taken from
/// there; the rest comes from the disk past the page cache, which costs a fifth of the time of the
/// processor. A slow disk's numbers stay in the page cache all the same: the next run is glad.
class DiskFile {
  public:
    /// Takes over the descriptor.
    DiskFile(int descriptor, std::string name);
    ~DiskFile();
    DiskFile(const DiskFile&) = delete;
    DiskFile& operator=(const DiskFile&) = delete;

    int descriptor() const { return m_descriptor; }
    std::uint64_t size() const;
    /// The file as memory; null where it can't be mapped.
    const MappedFile* mapped() const;
    /// The same, if it was asked for before.
    const MappedFile* known() const { return m_shown; }
    bool broken() const;

    /// What offsets, lengths and addresses of reads past the page cache must be multiples of; 0:
    /// this file can't be read so.
    std::size_t alignment() const;
    /// Reads at least `needed` bytes, if all goes well, and at most `bytes`. Past the page cache if
    /// offset, bytes and target are aligned, and the page cache doesn't have them.
    /// @param keep leaves what is read in the page cache
    /// @return how many were read; < needed: the file ends there, or errno is set
    std::size_t read(std::uint64_t offset, std::size_t bytes, std::size_t needed, std::byte* target,
                     bool keep) const;

    /// Asks the system to fetch this into the page cache.
    void announce(std::uint64_t offset, std::uint64_t bytes) const;

  private:
    void openDirect() const;
    std::size_t readDirect(std::uint64_t offset, std::size_t bytes, std::byte* target) const;

    int m_descriptor;
    std::string m_name;
    mutable std::once_flag m_directOnce, m_mappedOnce;
    mutable int m_direct = -1;
    mutable std::size_t m_alignment = 0;
    mutable std::unique_ptr<MappedFile> m_mapped;
    mutable std::atomic<const MappedFile*> m_shown{nullptr}; ///< m_mapped, once it is there
    mutable std::atomic<bool> m_refused{false}; ///< the file system, reads past the cache
    /// Speed of the disk: bytes read past the page cache, seconds in which some read ran.
    mutable std::mutex m_speedMutex;
    mutable int m_running = 0;
    mutable std::chrono::steady_clock::time_point m_since;
    mutable double m_bytes = 0, m_seconds = 0;
    mutable std::atomic<bool> m_slow{false};
};

/// The files of a reader, each opened once.
class OpenFiles {
  public:
    const DiskFile* find(const std::string& file); ///< null if it can't be opened
    /// The one that `at` lies in; null: none.
    const MappedFile* mappedAt(const std::byte* at) const;
    bool anyBroken() const;

  private:
    std::map<std::string, std::unique_ptr<DiskFile>> m_files;
};

/// Bytes of memory that the system could give without swapping; 0 if it doesn't say.
std::uint64_t availableMemory();

} // namespace qkov::dump
