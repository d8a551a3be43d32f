// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/DeviceStore.h"

#include "base/Error.h"
#include "collect/Rounding.h"
#include "collect/StoreFactors.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>

namespace qkov::collect {

at::Tensor largestPerSample(const at::Tensor& values) {
    const auto [least, most] = at::aminmax(values.flatten(1), 1);
    return at::maximum(most, least.neg()).to(at::kDouble);
}

at::Tensor balances(const at::Tensor& input, const at::Tensor& gradOutput) {
    const at::Tensor half = (at::log2(input) - at::log2(gradOutput)) / 2;
    // Halves away from zero, as std::lround.
    const at::Tensor exponent =
        at::clamp(at::sign(half) * at::floor(half.abs() + 0.5), -largestShift, largestShift);
    return at::where(at::logical_and(input > 0, gradOutput > 0), at::exp2(exponent),
                     at::ones_like(exponent));
}

namespace {

/// Where a ragged batch's own rows lie among its padded ones.
struct OwnRows {
    at::Tensor rows;   ///< int64 [R], into [B · T]; undefined: all, in order
    at::Tensor sample; ///< int64 [R]
    at::Tensor mask;   ///< bool [B, T, 1]
    std::int64_t count = 0;
};

OwnRows ownRows(const std::vector<std::int64_t>& lengths, std::int64_t tokens, at::Device device) {
    OwnRows own;
    std::vector<std::int64_t> rows, sample;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
        for (std::int64_t t = 0; t < lengths[b]; ++t) {
            rows.push_back(static_cast<std::int64_t>(b) * tokens + t);
            sample.push_back(static_cast<std::int64_t>(b));
        }
    }
    own.count = static_cast<std::int64_t>(rows.size());
    if (own.count < static_cast<std::int64_t>(lengths.size()) * tokens) {
        const at::TensorOptions whole(at::kLong);
        own.rows = at::tensor(rows, whole).to(device);
        own.sample = at::tensor(sample, whole).to(device);
        own.mask =
            (at::arange(tokens, whole).unsqueeze(0) < at::tensor(lengths, whole).unsqueeze(1))
                .unsqueeze(2)
                .to(device);
    }
    return own;
}

} // namespace

DeviceStore::DeviceStore(const CollectPlan& plan, const CollectRequest& request, at::Device device)
    : m_plan(plan)
    , m_request(request)
    , m_device(device)
    , m_type(request.storage == DType::f16 ? at::kHalf : at::kFloat) {
    // Allocations take the driver a while each: one for all.
    std::int64_t used = 0;
    struct Matrix {
        std::int64_t at, rows, columns;
    };
    std::vector<Matrix> matrices;
    constexpr std::int64_t alignment = 256;
    const auto number = static_cast<std::int64_t>(dtypeSize(request.storage));
    const auto place = [&](std::int64_t rows, std::int64_t columns) {
        matrices.push_back({used, rows, columns});
        used += (rows * columns * number + alignment - 1) / alignment * alignment;
    };
    for (const PlannedTask& task : plan.tasks) {
        std::int64_t rows = 0;
        auto& starts = m_batchRows.emplace_back();
        for (const auto& batch : task.batches) {
            starts.push_back(rows);
            for (const std::size_t i : batch) {
                rows += static_cast<std::int64_t>(task.samples[i].ids.size());
            }
        }
        for (const RecordedParameter& p : plan.parameters) {
            place(rows, p.dIn);
            place(rows, p.dOut);
        }
    }
    m_memory = at::empty({used}, at::TensorOptions(at::kByte).device(device));
    const auto matrix = [&](const Matrix& m) {
        return m_memory.narrow(0, m.at, m.rows * m.columns * number)
            .view(m_type)
            .view({m.rows, m.columns});
    };
    for (auto next = matrices.begin(); next != matrices.end();) {
        auto& pairs = m_tasks.emplace_back();
        for (std::size_t p = 0; p < plan.parameters.size(); ++p, next += 2) {
            pairs.push_back({matrix(next[0]), matrix(next[1])});
        }
    }
}

std::vector<FactorPlace> DeviceStore::places(std::size_t t, std::int64_t first,
                                             const std::vector<std::int64_t>& lengths) const {
    std::vector<FactorPlace> result;
    for (const Pair& pair : m_tasks[t]) {
        std::int64_t row = first;
        const auto at = [&](const at::Tensor& matrix) {
            return static_cast<std::byte*>(matrix.data_ptr()) +
                   row * matrix.stride(0) * static_cast<std::int64_t>(matrix.element_size());
        };
        for (const std::int64_t length : lengths) {
            result.push_back({at(pair.input), at(pair.gradOutput)});
            row += length;
        }
    }
    return result;
}

