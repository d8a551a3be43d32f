// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/AlteredSource.h"

#include "base/Error.h"

#include <algorithm>

namespace qkov::engine {

namespace {

class AlteredSource final : public GradientSource {
  public:
    AlteredSource(const GradientSource& source, Alteration alteration)
        : m_source(source)
        , m_alteration(std::move(alteration))
        , m_info(source.info()) {
        for (dump::TaskInfo& task : m_info.tasks) {
            if (task.name == m_alteration.ones) {
                task.samples.assign(1, {});
                task.samples[0].id = "ones";
                task.samples[0].tokens = 1;
                task.fisher.clear();
                for (auto& [name, entry] : task.parameters) {
                    entry.storage = dump::Storage::dense;
                    entry.storedContributions = false;
                }
                continue;
            }
            const auto kept = m_alteration.samples.find(task.name);
            if (kept != m_alteration.samples.end()) {
                std::vector<dump::SampleInfo> samples;
                for (const std::int64_t i : kept->second) {
                    samples.push_back(task.samples[static_cast<std::size_t>(i)]);
                }
                task.samples = std::move(samples);
            }
        }
    }

    const dump::DumpInfo& info() const override { return m_info; }
    const model::HeadLayout& layout() const override { return m_source.layout(); }
    std::filesystem::path file() const override { return m_source.file(); }
    DType nativeType(const dump::TaskInfo&, const dump::ParameterEntry&, Quantity) const override {
        return DType::f64;
    }
    bool hasFactors(const dump::TaskInfo&, const dump::ParameterEntry&) const override {
        return false;
    }
    std::span<const std::int32_t> factorLengths(const dump::TaskInfo&,
                                                const dump::ParameterEntry&) const override {
        return {};
    }
    std::array<DType, 2> factorTypes(const dump::TaskInfo&,
                                     const dump::ParameterEntry&) const override {
        return {DType::f64, DType::f64};
    }
    void readFactors(const dump::TaskInfo&, const dump::ParameterEntry& parameter,
                     std::span<const std::int64_t>, const dump::Region&, void*,
                     void*) const override {
        throw Error("factors of " + parameter.name + " are read as gradients");
    }

    void read(const dump::TaskInfo& task, const dump::ParameterEntry& parameter, Quantity quantity,
              std::span<const std::int64_t> samples, const dump::Region& region, DType,
              void* target) const override {
        auto* numbers = static_cast<double*>(target);
        const std::int64_t size = region.count();
        const auto count = static_cast<std::int64_t>(samples.size());
        if (task.name == m_alteration.ones) {
            std::fill(numbers, numbers + size * count, 1.0);
            return;
        }
        std::vector<std::int64_t> own(samples.begin(), samples.end());
        const auto kept = m_alteration.samples.find(task.name);
        if (kept != m_alteration.samples.end()) {
            for (std::int64_t& i : own) {
                i = kept->second[static_cast<std::size_t>(i)];
            }
        }
        const dump::TaskInfo& original = *m_source.info().task(task.name);
        m_source.read(original, original.parameters.at(parameter.name), quantity, own, region,
                      DType::f64, numbers);
        if (m_alteration.scale != 1) {
            const double factor = quantity == Quantity::contributions
                                      ? m_alteration.scale * m_alteration.scale
                                      : m_alteration.scale;
            for (std::int64_t k = 0; k < size * count; ++k) {
                numbers[k] *= factor;
            }
        }
        const auto zeroed = m_alteration.zeroed.find(parameter.name);
        if (zeroed == m_alteration.zeroed.end()) {
            return;
        }
        for (const dump::Region& z : zeroed->second) {
            const std::int64_t top = std::max(z.row, region.row) - region.row;
            const std::int64_t bottom =
                std::min(z.row + z.rows, region.row + region.rows) - region.row;
            const std::int64_t left = std::max(z.column, region.column) - region.column;
            const std::int64_t right =
                std::min(z.column + z.columns, region.column + region.columns) - region.column;
            for (std::int64_t s = 0; s < count; ++s) {
                for (std::int64_t r = top; r < bottom && left < right; ++r) {
                    double* row = numbers + s * size + r * region.columns;
                    std::fill(row + left, row + right, 0.0);
                }
            }
        }
    }

    void readFisherElements(const dump::TaskInfo& task, const dump::FisherSet& set,
                            const std::string& parameter, const dump::Region& region,
                            double* target) const override {
        const dump::TaskInfo& original = *m_source.info().task(task.name);
        m_source.readFisherElements(original, original.fisher.at(set.name), parameter, region,
                                    target);
        for (std::int64_t k = 0; k < region.count(); ++k) {
            target[k] *= m_alteration.scale * m_alteration.scale;
        }
    }
    std::vector<double> readFisherReduced(const dump::TaskInfo& task, const dump::FisherSet& set,
                                          const std::string& parameter) const override {
        const dump::TaskInfo& original = *m_source.info().task(task.name);
        auto values = m_source.readFisherReduced(original, original.fisher.at(set.name), parameter);
        for (double& v : values) {
            v *= m_alteration.scale * m_alteration.scale;
        }
        return values;
    }

  private:
    const GradientSource& m_source;
    Alteration m_alteration;
    dump::DumpInfo m_info;
};

} // namespace

std::unique_ptr<GradientSource> alter(const GradientSource& source, Alteration alteration) {
    return std::make_unique<AlteredSource>(source, std::move(alteration));
}

} // namespace qkov::engine
