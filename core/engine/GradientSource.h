// SPDX-License-Identifier: GPL-3.0-or-later
// Where the engine's numbers come from: a dump, or gradients just captured from a running model.
#pragma once

#include "dump/DumpReader.h"
#include "engine/Backend.h"

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qkov::engine {

enum class Quantity : std::uint8_t { gradients, contributions };

/// A parameter's factors of all samples of a task in the memory of a CUDA device, row-major:
/// input [tokens, inputs], gradOutput [tokens, outputs] with all features of the parameter, in the
/// types that factorTypes() tells. Rows starts[i] … starts[i] + factorLengths()[i] are sample i's.
struct DeviceFactors {
    int device = -1; ///< number of the device; −1: they are not on one
    const void* input = nullptr;
    const void* gradOutput = nullptr;
    std::span<const std::int64_t> starts; ///< [n], in host memory
};

/// Read-only, safe to use from several threads.
class GradientSource {
  public:
    virtual ~GradientSource() = default;
    virtual const dump::DumpInfo& info() const = 0;
    virtual const model::HeadLayout& layout() const = 0;
    /// For messages and the results file; may be empty.
    virtual std::filesystem::path file() const = 0;

    /// The type in which read() delivers without loss.
    virtual DType nativeType(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                             Quantity quantity) const = 0;
    /// Numbers of `samples` (indices of the task, any order) over `region`, row-major
    /// [samples, rows, columns], as `type`: the native one, or f64. Contributions: as stored (only
    /// where the entry has them). Gradients: as stored, or rebuilt from factors.
    virtual void read(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                      Quantity quantity, std::span<const std::int64_t> samples,
                      const dump::Region& region, DType type, void* target) const = 0;
    /// What read() would deliver in the native type for samples first … first + count − 1 and whole
    /// rows, where it lies in memory already; null: it must be read. See DumpReader.
    virtual dump::InPlace inPlace(const dump::TaskInfo&, const dump::ParameterEntry&, Quantity,
                                  std::int64_t /*first*/, std::int64_t /*count*/,
                                  const dump::Region&) const {
        return {};
    }
    /// What read() delivers in the native type, in pieces for several threads; null: through
    /// read().
    /// @param again it will be read again soon
    virtual std::unique_ptr<dump::PieceReader> pieces(const dump::TaskInfo&,
                                                      const dump::ParameterEntry&, Quantity,
                                                      std::span<const std::int64_t> /*samples*/,
                                                      const dump::Region&, bool /*again*/) const {
        return nullptr;
    }
    /// Whether several threads read faster than one.
    virtual bool readsInParallel() const { return false; }
    virtual void releaseInPlace(const dump::InPlace&, std::int64_t /*samples*/,
                                std::int64_t /*bytes*/) const {}
    virtual void checkInPlace() const {}
    /// True when readFactors() serves this parameter.
    virtual bool hasFactors(const dump::TaskInfo& task,
                            const dump::ParameterEntry& parameter) const = 0;
    /// Tokens of each sample of the task: [n].
    virtual std::span<const std::int32_t>
    factorLengths(const dump::TaskInfo& task, const dump::ParameterEntry& parameter) const = 0;
    /// Types in which readFactors() delivers: input, grad_output.
    virtual std::array<DType, 2> factorTypes(const dump::TaskInfo& task,
                                             const dump::ParameterEntry& parameter) const = 0;
    /// Factors as FactorData lays them out, restricted to the features that `region` needs.
    virtual void readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                             std::span<const std::int64_t> samples, const dump::Region& region,
                             void* input, void* gradOutput) const = 0;
    /// Where the factors lie if they are on a device already: a backend there reads them in place.
    virtual DeviceFactors deviceFactors(const dump::TaskInfo&, const dump::ParameterEntry&) const {
        return {};
    }

    /// As in DumpReader.
    virtual void readFisherElements(const dump::TaskInfo& task, const dump::FisherSet& set,
                                    const std::string& parameter, const dump::Region& region,
                                    double* target) const = 0;
    virtual std::vector<double> readFisherReduced(const dump::TaskInfo& task,
                                                  const dump::FisherSet& set,
                                                  const std::string& parameter) const = 0;
};

/// A dump as a source. The reader must outlive it.
std::unique_ptr<GradientSource> makeDumpSource(const dump::DumpReader& reader);

} // namespace qkov::engine