StoredFactors DeviceStore::storePlainly(const BatchCapture& capture,
                                        const std::vector<std::int64_t>& lengths, std::size_t t,
                                        std::int64_t first) {
    const auto B = static_cast<std::int64_t>(lengths.size());
    const OwnRows own = ownRows(lengths, capture.projections.front().input.size(1), m_device);
    const bool half = m_type == at::kHalf;
    at::Tensor written = at::zeros({}, at::TensorOptions(at::kLong).device(m_device));
    at::Tensor kept = at::zeros_like(written);
    std::vector<at::Tensor> largest;
    for (std::size_t p = 0; p < capture.projections.size(); ++p) {
        const ProjectionFactors& f = capture.projections[p];
        const at::Tensor masked = own.mask.defined() ? f.input * own.mask : f.input;
        const at::Tensor largestX = largestPerSample(masked);
        const at::Tensor largestG = largestPerSample(f.gradOutput);
        largest.push_back(largestX);
        largest.push_back(largestG);
        at::Tensor scale;
        if (half) {
            scale = balances(largestX, largestG).to(f.input.scalar_type());
        }
        const auto store = [&](const at::Tensor& values, const at::Tensor& factor,
                               const at::Tensor& whole) {
            at::Tensor target = whole.narrow(0, first, own.count);
            at::Tensor source = values;
            at::Tensor factors = half ? factor.view({B, 1, 1}) : factor;
            if (own.rows.defined()) {
                source = values.flatten(0, 1).index_select(0, own.rows);
                factors = half ? factor.index_select(0, own.sample).unsqueeze(1) : factor;
            } else {
                target = target.view(values.sizes());
            }
            if (!half) {
                target.copy_(source);
                return;
            }
            at::mul_out(target, source, factors);
            written += at::count_nonzero(source);
            kept += at::count_nonzero(target);
        };
        store(f.input, half ? scale.reciprocal() : scale, m_tasks[t][p].input);
        store(f.gradOutput, scale, m_tasks[t][p].gradOutput);
    }
    return {at::stack(largest), at::stack({written, kept})};
}

Payload DeviceStore::put(std::size_t t, std::size_t k, const BatchCapture& capture,
                         RoundingLoss& loss) {
    const c10::NoGradGuard noGrad;
    const PlannedTask& task = m_plan.tasks[t];
    const auto& batch = task.batches[k];
    const BatchNames names{m_request, task, batch};
    names.checkLosses(capture.losses);
    if (capture.projections.size() != m_plan.parameters.size()) {
        throw Error("captured " + std::to_string(capture.projections.size()) +
                    " parameters, expected " + std::to_string(m_plan.parameters.size()));
    }
    std::vector<std::int64_t> lengths;
    for (const std::size_t i : batch) {
        lengths.push_back(static_cast<std::int64_t>(task.samples[i].ids.size()));
    }
    for (std::size_t p = 0; p < capture.projections.size(); ++p) {
        const ProjectionFactors& f = capture.projections[p];
        if (f.linear->parameter != m_plan.parameters[p].name || !f.gradOutput.defined()) {
            throw Error("no gradient of " + m_plan.parameters[p].name + " was recorded");
        }
    }
    const std::int64_t first = m_batchRows[t][k];
    const bool half = m_type == at::kHalf;
    StoredFactors stored = storeFactors(capture, lengths, places(t, first, lengths), half);
    if (!stored) {
        stored = storePlainly(capture, lengths, t, first);
    }
    std::vector<at::Tensor> biases;
    for (std::size_t p = 0; p < capture.projections.size(); ++p) {
        if (!m_plan.parameters[p].bias.empty()) {
            biases.push_back(capture.projections[p].gradOutput.sum(1).to(at::kFloat).flatten());
        }
    }
    const at::Tensor all = stored.largest.to(at::kCPU).contiguous(); // [2 · parameters, B]
    const auto* values = all.data_ptr<double>();
    for (std::size_t p = 0; p < capture.projections.size(); ++p) {
        for (std::size_t b = 0; b < batch.size(); ++b) {
            const double x = values[2 * p * batch.size() + b];
            names.checkFactors(x, values[(2 * p + 1) * batch.size() + b], half,
                               m_plan.parameters[p].name, b);
        }
    }
    Payload payload(PayloadLayout(m_plan, m_request, task, batch, false).bytes);
    if (!biases.empty()) {
        const at::Tensor joined = at::cat(biases);
        at::from_blob(payload.data(), joined.sizes(), at::TensorOptions(at::kFloat)).copy_(joined);
    }
    if (half) {
        const at::Tensor counts = stored.counts.to(at::kCPU);
        const double before = double(counts[0].item<std::int64_t>());
        loss.written += before;
        loss.zeroed += before - double(counts[1].item<std::int64_t>());
    }
    return payload;
}

void DeviceStore::finish() {
    const c10::impl::VirtualGuardImpl guard(m_device.type());
    guard.getStream(m_device).synchronize();
}

FactorStore::Place DeviceStore::place(std::size_t task, std::size_t parameter) const {
    const Pair& pair = m_tasks[task][parameter];
    return {pair.input.data_ptr(), pair.gradOutput.data_ptr()};
}

void DeviceStore::read(std::size_t task, std::size_t parameter, std::int64_t first,
                       std::int64_t rows, void* input, void* gradOutput) const {
    const c10::NoGradGuard noGrad;
    const Pair& pair = m_tasks[task][parameter];
    const auto fetch = [&](const at::Tensor& from, void* to) {
        const at::Tensor part = from.narrow(0, first, rows);
        at::from_blob(to, part.sizes(), at::TensorOptions(m_type)).copy_(part);
    };
    fetch(pair.input, input);
    fetch(pair.gradOutput, gradOutput);
}

} // namespace qkov::collect
