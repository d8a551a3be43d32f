// SPDX-License-Identifier: GPL-3.0-or-later
// Reads version 1 dumps tile by tile; never holds more than the caller's tile plus one sample.
#pragma once

#include "base/Job.h"
#include "dump/DumpInfo.h"
#include "dump/PieceReader.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qkov::dump {

/// A rectangle of a parameter in its own [dim0, dim1] order. 1-D parameters: one column.
struct Region {
    std::int64_t row = 0, rows = 0;
    std::int64_t column = 0, columns = 0;
    std::int64_t count() const { return rows * columns; }
};

/// Columns of a factor matrix: features of the input, or of grad_output.
struct FeatureRange {
    std::int64_t first = 0, count = 0;
};

/// Where the numbers of a contiguous, uncompressed, little-endian dataset lie in its file:
/// sample s begins at offset + s · bytesPerSample, row-major, without HDF5 or its lock.
struct DirectData {
    int fd = -1; ///< open for reading while the reader lives; use pread
    std::uint64_t offset = 0;
    std::uint64_t bytesPerSample = 0;
    std::int64_t samples = 0;
    DType dtype = DType::f32;
};

/// Numbers of some samples and rows in memory: sample s begins s · sampleBytes after `values`, its
/// rows follow each other. Not necessarily aligned.
struct InPlace {
    const std::byte* values = nullptr; ///< null: must be read
    std::int64_t sampleBytes = 0;
};

/// The datasets that hold a parameter's numbers.
enum class Part : std::uint8_t { gradients, contributions, input, gradOutput };

/// Safe to use from several threads. Contiguous uncompressed data are read directly, in parallel;
/// everything else through HDF5, whose calls are serialised inside.
class DumpReader {
  public:
    /// Opens and validates the structure (not every number).
    /// @throws InputError naming the path inside the file
    /// @param layoutJson a user's layout (model::readLayoutFile); empty: the dump's own, else the
    ///        registry's
    /// @param job asked while opening whether to go on; not kept
    /// @throws Cancelled
    explicit DumpReader(const std::filesystem::path& file, const std::string& layoutJson = {},
                        const Job* job = nullptr);
    ~DumpReader();
    DumpReader(DumpReader&&) noexcept;
    DumpReader& operator=(DumpReader&&) noexcept;

    const std::filesystem::path& file() const;
    const DumpInfo& info() const;
    const model::HeadLayout& layout() const;

    /// Gradients of `samples` (dump indices, any order) restricted to `region`.
    /// Target row-major [samples, region.rows, region.columns]. Factored parameters are rebuilt as
    /// Σ_t grad_output ⊗ input in the parameter's own orientation; contributions-only ones give
    /// |g| = sqrt(C), or sqrt(C · tokens). Values are not checked for NaN/Inf here.
    void readGradients(const TaskInfo& task, const std::string& parameter,
                       std::span<const std::int64_t> samples, const Region& region,
                       float* target) const;
    void readGradients(const TaskInfo& task, const std::string& parameter,
                       std::span<const std::int64_t> samples, const Region& region,
                       double* target) const;
    /// Contributions: as stored when the dump has them, else g². Same layout.
    void readContributions(const TaskInfo& task, const std::string& parameter,
                           std::span<const std::int64_t> samples, const Region& region,
                           double* target) const;
    void readContributions(const TaskInfo& task, const std::string& parameter,
                           std::span<const std::int64_t> samples, const Region& region,
                           float* target) const;
    /// Element-wise stored Fisher, bias-corrected: float64 [region.rows, region.columns].
    void readFisherElements(const TaskInfo& task, const FisherSet& set,
                            const std::string& parameter, const Region& region,
                            double* target) const;
    /// The stored head- or type-resolution values as they are (bias-corrected, not yet divided for
    /// a sum): row-major, FisherEntry::shape.
    std::vector<double> readFisherReduced(const TaskInfo& task, const FisherSet& set,
                                          const std::string& parameter) const;
    /// As stored, without conversion (native byte order; DType of ParameterEntry): gradients or
    /// contributions of `samples` restricted to `region`, row-major [samples, rows, columns].
    /// part: gradients (dense storage) or contributions (stored ones), else InputError. Values are
    /// not checked.
    void readRaw(const TaskInfo& task, const std::string& parameter, Part part,
                 std::span<const std::int64_t> samples, const Region& region, void* target) const;
    /// What readRaw() delivers, in pieces for several threads: at the disk's full speed, past the
    /// page cache unless it holds them. Null where readRaw() does as well.
    /// @param again they will be read again soon
    std::unique_ptr<PieceReader> pieces(const TaskInfo& task, const std::string& parameter,
                                        Part part, std::span<const std::int64_t> samples,
                                        const Region& region, bool again) const;
    /// Tokens used of each sample of the task, factored storage: [n], each 0..maxTokens.
    std::span<const std::int32_t> factorLengths(const TaskInfo& task,
                                                const std::string& parameter) const;
    /// Factors of `samples` one after the other without padding: row-major
    /// [Σ length, input.count] and [Σ length, gradOutput.count]. A null target is not read.
    void readFactors(const TaskInfo& task, const std::string& parameter,
                     std::span<const std::int64_t> samples, const FeatureRange& input,
                     const FeatureRange& gradOutput, float* inputTarget,
                     float* gradOutputTarget) const;
    /// The same as stored (native byte order; ParameterEntry::dtype, ::gradOutputDtype).
    void readFactorsRaw(const TaskInfo& task, const std::string& parameter,
                        std::span<const std::int64_t> samples, const FeatureRange& input,
                        const FeatureRange& gradOutput, void* inputTarget,
                        void* gradOutputTarget) const;
    /// Direct access to a part's numbers, or nothing when they are chunked, compressed, virtual or
    /// of the other byte order. Input and gradOutput: [samples, maxTokens, features].
    std::optional<DirectData> direct(const TaskInfo& task, const std::string& parameter,
                                     Part part) const;
    /// Gradients or contributions of samples first … first + count − 1 over whole rows, where the
    /// page cache holds them already, but for a few pages, and no conversion is needed; else null.
    /// Valid while the reader lives; whoever uses the numbers then calls checkInPlace().
    InPlace inPlace(const TaskInfo& task, const std::string& parameter, Part part,
                    std::int64_t first, std::int64_t count, const Region& region) const;
    /// Takes the pages of numbers used in place off this process's account; who uses them all the
    /// same gets them again.
    /// @param bytes of each sample
    void releaseInPlace(const InPlace& numbers, std::int64_t samples, std::int64_t bytes) const;
    /// What using so many bytes of each of `samples` samples in place takes of this process's
    /// memory, about: the system maps pages around those that are touched.
    static std::int64_t inPlaceBytes(const InPlace& numbers, std::int64_t samples,
                                     std::int64_t bytes);
    /// @throws InputError if a file used in place has shrunk or could not be read
    void checkInPlace() const;
    /// Bytes on disk of one sample of `parameter` (factored: its factors); for plans.
    std::uint64_t bytesPerSample(const TaskInfo& task, const std::string& parameter) const;

    struct Impl; ///< private to core/dump
  private:
    std::unique_ptr<Impl> m_impl;
};

enum class FileKind : std::uint8_t { modelDirectory, dump, results };
/// @throws InputError if `path` is none of these, saying what would be accepted
FileKind detectFileKind(const std::filesystem::path& path);

} // namespace qkov::dump
