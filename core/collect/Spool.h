// SPDX-License-Identifier: GPL-3.0-or-later
// Finished micro-batches on disk, beside the dump that will hold them: what an interrupted run
// leaves, and what the dump is put together from. No Torch.
#pragma once

#include "collect/Payload.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::collect {

/// One finished batch, mapped read-only.
class SpooledBatch {
  public:
    SpooledBatch(SpooledBatch&& other) noexcept;
    SpooledBatch& operator=(SpooledBatch&& other) noexcept;
    ~SpooledBatch();
    const std::vector<double>& losses() const { return m_losses; }
    const std::byte* payload() const { return m_payload; }
    std::size_t payloadBytes() const { return m_payloadBytes; }
    /// Gives the pages read so far back to the system; reading again is always possible.
    void release() const;

  private:
    friend class Spool;
    SpooledBatch() = default;
    void* m_map = nullptr;
    std::size_t m_mapBytes = 0;
    const std::byte* m_payload = nullptr;
    std::size_t m_payloadBytes = 0;
    std::vector<double> m_losses;
};

/// The folder "<dump>.partial". Batch files appear under their name only when whole, and carry a
/// checksum.
class Spool {
  public:
    /// resume: keep what is there if it was made by the same `fingerprint`; otherwise start afresh.
    /// @throws InputError the folder can't be written; unfinished work of another request while
    ///         resume is wanted; another process is working on it
    Spool(const std::filesystem::path& dump, const std::string& fingerprint, bool resume);
    ~Spool();
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;

    const std::filesystem::path& folder() const { return m_folder; }
    /// Whether the batch is there, whole.
    bool has(std::size_t task, std::size_t batch) const;
    /// @throws InputError (disk full)
    void write(std::size_t task, std::size_t batch, const std::vector<double>& losses,
               const Payload& payload);
    /// @throws InputError missing or damaged
    SpooledBatch open(std::size_t task, std::size_t batch) const;
    std::size_t written() const { return m_written; }
    /// Deletes the folder.
    void remove() noexcept;

  private:
    std::filesystem::path file(std::size_t task, std::size_t batch) const;

    std::filesystem::path m_folder;
    std::size_t m_written = 0;
    int m_lock = -1;
};

} // namespace qkov::collect
