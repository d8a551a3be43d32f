// SPDX-License-Identifier: GPL-3.0-or-later
// What is read when: groups of slices that fit the memory budget, and their tiles, read one ahead.
// Internal to the engine.
#pragma once

#include "base/Job.h"
#include "engine/Context.h"
#include "engine/LargeMemory.h"

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

namespace qkov::engine {

/// Which numbers of a parameter are needed of one task.
struct Need {
    bool used = false;
    bool all = false; ///< of all samples (behind a Fisher), not only the selected ones
};
/// [task][quantity]
using Needs = std::array<std::array<Need, 2>, 2>;
Needs needsOf(const Context& context, const BundleParameter& parameter);

struct TileSpec {
    std::size_t parameter = 0; ///< in the bundle
    dump::Region region;
};

/// Slices processed together. Not resident: one pass over the tiles per step of the work.
struct Group {
    std::size_t bundle = 0;
    std::vector<std::size_t> units;
    std::vector<TileSpec> tiles;
    bool resident = true;
    int passes = 2;         ///< over its tiles, the last one for the products
    std::int64_t bytes = 0; ///< of all its tiles
};

struct Plan {
    std::vector<Group> groups;
    bool readAhead = true;      ///< the next tiles are read while these are scored
    std::int64_t tileBytes = 0; ///< most bytes of tiles that live at once, as loaded
    std::int64_t readBytes = 0; ///< over the whole run, repeated passes included
    int passes = 1;             ///< over groups that are not resident
};
/// What a run holds beside its tiles and results: Fisher, weights, sums of pairs, packed numbers.
std::int64_t workingBytes(const Context& context, const std::vector<Bundle>& bundles,
                          const Plan& plan, const Backend& backend, bool pooledPairs);
/// @param tileBudget bytes of tiles that may live at once
Plan makePlan(const Context& context, const std::vector<Bundle>& bundles, const Backend& backend,
              std::int64_t tileBudget);

/// Raw memory that is used again and again: fresh pages cost as much as the scoring.
class BufferPool {
  public:
    struct Buffer {
        LargeMemory::Pointer data;
        std::size_t capacity = 0;
    };
    /// @param limit bytes of all buffers above which none is kept for later
    explicit BufferPool(std::size_t limit)
        : m_limit(limit) {}
    Buffer take(std::size_t bytes);
    std::int64_t bytes(); ///< of all buffers, in use or kept
    void give(Buffer buffer);

  private:
    std::mutex m_mutex;
    std::vector<Buffer> m_free; ///< longest unused first
    std::size_t m_bytes = 0;    ///< of these and of those that were taken
    std::size_t m_limit;
};

/// One quantity of one task over a tile's region.
struct LoadedNumbers {
    bool used = false;
    DType dtype = DType::f32;
    std::vector<std::int64_t> samples;  ///< dump indices, the tile's sample axis
    std::vector<std::int32_t> selected; ///< where the selected samples lie in it
    dump::InPlace inPlace;              ///< dense numbers where the source holds them, or
    BufferPool::Buffer buffer;          ///< dense numbers, or input factors
    bool factored = false;
    std::array<DType, 2> factorTypes{};
    BufferPool::Buffer gradOutput;
    std::vector<std::int64_t> offsets; ///< of the samples' tokens
    bool inOut = false;
    DeviceFactors onDevice;           ///< instead of the buffers; pointers of the region
    std::vector<std::int64_t> starts; ///< of the samples' rows there
    std::int64_t inputWidth = 0, gradOutputWidth = 0;
    std::unique_ptr<Tile> tile; ///< set by the engine once a backend has it
};

struct LoadedTile {
    TileSpec spec;
    std::array<std::array<LoadedNumbers, 2>, 2> numbers; ///< [task][quantity]
};

/// Reads the tiles of a plan, in the order in which the engine asks.
class Loader {
  public:
    /// @param backend factors that lie on its device are not read; numbers are used where the
    /// source
    ///        holds them if it reads in place
    /// @param limit bytes that buffers may take before unused ones are freed, and that may be used
    ///        in place before they are given back
    Loader(const Context& context, const std::vector<Bundle>& bundles, const Backend& backend,
           std::int64_t limit, const Job& job);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    /// Starts reading in the background, if nothing is being read.
    void ahead(std::size_t bundle, const TileSpec& spec);
    /// @throws InputError, Cancelled
    std::unique_ptr<LoadedTile> take(std::size_t bundle, const TileSpec& spec);
    void recycle(std::unique_ptr<LoadedTile> tile);
    double readSeconds() const { return m_seconds; }

  private:
    std::unique_ptr<LoadedTile> read(std::size_t bundle, const TileSpec& spec);
    bool findInPlace(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                     Quantity quantity, const dump::Region& region, LoadedNumbers& out);
    void readDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry, Quantity quantity,
                   const dump::Region& region, LoadedNumbers& out);
    void readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                     const dump::Region& region, LoadedNumbers& out);
    /// Gives back pages used in place if they, the buffers and `bytes` more are too much.
    void makeRoom(std::int64_t bytes);
    BufferPool::Buffer buffer(std::int64_t bytes);

    const Context& m_context;
    const std::vector<Bundle>& m_bundles;
    const Job& m_job;
    int m_device;
    BufferPool m_pool;
    std::future<std::unique_ptr<LoadedTile>> m_next;
    std::size_t m_nextBundle = 0;
    TileSpec m_nextSpec;
    double m_seconds = 0;                 ///< spent waiting for numbers
    std::int64_t m_inPlaceLimit;          ///< of pages and buffers together; 0: everything is read
    std::int64_t m_inPlace = 0;           ///< bytes used since the last release
    std::atomic<std::int64_t> m_inUse{0}; ///< of these, by tiles that still live
};

} // namespace qkov::engine
