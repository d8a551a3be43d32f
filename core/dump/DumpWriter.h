// SPDX-License-Identifier: GPL-3.0-or-later
// Writes version 1 dumps, atomically: nothing appears under the name before commit().
#pragma once

#include "dump/DumpInfo.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace qkov::dump {

/// Numbers that the stored type could not hold, over a whole dump.
struct StorageLoss {
    std::uint64_t written = 0;     ///< non-zero numbers given to the writer to be rounded
    std::uint64_t underflowed = 0; ///< of these, stored as zero
};

class DumpWriter {
  public:
    /// @throws InputError if `file` can't be written
    DumpWriter(const std::filesystem::path& file, const model::ModelShape& model,
               const std::string& createdBy);
    ~DumpWriter();
    DumpWriter(const DumpWriter&) = delete;
    DumpWriter& operator=(const DumpWriter&) = delete;

    /// Start a task with all its samples' metadata. `tokenIds` empty, or one list per sample.
    /// All writes up to the next beginTask belong to it.
    void beginTask(const std::string& name, const std::string& lossReduction,
                   const std::vector<SampleInfo>& samples,
                   const std::vector<std::vector<std::int32_t>>& tokenIds = {});

    /// Dense storage of `parameter` (shape: the model's own, 1 or 2 dims).
    void declareGradients(const std::string& parameter, const std::vector<std::int64_t>& shape,
                          DType dtype);
    /// Float32 [count, *shape] of samples first..first+count-1.
    /// @throws InputError when a finite value overflows the dtype ("use --dtype f32")
    void writeGradients(const std::string& parameter, std::int64_t first, std::int64_t count,
                        const float* values);
    void declareContributions(const std::string& parameter, const std::vector<std::int64_t>& shape,
                              DType dtype, bool perToken);
    void writeContributions(const std::string& parameter, std::int64_t first, std::int64_t count,
                            const float* values);

    /// Factored storage: input [n, maxTokens, dIn], grad_output [n, maxTokens, dOut].
    void declareFactors(const std::string& parameter, std::int64_t maxTokens, std::int64_t dIn,
                        std::int64_t dOut, DType dtype);
    /// For a parameter that has the same input as `owner`, declared before in this task: its input
    /// is a hard link to the owner's, of which only grad_output and length are its own. Factors of
    /// an owner and its sharers are stored as given, not balanced (one sample's input has one scale
    /// for all of them): the caller has done that. `input` of their writeFactors may be null.
    void declareFactorsSharing(const std::string& parameter, const std::string& owner,
                               std::int64_t dOut, DType dtype);
    /// Float32 [count, tokens, dIn] and [count, tokens, dOut], tokens ≤ maxTokens; rows at and
    /// behind lengths[i] are stored as zero. Each sample's two factors are balanced by a power of
    /// two (input / s, grad_output · s; their product is unchanged), so that small gradients
    /// survive float16.
    void writeFactors(const std::string& parameter, std::int64_t first, std::int64_t count,
                      std::int64_t tokens, const float* input, const float* gradOutput,
                      const std::int32_t* lengths);
    /// One sample of [length, dIn] and [length, dOut] in the declared type, native byte order,
    /// stored bit by bit as given: finite, and balanced as far as that matters. Null input: of a
    /// parameter that shares its owner's.
    void writeStoredFactors(const std::string& parameter, std::int64_t sample, std::int32_t length,
                            const void* input, const void* gradOutput);

    /// values: float32 on disk, from float64 [shape].
    void writeFisher(const FisherSet& set, const FisherEntry& entry,
                     std::span<const double> values);
    void writeHeadTypes(const HeadTypes& types);

    /// Samples whose loss is known only after the backward pass: overwrite samples/loss.
    void writeLosses(std::span<const float> losses);

    const StorageLoss& storageLoss() const;
    /// Lets the system start bringing to the disk what is written so far: commit() then waits less.
    void startWriting() const;
    /// Flush, sync, rename. @throws InputError (e.g. disk full)
    /// @param between called now and then while the disk works; may throw: nothing is left then
    void commit(const std::function<void()>& between = {});

  private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

} // namespace qkov::dump
