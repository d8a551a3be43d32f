// SPDX-License-Identifier: GPL-3.0-or-later
// Captured factors in the memory of the GPU that made them: the engine reads them there. Torch.
#pragma once

#include "collect/CollectRun.h"
#include "collect/StoreFactors.h"

#include <ATen/ATen.h>

#include <vector>

namespace qkov::collect {

class DeviceStore final : public FactorStore {
  public:
    /// Takes the memory of all factors. @throws c10::Error where the device lacks it
    DeviceStore(const CollectPlan& plan, const CollectRequest& request, at::Device device);
    /// The numbers that packBatch() would store, without leaving the device; what is left for the
    /// host (PayloadLayout without weights) is returned.
    /// @throws InputError as packBatch()
    Payload put(std::size_t task, std::size_t batch, const BatchCapture& capture,
                RoundingLoss& loss);
    /// Waits until all of it is there: others read it on streams of their own.
    void finish();

    int device() const override { return m_device.index() < 0 ? 0 : m_device.index(); }
    Place place(std::size_t task, std::size_t parameter) const override;
    void read(std::size_t task, std::size_t parameter, std::int64_t first, std::int64_t rows,
              void* input, void* gradOutput) const override;

  private:
    struct Pair {
        at::Tensor input, gradOutput; ///< [rows of the task, d]
    };
    /// Of each parameter and each sample of a batch whose rows begin at `first`.
    std::vector<FactorPlace> places(std::size_t task, std::int64_t first,
                                    const std::vector<std::int64_t>& lengths) const;
    /// Without kernels of our own.
    StoredFactors storePlainly(const BatchCapture& capture,
                               const std::vector<std::int64_t>& lengths, std::size_t task,
                               std::int64_t first);

    const CollectPlan& m_plan;
    const CollectRequest& m_request;
    at::Device m_device;
    at::ScalarType m_type;
    at::Tensor m_memory;                                ///< one piece for all
    std::vector<std::vector<Pair>> m_tasks;             ///< [task][parameter]
    std::vector<std::vector<std::int64_t>> m_batchRows; ///< [task][batch], first row
};

} // namespace qkov::collect
