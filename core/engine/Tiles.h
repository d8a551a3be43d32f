// SPDX-License-Identifier: GPL-3.0-or-later
// What is read when: groups of slices that fit the memory budget, and their tiles, read one ahead.
// Internal to the engine.
#pragma once

#include "base/Job.h"
#include "engine/Context.h"
#include "engine/LargeMemory.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
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
/// What a tile takes, as Loader and backend hold it.
struct TileBytes {
    std::int64_t read = 0; ///< in buffers
    std::int64_t more = 0; ///< that the backend adds once it has it
};
TileBytes tileBytesOf(const Context& context, const BundleParameter& parameter,
                      const dump::Region& region, const Backend& backend);
/// What a tile's compressed numbers take beside it; zero where there are none.
struct ChunkBytes {
    std::int64_t kept = 0;    ///< chunks that the next tile needs too
    std::int64_t working = 0; ///< while they are undone
};
ChunkBytes chunkBytesOf(const Context& context, const BundleParameter& parameter,
                        const dump::Region& region);
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
    void trim(std::int64_t bytes); ///< frees kept ones until all take no more than this

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
    dump::InPlace inPlace;              ///< where dense numbers lie: the source's own memory, or
    BufferPool::Buffer buffer;          ///< this, which holds input factors otherwise
    bool mapped = false;                ///< inPlace is the source's own memory
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
    std::int64_t bytes = 0; ///< that the plan counts for it, once a backend has it
};

/// Reads the tiles of a plan with threads of its own, as far ahead as their memory allows.
class Loader {
  public:
    /// @param backend factors that lie on its device are not read; numbers are used where the
    ///        source holds them if it reads in place
    /// @param plan its groups, each as often as it says, or `once`, in this order: what take() will
    ///        ask for. Anything else may be asked for, but is not read ahead. Its tileBytes limit
    ///        what tiles read ahead and buffers kept for later take.
    Loader(const Context& context, const std::vector<Bundle>& bundles, const Backend& backend,
           const Plan& plan, bool once, const Job& job);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    /// Starts reading in the background, if nothing is being read.
    void ahead(std::size_t bundle, const TileSpec& spec);
    /// @throws InputError, Cancelled
    std::unique_ptr<LoadedTile> take(std::size_t bundle, const TileSpec& spec);
    void recycle(std::unique_ptr<LoadedTile> tile);
    double readSeconds() const { return m_seconds; } ///< spent waiting for numbers
    static int threadCount(); ///< that read at the same time, where the source allows it

  private:
    struct Wanted {
        std::size_t bundle = 0;
        TileSpec spec;
        TileBytes size;
        bool again = false; ///< the same numbers will be asked for once more
    };
    using Piece = std::function<void()>;
    /// A tile on its way.
    struct Pending {
        Wanted wanted;
        std::unique_ptr<LoadedTile> tile;
        std::vector<Piece> pieces; ///< in any order, at the same time
        std::vector<Piece> after;  ///< once these are done
        std::size_t next = 0;      ///< piece to start
        std::size_t running = 0;   ///< pieces that threads are at
        bool started = false, prepared = false, dropped = false;
        std::exception_ptr error;
        bool hasWork() const { return !started || (prepared && next < pieces.size()); }
        bool done() const { return prepared && running == 0 && next >= pieces.size(); }
    };
    using Queue = std::deque<std::shared_ptr<Pending>>;

    Wanted wanted(std::size_t bundle, const TileSpec& spec, bool again) const;
    void push(const Wanted& wanted);
    void pushMore();
    void drop(const std::shared_ptr<Pending>& pending);
    void work();
    /// One step of a pending tile, outside of the lock. @return false: nothing to do
    bool step(std::unique_lock<std::mutex>& lock);
    void finishStep(Pending& pending, std::exception_ptr error);

    // In TileRead.cpp, without the lock.
    void prepare(Pending& pending);
    bool findInPlace(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                     Quantity quantity, const dump::Region& region, LoadedNumbers& out);
    void prepareDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                      Quantity quantity, Pending& pending, LoadedNumbers& out);
    void prepareFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                        Pending& pending, LoadedNumbers& out);
    void readDense(const dump::TaskInfo& task, const dump::ParameterEntry& entry, Quantity quantity,
                   const dump::Region& region, LoadedNumbers& out) const;
    /// Refuses contributions below zero. @throws InputError
    void checkContributions(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                            std::int64_t count, const std::byte* values, DType type,
                            std::int64_t sample) const;
    /// Gives back pages that were used in place and buffers kept for later as far as these and
    /// `bytes` more are too much. Under m_roomMutex.
    void makeRoom(std::int64_t bytes);
    void releaseOldest(); ///< of m_idle
    BufferPool::Buffer buffer(std::int64_t bytes);
    /// What was used in place and in buffers is free again.
    void giveBack(LoadedTile& tile);

    const Context& m_context;
    const std::vector<Bundle>& m_bundles;
    const Backend& m_backend;
    const Job& m_job;
    std::vector<Wanted> m_order;
    std::int64_t m_limit; ///< of tiles read ahead and taken, as planned
    std::int64_t m_room;  ///< of buffers and pages used in place
    BufferPool m_pool;
    double m_seconds = 0;

    std::mutex m_mutex;
    std::condition_variable m_work, m_ready; ///< for the threads, for take()
    std::vector<std::thread> m_threads;
    bool m_stop = false;
    std::size_t m_at = 0;                   ///< in m_order: what is read next
    std::shared_ptr<Pending> m_current;     ///< that take() waits for
    Queue m_queue;                          ///< in the order in which they will be taken
    std::int64_t m_queued = 0, m_taken = 0; ///< bytes of tiles, once backends have them

    std::mutex m_roomMutex;
    bool m_usesInPlace;
    /// Numbers in the source's own memory, as LoadedNumbers has them.
    struct Mapped {
        dump::InPlace where;
        std::int64_t samples = 0, bytes = 0; ///< bytes of each sample
        std::int64_t takes = 0;
    };
    std::vector<Mapped> m_used; ///< by tiles that live, or were left when the work ended early
    std::deque<Mapped> m_idle; ///< of tiles no longer used, oldest first: their pages are there yet
    std::int64_t m_inPlace = 0; ///< bytes that these and the ones in use take
};

} // namespace qkov::engine
