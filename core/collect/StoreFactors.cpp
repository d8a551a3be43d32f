// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/StoreFactors.h"

#include "collect/OwnKernels.h"
#include "collect/Rounding.h"

namespace qkov::collect {

#if QKOV_HOPPER_KERNELS

StoredFactors storeFactors(const BatchCapture& capture, const std::vector<std::int64_t>& lengths,
                           const std::vector<FactorPlace>& places, bool half) {
    const auto& all = capture.projections;
    cuda::Queue queue;
    if (all.empty() || all.front().input.scalar_type() != at::kFloat ||
        !ownKernels(all.front().input.device(), queue)) {
        return {};
    }
    const c10::NoGradGuard noGrad;
    const at::Device device = all.front().input.device();
    const auto B = static_cast<std::int64_t>(lengths.size());
    const auto P = static_cast<std::int64_t>(all.size());
    // One table travels: lengths, then the places of each parameter's inputs and gradients.
    std::vector<std::int64_t> table(lengths);
    std::vector<char> aligned;
    for (std::int64_t p = 0; p < P; ++p) {
        for (const auto part : {&FactorPlace::input, &FactorPlace::gradOutput}) {
            aligned.push_back(true);
            for (std::int64_t b = 0; b < B; ++b) {
                const auto at = reinterpret_cast<std::uintptr_t>(
                    places[static_cast<std::size_t>(p * B + b)].*part);
                table.push_back(static_cast<std::int64_t>(at));
                aligned.back() = aligned.back() && at % 16 == 0;
            }
        }
    }
    const at::Tensor onDevice = at::tensor(table, at::TensorOptions(at::kLong)).to(device);
    const auto* numbers = onDevice.data_ptr<std::int64_t>();
    const at::Tensor largest = at::zeros({2 * P, B}, at::TensorOptions(at::kFloat).device(device));
    std::vector<at::Tensor> held; // while the kernels are only under way
    std::vector<cuda::SampleRows> rows;
    for (const ProjectionFactors& f : all) {
        for (const at::Tensor& t : {f.input, f.gradOutput}) {
            held.push_back(t.contiguous());
            rows.push_back({held.back().data_ptr<float>(), B, t.size(1), t.size(2), numbers});
            cuda::largestPerSample(
                rows.back(),
                largest.data_ptr<float>() + static_cast<std::int64_t>(rows.size() - 1) * B, queue);
        }
    }
    StoredFactors result;
    result.largest = largest.to(at::kDouble);
    result.counts = at::zeros({2}, at::TensorOptions(at::kLong).device(device));
    at::Tensor factors;
    if (half) {
        const at::Tensor pairs = result.largest.view({P, 2, B});
        const at::Tensor scale = balances(pairs.select(1, 0), pairs.select(1, 1));
        factors = at::stack({scale.reciprocal(), scale}, 1).to(at::kFloat).contiguous();
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        cuda::StoreRows work;
        work.rows = rows[i];
        const auto at = static_cast<std::int64_t>(i) * B;
        work.factors = half ? factors.data_ptr<float>() + at : nullptr;
        work.targets = numbers + B + at;
        work.half = half;
        work.aligned = aligned[i];
        work.counts = result.counts.data_ptr<std::int64_t>();
        cuda::storeRows(work, queue);
    }
    return result;
}

#else

StoredFactors storeFactors(const BatchCapture&, const std::vector<std::int64_t>&,
                           const std::vector<FactorPlace>&, bool) {
    return {};
}

#endif

} // namespace qkov::collect
