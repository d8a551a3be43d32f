// SPDX-License-Identifier: GPL-3.0-or-later
// Gradients in memory, for tests: what a dump would hold, and the numbers as float64.
#pragma once

#include "base/DType.h"
#include "engine/GradientSource.h"

#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace qkov::test {

/// One parameter of one task as stored: bytes, and the float64 values they mean.
struct StoredNumbers {
    DType dtype = DType::f32;
    std::vector<std::byte> bytes; ///< [n, rows, columns]
    std::vector<double> values;
    void assign(DType type, const std::vector<double>& wanted) {
        dtype = type;
        bytes.resize(wanted.size() * dtypeSize(type));
        if (type == DType::f64) {
            std::memcpy(bytes.data(), wanted.data(), bytes.size());
        } else {
            const std::vector<float> f(wanted.begin(), wanted.end());
            convertFromFloat(f.data(), f.size(), type, bytes.data());
        }
        values.resize(wanted.size());
        convertToDouble(bytes.data(), type, wanted.size(), values.data());
    }
};

struct StoredParameter {
    std::int64_t rows = 0, columns = 0;
    StoredNumbers gradients, contributions; ///< empty: not stored
    StoredNumbers input, gradOutput;        ///< [Σ tokens, features]
    std::vector<std::int32_t> lengths;
    std::vector<double> rebuilt; ///< gradients as float64, whatever the storage; empty: unknown
};

struct StoredFisher {
    std::vector<double> values; ///< elements, or FisherEntry::shape
};

class MemorySource final : public engine::GradientSource {
  public:
    dump::DumpInfo dump;
    std::vector<std::map<std::string, StoredParameter>> parameters; ///< [task]
    /// [task]["structural/name"]
    std::vector<std::map<std::string, StoredFisher>> fisher;
    std::unique_ptr<model::HeadLayout> heads;

    const dump::DumpInfo& info() const override { return dump; }
    const model::HeadLayout& layout() const override { return *heads; }
    std::filesystem::path file() const override { return "memory.h5"; }

    std::size_t taskIndex(const dump::TaskInfo& task) const {
        for (std::size_t t = 0; t < dump.tasks.size(); ++t) {
            if (dump.tasks[t].name == task.name) {
                return t;
            }
        }
        throw std::logic_error("no such task");
    }
    const StoredParameter& stored(const dump::TaskInfo& task, const std::string& name) const {
        return parameters[taskIndex(task)].at(name);
    }
    DType nativeType(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                     engine::Quantity quantity) const override {
        const StoredParameter& p = stored(task, entry.name);
        return quantity == engine::Quantity::contributions ? p.contributions.dtype
               : p.gradients.bytes.empty()                 ? DType::f32
                                                           : p.gradients.dtype;
    }
    void read(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
              engine::Quantity quantity, std::span<const std::int64_t> samples,
              const dump::Region& region, DType type, void* target) const override {
        const StoredParameter& p = stored(task, entry.name);
        const StoredNumbers& from =
            quantity == engine::Quantity::contributions ? p.contributions : p.gradients;
        std::size_t at = 0;
        for (const std::int64_t s : samples) {
            for (std::int64_t r = 0; r < region.rows; ++r) {
                for (std::int64_t c = 0; c < region.columns; ++c, ++at) {
                    const auto k = static_cast<std::size_t>(
                        (s * p.rows + region.row + r) * p.columns + region.column + c);
                    const double v = from.bytes.empty() ? p.rebuilt.at(k) : from.values.at(k);
                    if (type == DType::f64) {
                        static_cast<double*>(target)[at] = v;
                    } else if (from.bytes.empty()) {
                        static_cast<float*>(target)[at] = static_cast<float>(v);
                    } else {
                        const std::size_t width = dtypeSize(type);
                        std::memcpy(static_cast<std::byte*>(target) + at * width,
                                    from.bytes.data() + k * width, width);
                    }
                }
            }
        }
    }
    bool hasFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry) const override {
        return !stored(task, entry.name).input.bytes.empty();
    }
    std::span<const std::int32_t> factorLengths(const dump::TaskInfo& task,
                                                const dump::ParameterEntry& entry) const override {
        return stored(task, entry.name).lengths;
    }
    std::array<DType, 2> factorTypes(const dump::TaskInfo& task,
                                     const dump::ParameterEntry& entry) const override {
        const StoredParameter& p = stored(task, entry.name);
        return {p.input.dtype, p.gradOutput.dtype};
    }
    void readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& entry,
                     std::span<const std::int64_t> samples, const dump::Region& region, void* input,
                     void* gradOutput) const override {
        const StoredParameter& p = stored(task, entry.name);
        const auto copy = [&](const StoredNumbers& from, std::int64_t features, std::int64_t first,
                              std::int64_t count, void* target) {
            auto* out = static_cast<std::byte*>(target);
            const std::size_t width = dtypeSize(from.dtype);
            for (const std::int64_t s : samples) {
                std::int64_t token = 0;
                for (std::int64_t k = 0; k < s; ++k) {
                    token += p.lengths[static_cast<std::size_t>(k)];
                }
                for (std::int64_t t = 0; t < p.lengths[static_cast<std::size_t>(s)]; ++t) {
                    std::memcpy(out,
                                from.bytes.data() +
                                    static_cast<std::size_t>((token + t) * features + first) *
                                        width,
                                static_cast<std::size_t>(count) * width);
                    out += static_cast<std::size_t>(count) * width;
                }
            }
        };
        const bool inOut = entry.inOut;
        copy(p.input, inOut ? p.rows : p.columns, inOut ? region.row : region.column,
             inOut ? region.rows : region.columns, input);
        copy(p.gradOutput, inOut ? p.columns : p.rows, inOut ? region.column : region.row,
             inOut ? region.columns : region.rows, gradOutput);
    }
    void readFisherElements(const dump::TaskInfo& task, const dump::FisherSet& set,
                            const std::string& parameter, const dump::Region& region,
                            double* target) const override {
        const StoredParameter& p = stored(task, parameter);
        const auto& values = fisher[taskIndex(task)].at(set.name + "/" + parameter).values;
        for (std::int64_t r = 0; r < region.rows; ++r) {
            for (std::int64_t c = 0; c < region.columns; ++c) {
                *target++ = values.at(
                    static_cast<std::size_t>((region.row + r) * p.columns + region.column + c));
            }
        }
    }
    std::vector<double> readFisherReduced(const dump::TaskInfo& task, const dump::FisherSet& set,
                                          const std::string& parameter) const override {
        return fisher[taskIndex(task)].at(set.name + "/" + parameter).values;
    }
};

} // namespace qkov::test
