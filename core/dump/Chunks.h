// SPDX-License-Identifier: GPL-3.0-or-later
// Chunks of a dataset as they are stored: taken from HDF5 under its lock, undone outside of it, so
// that several threads decompress. Private to core/dump.
#pragma once

#include "dump/Hdf5.h"

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qkov::dump {

/// How a dataset is cut and what was done to each chunk.
struct ChunkLayout {
    h5::Dims chunk; ///< numbers along each axis
    std::size_t elementBytes = 0;
    std::size_t bytes = 0; ///< of a chunk, undone
    enum class Filter : std::uint8_t { deflate, shuffle, fletcher32 };
    struct Step {
        Filter filter;
        std::size_t elementBytes; ///< shuffle
    };
    std::vector<Step> steps; ///< in the order in which they were done
};

/// Nothing where HDF5 has to read the dataset: other filters, chunks too large to hold several.
std::optional<ChunkLayout> chunkLayout(const h5::Object& dataset);

/// What shuffle, deflate and fletcher32 made of `bytes` bytes, undone.
/// @param mask bit i: step i was left out
/// @param problem what is wrong if the result is false
bool undoFilters(const ChunkLayout& layout, unsigned mask, std::span<const std::byte> stored,
                 std::byte* target, std::string& problem);

/// Undone chunks that the next tile needs too. Where there is no room for all, those that came first
/// stay: they are asked for in the same order again.
class ChunkCache {
  public:
    using Bytes = std::shared_ptr<const std::byte[]>;
    using Key = std::pair<std::string, std::array<std::int64_t, 3>>; ///< dataset, chunk
    explicit ChunkCache(std::size_t limit)
        : m_limit(limit) {}
    /// @param keep false: it won't be asked for again
    Bytes find(const Key& key, bool keep);
    void keep(const Key& key, Bytes chunk, std::size_t bytes);

    /// While one lives, the memory of a chunk being undone is accounted for: few large ones at a
    /// time.
    class Room {
      public:
        Room(ChunkCache& cache, std::size_t bytes);
        ~Room();
        Room(const Room&) = delete;
        Room& operator=(const Room&) = delete;

      private:
        ChunkCache& m_cache;
        std::size_t m_bytes;
    };

  private:
    struct Entry {
        Key key;
        Bytes chunk;
        std::size_t bytes;
    };
    std::mutex m_mutex;
    std::condition_variable m_roomy;
    std::list<Entry> m_entries; ///< oldest first
    std::map<Key, std::list<Entry>::iterator> m_index;
    std::size_t m_limit, m_bytes = 0, m_working = 0;
};

} // namespace qkov::dump
