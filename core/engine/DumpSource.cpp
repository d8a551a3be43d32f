// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
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
                     Quantity) const override {
        return parameter.dtype == DType::f64 ? DType::f64 : DType::f32;
    }

    void read(const dump::TaskInfo& task, const dump::ParameterEntry& parameter, Quantity quantity,
              std::span<const std::int64_t> samples, const dump::Region& region, DType type,
              void* target) const override {
        const auto as = [&](auto* numbers) {
            if (quantity == Quantity::contributions) {
                m_reader.readContributions(task, parameter.name, samples, region, numbers);
            } else {
                m_reader.readGradients(task, parameter.name, samples, region, numbers);
            }
        };
        if (type == DType::f64) {
            as(static_cast<double*>(target));
        } else {
            as(static_cast<float*>(target));
        }
    }

    bool hasFactors(const dump::TaskInfo&, const dump::ParameterEntry&) const override {
        return false;
    }
    FactorBuffers readFactors(const dump::TaskInfo&, const dump::ParameterEntry& parameter,
                              std::span<const std::int64_t>) const override {
        throw Error("factors of " + parameter.name + " are read as gradients");
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
