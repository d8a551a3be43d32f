// SPDX-License-Identifier: GPL-3.0-or-later
// Captured gradients as a source for the engine. No Torch.
#pragma once

#include "collect/Payload.h"
#include "collect/Spool.h"
#include "engine/GradientSource.h"

#include <exception>
#include <map>
#include <memory>

namespace qkov::collect {

/// Factors that stay in the memory of a GPU. Rows of a task are its samples' tokens, batch by batch
/// in the plan's order.
class FactorStore {
  public:
    virtual ~FactorStore() = default;
    virtual int device() const = 0; ///< CUDA's number
    struct Place {
        const void* input = nullptr;      ///< [rows, dIn]
        const void* gradOutput = nullptr; ///< [rows, dOut]
    };
    virtual Place place(std::size_t task, std::size_t parameter) const = 0;
    /// Copies rows to the host.
    virtual void read(std::size_t task, std::size_t parameter, std::int64_t first,
                      std::int64_t rows, void* input, void* gradOutput) const = 0;
};

class CapturedGradients final : public engine::GradientSource {
  public:
    /// @param spool where spooled batches lie, may be null; removed with the source unless it was
    ///        asked to be resumable and an exception (a cancel) ends the work
    CapturedGradients(CollectPlan plan, CollectRequest request, std::unique_ptr<Spool> spool);
    /// Before anything is added: factors are kept there, payloads hold biases only.
    void setStore(std::unique_ptr<FactorStore> store);
    ~CapturedGradients() override;

    const CollectPlan& plan() const { return m_plan; }
    const CollectRequest& request() const { return m_request; }
    Spool* spool() { return m_spool.get(); }
    /// One finished batch, in memory or (payload empty) in the spool. Not thread-safe.
    void add(std::size_t task, std::size_t batch, const std::vector<double>& losses,
             Payload payload);
    /// All batches are there: opens the spooled ones and describes everything.
    void complete(const dump::HeadTypes& types);

    /// A set of values per head or type, as a dump would hold it. Behind complete().
    void setFisher(const std::string& task, dump::FisherSet set,
                   std::map<std::string, std::vector<double>> values);

    const dump::DumpInfo& info() const override { return m_info; }
    const model::HeadLayout& layout() const override { return *m_plan.layout; }
    std::filesystem::path file() const override { return m_request.model; }
    DType nativeType(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                     engine::Quantity quantity) const override;
    void read(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
              engine::Quantity quantity, std::span<const std::int64_t> samples,
              const dump::Region& region, DType type, void* target) const override;
    bool hasFactors(const dump::TaskInfo& task,
                    const dump::ParameterEntry& parameter) const override;
    std::span<const std::int32_t>
    factorLengths(const dump::TaskInfo& task, const dump::ParameterEntry& parameter) const override;
    std::array<DType, 2> factorTypes(const dump::TaskInfo& task,
                                     const dump::ParameterEntry& parameter) const override;
    void readFactors(const dump::TaskInfo& task, const dump::ParameterEntry& parameter,
                     std::span<const std::int64_t> samples, const dump::Region& region, void* input,
                     void* gradOutput) const override;
    engine::DeviceFactors deviceFactors(const dump::TaskInfo& task,
                                        const dump::ParameterEntry& parameter) const override;
    void readFisherElements(const dump::TaskInfo& task, const dump::FisherSet& set,
                            const std::string& parameter, const dump::Region& region,
                            double* target) const override;
    std::vector<double> readFisherReduced(const dump::TaskInfo& task, const dump::FisherSet& set,
                                          const std::string& parameter) const override;

  private:
    struct Batch {
        std::vector<double> losses;
        Payload memory;
        std::unique_ptr<SpooledBatch> mapped;
        std::unique_ptr<PayloadLayout> layout;
        const std::byte* payload() const { return mapped ? mapped->payload() : memory.data(); }
    };
    struct Task {
        std::vector<Batch> batches;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> place; ///< sample → batch, in batch
        std::vector<std::int32_t> lengths;
        std::vector<std::int64_t> starts; ///< sample → its first row in the store
    };
    struct Recorded {
        std::size_t parameter = 0;
        bool bias = false;
    };
    std::size_t taskOf(const dump::TaskInfo& task) const;
    /// A sample's payload of a parameter; `buffer` holds it if it has to be fetched.
    const std::byte* data(std::size_t task, std::int64_t sample, const Recorded& recorded,
                          std::vector<std::byte>& buffer) const;
    const Recorded& recorded(const std::string& parameter) const;
    void describe(std::size_t task);

    CollectPlan m_plan;
    CollectRequest m_request;
    std::unique_ptr<Spool> m_spool;
    int m_exceptionsBefore = std::uncaught_exceptions();
    std::unique_ptr<FactorStore> m_store;
    std::vector<Task> m_tasks;
    std::map<std::string, Recorded> m_recorded;
    dump::DumpInfo m_info;
    /// By task, set, parameter.
    std::map<std::string, std::map<std::string, std::map<std::string, std::vector<double>>>>
        m_fisher;
};

} // namespace qkov::collect
