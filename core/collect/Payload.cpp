// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Payload.h"

namespace qkov::collect {

PayloadLayout::PayloadLayout(const CollectPlan& plan, const CollectRequest& request,
                             const PlannedTask& task, const std::vector<std::size_t>& batch,
                             bool weights)
    : samples(batch.size()) {
    const std::size_t size = dtypeSize(request.storage);
    for (const RecordedParameter& p : plan.parameters) {
        const auto in = static_cast<std::size_t>(p.dIn), out = static_cast<std::size_t>(p.dOut);
        for (const std::size_t i : batch) {
            offsets.push_back(bytes);
            bytes += !weights           ? 0
                     : request.factored ? task.samples[i].ids.size() * (in + out) * size
                                        : in * out * size;
        }
        bytes = (bytes + 3) / 4 * 4;
        for (std::size_t b = 0; b < batch.size(); ++b) {
            biasOffsets.push_back(bytes);
            bytes += p.bias.empty() ? 0 : out * sizeof(float);
        }
    }
}

} // namespace qkov::collect
