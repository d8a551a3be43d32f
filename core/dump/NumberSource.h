// SPDX-License-Identifier: GPL-3.0-or-later
// One dataset of floats seen as [samples, rows, columns]. Private to core/dump.
#pragma once

#include "dump/Chunks.h"
#include "dump/DumpReader.h"
#include "dump/FloatType.h"
#include "dump/Hdf5.h"
#include "dump/OpenFiles.h"
#include "dump/PieceReader.h"

#include <memory>

namespace qkov::dump {

/// HDF5 datasets that are read through HDF5, a few of them open at a time: each open one may keep
/// a chunk cache.
class OpenDatasets {
  public:
    explicit OpenDatasets(const h5::Object& root)
        : m_root(root) {}
    /// Under the HDF5 lock; valid until the next call.
    const h5::Object& open(const std::string& path, std::size_t cacheBytes);

    ChunkCache& chunks() { return m_chunks; }

  private:
    const h5::Object& m_root;
    ChunkCache m_chunks{static_cast<std::size_t>(PieceReader::mostKept)};
    std::vector<std::pair<std::string, h5::Object>> m_open; ///< most recently used last
};

class NumberSource {
  public:
    /// Checks type, dims and that every number is really stored (chunks never written and virtual
    /// sources that are missing read as zeros otherwise).
    /// @param samples expected length of the first axis, or 0: there is no sample axis (Fisher)
    /// @throws InputError naming the dataset
    NumberSource(const h5::Object& dataset, std::int64_t samples, OpenFiles& files,
                 OpenDatasets& datasets);

    const h5::Dims& shape() const { return m_shape; } ///< without the sample axis
    DType dtype() const { return m_layout.dtype; }
    std::int64_t rows() const { return m_shape.front(); }
    std::int64_t columns() const { return m_shape.size() > 1 ? m_shape[1] : 1; }
    const std::string& path() const { return m_path; }
    const std::filesystem::path& file() const { return m_file; }
    std::uint64_t bytesPerSample() const { return m_bytesPerSample; }
    std::optional<DirectData> direct() const;
    /// Samples first … first + count − 1 of whole rows in memory, if the system holds them there
    /// and the file stores them as this machine does; else null.
    InPlace inPlace(std::int64_t first, std::int64_t count, const Region& region) const;
    /// The same numbers in pieces that several threads may read at once.
    /// @param again they will be read again soon: better left in the page cache
    std::unique_ptr<PieceReader> pieces(std::span<const std::int64_t> samples, const Region& region,
                                        bool again) const;
    /// Files other than the dump itself that hold its numbers (external links, virtual sources).
    const std::vector<std::filesystem::path>& otherFiles() const { return m_otherFiles; }

    /// As stored, native byte order: row-major [samples, region.rows, region.columns].
    void readRaw(std::span<const std::int64_t> samples, const Region& region,
                 std::byte* target) const;
    void read(std::span<const std::int64_t> samples, const Region& region, float* target) const;
    void read(std::span<const std::int64_t> samples, const Region& region, double* target) const;
    /// Tells the disk which samples of the list come next: their pieces lie far apart, so the
    /// kernel can't foresee them. `asked` (first 0) is how many were announced so far. Harmless
    /// and without effect where the data is read through HDF5.
    void announce(std::span<const std::int64_t> samples, std::size_t now, const Region& region,
                  std::size_t& asked) const;
    /// @throws InputError if the rectangle or a sample lies outside
    void check(std::span<const std::int64_t> samples, const Region& region) const;
    /// A chunk of a dataset that chunkLayout() knows, as it was before its filters.
    /// @param at its number along each axis
    /// @param keep it will be asked for again
    /// @throws InputError
    ChunkCache::Bytes chunk(const std::array<std::int64_t, 3>& at, bool keep) const;
    [[noreturn]] void fail(const std::string& problem) const;
    [[noreturn]] void fail(const std::string& problem, const std::string& advice) const;

  private:
    std::unique_ptr<PieceReader> chunked(std::span<const std::int64_t> samples,
                                         const Region& region, bool allSamples) const;
    template <class T>
    void readAs(std::span<const std::int64_t> samples, const Region& region, T* target) const;
    template <class Sink>
    void readDirect(std::int64_t sample, const Region& region, Sink&& sink) const;
    void readHdf5(std::int64_t first, std::int64_t count, const Region& region,
                  std::byte* target) const;
    void pull(std::uint64_t offset, std::size_t bytes, std::byte* target) const;

    std::filesystem::path m_file;
    std::string m_path;
    h5::Dims m_shape;
    std::int64_t m_samples = 1;
    bool m_hasSampleAxis = true;
    FloatLayout m_layout;
    std::uint64_t m_bytesPerSample = 0;
    int m_descriptor = -1; ///< ≥ 0: contiguous, at m_offset
    std::uint64_t m_offset = 0;
    const DiskFile* m_disk = nullptr; ///< whose descriptor that is
    OpenDatasets* m_datasets = nullptr;
    std::optional<ChunkLayout> m_chunks; ///< undone here, by several threads
    std::size_t m_cacheBytes = std::size_t(4) << 20;
    std::vector<std::filesystem::path> m_otherFiles;
};

} // namespace qkov::dump
