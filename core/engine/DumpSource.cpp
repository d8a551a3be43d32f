// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/GradientSource.h"

namespace qkov::engine {

namespace {

class DumpSource final : public GradientSource {
  public:
    explicit DumpSource(const dump::DumpReader& reader)
        : m_reader(reader) {}

    const dump::DumpInfo& info() const override { return m_reader.info(); }
    const model::HeadLayout& layout() const override { return m_reader.layout(); }
    std::filesystem::path file() const override { return m_reader.file(); }

    DType nativeType(const dump::TaskInfo&, const dump::ParameterEntry& parameter,
                     Quantity quantity) const override {
        if (quantity == Quantity::contributions) {
            return parameter.storage == dump::Storage::contributions &&
                           !parameter.storedContributions
                       ? parameter.dtype
                       : parameter.contributionsDtype;
        }
        return parameter.storage == dump::Storage::dense ? parameter.dtype : DType::f32;
    }

    void read(const dump::TaskInfo& task, const dump::ParameterEntry& parameter, Quantity quantity,
              std::span<const std::int64_t> samples, const dump::Region& region, DType type,
              void* target) const override {
        if (type == DType::f64) {
            auto* numbers = static_cast<double*>(target);
            if (quantity == Quantity::contributions) {
                m_reader.readContributions(task, parameter.name, samples, region, numbers);
            } else {
                m_reader.readGradients(task, parameter.name, samples, region, numbers);
            }
        } else if (quantity == Quantity::contributions) {
            m_reader.readRaw(task, parameter.name, dump::Part::contributions, samples, region,
                             target);
        } else if (parameter.storage == dump::Storage::dense) {
            m_reader.readRaw(task, parameter.name, dump::Part::gradients, samples, region, target);
        } else {
            m_reader.readGradients(task, parameter.name, samples, region,
                                   static_cast<float*>(target));
        }
    }

    dump::InPlace inPlace(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                          Quantity quantity, std::int64_t first, std::int64_t count,
                          const dump::Region& region) const override {
        if (quantity == Quantity::gradients && parameter.storage != dump::Storage::dense) {
            return {};
        }
        return m_reader.inPlace(task, parameter.name,
                                quantity == Quantity::gradients ? dump::Part::gradients
                                                                : dump::Part::contributions,
                                first, count, region);
    }
    std::unique_ptr<dump::PieceReader>
    pieces(const dump::TaskInfo& task, const dump::ParameterEntry& parameter, Quantity quantity,
           std::span<const std::int64_t> samples, const dump::Region& region,
           bool again) const override {
        if (quantity == Quantity::gradients && parameter.storage != dump::Storage::dense) {
            return nullptr;
        }
        return m_reader.pieces(task, parameter.name,
                               quantity == Quantity::gradients ? dump::Part::gradients
                                                               : dump::Part::contributions,
                               samples, region, again);
    }
    bool readsInParallel() const override { return true; }
    void releaseInPlace(const dump::InPlace& numbers, std::int64_t samples,
                        std::int64_t bytes) const override {
        m_reader.releaseInPlace(numbers, samples, bytes);
    }
    void checkInPlace() const override { m_reader.checkInPlace(); }

    bool hasFactors(const dump::TaskInfo&, const dump::ParameterEntry& parameter) const override {
        return parameter.storage == dump::Storage::factored;
    }
    std::span<const std::int32_t>
    factorLengths(const dump::TaskInfo& task,
                  const dump::ParameterEntry& parameter) const override {
        return m_reader.factorLengths(task, parameter.name);
    }
    std::array<DType, 2> factorTypes(const dump::TaskInfo&,
                                     const dump::ParameterEntry& parameter) const override {
        return {parameter.dtype, parameter.gradOutputDtype};
    }
    void readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                     std::span<const std::int64_t> samples, const dump::Region& region, void* input,
                     void* gradOutput) const override {
        const dump::FeatureRange rows{region.row, region.rows};
        const dump::FeatureRange columns{region.column, region.columns};
        m_reader.readFactorsRaw(task, parameter.name, samples, parameter.inOut ? rows : columns,
                                parameter.inOut ? columns : rows, input, gradOutput);
    }

    void readFisherElements(const dump::TaskInfo& task, const dump::FisherSet& set,
                            const std::string& parameter, const dump::Region& region,
                            double* target) const override {
        m_reader.readFisherElements(task, set, parameter, region, target);
    }
    std::vector<double> readFisherReduced(const dump::TaskInfo& task, const dump::FisherSet& set,
                                          const std::string& parameter) const override {
        return m_reader.readFisherReduced(task, set, parameter);
    }

  private:
    const dump::DumpReader& m_reader;
};

} // namespace

std::unique_ptr<GradientSource> makeDumpSource(const dump::DumpReader& reader) {
    return std::make_unique<DumpSource>(reader);
}

} // namespace qkov::engine
