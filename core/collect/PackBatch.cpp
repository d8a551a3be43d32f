// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectRun.h"

#include "base/Error.h"
#include "collect/Rounding.h"
#include "collect/StoreFactors.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <cstring>

namespace qkov::collect {

double balance(double input, double gradOutput) {
    if (!(input > 0) || !(gradOutput > 0)) {
        return 1;
    }
    constexpr long most = static_cast<long>(largestShift);
    const long exponent = std::lround((std::log2(input) - std::log2(gradOutput)) / 2);
    return std::ldexp(1.0, static_cast<int>(std::min(most, std::max(-most, exponent))));
}

void BatchNames::notFinite(const std::string& what, std::size_t b) const {
    throw InputError(what + " of sample \"" + task.samples[batch[b]].id + "\" (task " + task.name +
                         ") is not a finite number",
                     request.model, {}, "try --compute-dtype f64, or leave the sample out");
}

void BatchNames::checkLosses(const std::vector<double>& losses) const {
    for (std::size_t b = 0; b < batch.size(); ++b) {
        if (!std::isfinite(losses[b])) {
            notFinite("the loss", b);
        }
    }
}

void BatchNames::checkRange(double largest, const std::string& parameter, std::size_t b) const {
    if (largest > largestHalf) {
        throw InputError("the gradient of " + parameter + " of sample \"" +
                             task.samples[batch[b]].id + "\" is too large for float16",
                         request.model, {}, "use --dtype f32");
    }
}

void BatchNames::checkFactors(double input, double gradOutput, bool half,
                              const std::string& parameter, std::size_t b) const {
    if (!std::isfinite(input) || !std::isfinite(gradOutput)) {
        notFinite("the gradient of " + parameter, b);
    }
    if (half) {
        const double scale = balance(input, gradOutput);
        checkRange(std::max(input / scale, gradOutput * scale), parameter, b);
    }
}

namespace {

std::vector<double> onHost(const at::Tensor& values) {
    const at::Tensor host = values.to(at::kCPU, at::kDouble).contiguous();
    return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

class Packer {
  public:
    Packer(const CollectPlan& plan, const CollectRequest& request, const PlannedTask& task,
           const std::vector<std::size_t>& batch)
        : m_plan(plan)
        , m_request(request)
        , m_task(task)
        , m_batch(batch)
        , m_names{request, task, batch}
        , m_layout(plan, request, task, batch)
        , m_type(request.storage == DType::f16 ? at::kHalf : at::kFloat) {}

    PackedBatch pack(const BatchCapture& capture, RoundingLoss& loss) {
        const c10::NoGradGuard noGrad;
        const bool whole = !capture.whole.empty();
        const std::size_t count = whole ? capture.whole.size() : capture.projections.size();
        if (count != m_plan.parameters.size()) {
            throw Error("captured " + std::to_string(count) + " parameters, expected " +
                        std::to_string(m_plan.parameters.size()));
        }
        m_names.checkLosses(capture.losses);
        const at::Device device = whole ? capture.whole.front().weight.device()
                                        : capture.projections.front().input.device();
        if (device.is_cuda()) {
            m_packed.image = at::empty({static_cast<std::int64_t>(m_layout.bytes)},
                                       at::TensorOptions(at::kByte).device(device));
        } else {
            m_packed.payload = Payload(m_layout.bytes);
        }
        m_written = at::zeros({}, at::TensorOptions(at::kLong).device(device));
        m_kept = at::zeros_like(m_written);
        const bool stored = !whole && packAtOnce(capture);
        if (!whole && !stored) {
            maskRows(capture.projections.front());
        }
        for (std::size_t p = 0; p < capture.whole.size(); ++p) {
            for (std::size_t b = 0; b < m_batch.size(); ++b) {
                const auto i = static_cast<std::int64_t>(b);
                packWhole(p, b, capture.whole[p].weight.slice(0, i, i + 1));
            }
            if (!m_plan.parameters[p].bias.empty()) {
                packBias(p, capture.whole[p].bias);
            }
        }
        for (std::size_t p = 0; p < capture.projections.size(); ++p) {
            const ProjectionFactors& f = capture.projections[p];
            if (f.linear->parameter != m_plan.parameters[p].name || !f.gradOutput.defined()) {
                throw Error("no gradient of " + m_plan.parameters[p].name + " was recorded");
            }
            if (!stored) {
                m_request.factored ? packFactors(p, f) : packDense(p, f);
            }
            if (!m_plan.parameters[p].bias.empty()) {
                packBias(p, f.gradOutput.sum(1));
            }
        }
        if (device.is_cuda()) {
            m_packed.made = std::make_shared<c10::Event>(device.type());
            m_packed.made->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
        }
        checkLargest(capture);
        const auto written = double(m_written.item<std::int64_t>());
        loss.written += written;
        loss.zeroed += written - double(m_kept.item<std::int64_t>());
        return std::move(m_packed);
    }

  private:
    const Sample& sample(std::size_t b) const { return m_task.samples[m_batch[b]]; }

    /// 1 on the samples' own rows, 0 on padding: [B, T, 1].
    void maskRows(const ProjectionFactors& f) {
        const std::int64_t tokens = f.input.size(1);
        std::vector<std::int64_t> lengths;
        for (std::size_t b = 0; b < m_batch.size(); ++b) {
            lengths.push_back(static_cast<std::int64_t>(sample(b).ids.size()));
        }
        const at::TensorOptions whole(at::kLong);
        m_mask = (at::arange(tokens, whole).unsqueeze(0) < at::tensor(lengths, whole).unsqueeze(1))
                     .unsqueeze(2)
                     .to(f.input.device(), f.input.scalar_type());
    }

    at::Tensor rounded(const at::Tensor& values) {
        const at::Tensor stored = values.to(m_type).contiguous();
        if (m_type == at::kHalf) {
            m_written += at::count_nonzero(values);
            m_kept += at::count_nonzero(stored);
        }
        return stored;
    }

    /// The pieces one after the other into the payload: joined where they are, then one copy.
    void copy(const std::vector<at::Tensor>& pieces, std::size_t offset) {
        const at::Tensor joined = pieces.size() == 1 ? pieces[0] : at::cat(pieces);
        if (m_packed.image.defined()) {
            m_packed.image
                .narrow(0, static_cast<std::int64_t>(offset),
                        joined.numel() * static_cast<std::int64_t>(joined.element_size()))
                .view(joined.scalar_type())
                .copy_(joined);
            return;
        }
        at::from_blob(m_packed.payload.data() + offset, joined.sizes(),
                      at::TensorOptions(joined.scalar_type()))
            .copy_(joined);
    }

    /// What packFactors() left to check at the end: on a GPU every look waits for all work.
    void checkLargest(const BatchCapture& capture) const {
        if (m_largest.empty()) {
            return;
        }
        const std::vector<double> largest = onHost(at::stack(m_largest));
        for (std::size_t p = 0; p < capture.projections.size(); ++p) {
            for (std::size_t b = 0; b < m_batch.size(); ++b) {
                const double x = largest[2 * p * m_batch.size() + b];
                m_names.checkFactors(x, largest[(2 * p + 1) * m_batch.size() + b],
                                     m_type == at::kHalf, m_plan.parameters[p].name, b);
            }
        }
    }

    /// All factors, where there are kernels that do it in one go.
    bool packAtOnce(const BatchCapture& capture) {
        if (!m_request.factored || !m_packed.image.defined()) {
            return false;
        }
        std::vector<std::int64_t> lengths;
        for (std::size_t b = 0; b < m_batch.size(); ++b) {
            lengths.push_back(static_cast<std::int64_t>(sample(b).ids.size()));
        }
        std::vector<FactorPlace> places;
        auto* base = static_cast<std::byte*>(m_packed.image.data_ptr());
        for (std::size_t p = 0; p < capture.projections.size(); ++p) {
            if (!capture.projections[p].gradOutput.defined()) {
                return false; // the plain way says so
            }
            for (std::size_t b = 0; b < m_batch.size(); ++b) {
                std::byte* input = base + m_layout.offset(p, b);
                places.push_back(
                    {input, input + lengths[b] * m_plan.parameters[p].dIn *
                                        static_cast<std::int64_t>(dtypeSize(m_request.storage))});
            }
        }
        const StoredFactors stored = storeFactors(capture, lengths, places, m_type == at::kHalf);
        if (!stored) {
            return false;
        }
        m_largest = stored.largest.unbind(0);
        if (m_type == at::kHalf) {
            m_written = stored.counts[0];
            m_kept = stored.counts[1];
        }
        return true;
    }

    void packFactors(std::size_t p, const ProjectionFactors& f) {
        const auto B = static_cast<std::int64_t>(m_batch.size());
        at::Tensor x = f.input * m_mask;
        at::Tensor g = f.gradOutput;
        const at::Tensor largestX = largestPerSample(x);
        const at::Tensor largestG = largestPerSample(g);
        m_largest.push_back(largestX);
        m_largest.push_back(largestG);
        if (m_type == at::kHalf) {
            const at::Tensor s =
                scales(largestX, largestG).to(x.device(), x.scalar_type()).view({B, 1, 1});
            x = x / s;
            g = g * s;
        }
        x = rounded(x);
        g = rounded(g);
        std::vector<at::Tensor> pieces;
        for (std::size_t b = 0; b < m_batch.size(); ++b) {
            const auto rows = static_cast<std::int64_t>(sample(b).ids.size());
            for (const at::Tensor& t : {x, g}) {
                pieces.push_back(t[static_cast<std::int64_t>(b)].slice(0, 0, rows).flatten());
            }
        }
        copy(pieces, m_layout.offset(p, 0));
    }

    at::Tensor scales(const at::Tensor& largestX, const at::Tensor& largestG) const {
        if (largestX.is_cuda()) {
            return balances(largestX, largestG);
        }
        std::vector<double> scale;
        const std::vector<double> x = onHost(largestX);
        const std::vector<double> g = onHost(largestG);
        for (std::size_t b = 0; b < m_batch.size(); ++b) {
            scale.push_back(balance(x[b], g[b]));
        }
        return at::tensor(scale, at::TensorOptions(at::kDouble));
    }

    void packDense(std::size_t p, const ProjectionFactors& f) {
        // Sample by sample: all dense gradients of a batch at once may not fit.
        for (std::size_t b = 0; b < m_batch.size(); ++b) {
            ProjectionFactors one = f;
            one.input = f.input.slice(0, std::int64_t(b), std::int64_t(b) + 1);
            one.gradOutput = f.gradOutput.slice(0, std::int64_t(b), std::int64_t(b) + 1);
            packWhole(p, b, denseGradients(one));
        }
    }

    /// One sample's gradient [1, *shape].
    void packWhole(std::size_t p, std::size_t b, const at::Tensor& dense) {
        const double largest = onHost(largestPerSample(dense)).front();
        if (!std::isfinite(largest)) {
            m_names.notFinite("the gradient of " + m_plan.parameters[p].name, b);
        }
        if (m_type == at::kHalf) {
            m_names.checkRange(largest, m_plan.parameters[p].name, b);
        }
        copy({rounded(dense).flatten()}, m_layout.offset(p, b));
    }

    /// [B, dOut]
    void packBias(std::size_t p, const at::Tensor& gradients) {
        copy({gradients.to(at::kFloat).flatten()}, m_layout.biasOffset(p, 0));
    }

    const CollectPlan& m_plan;
    const CollectRequest& m_request;
    const PlannedTask& m_task;
    const std::vector<std::size_t>& m_batch;
    BatchNames m_names;
    PayloadLayout m_layout;
    PackedBatch m_packed;
    std::vector<at::Tensor> m_largest; ///< [2 · parameters] of [B]: inputs, output gradients
    at::ScalarType m_type;
    at::Tensor m_mask, m_written, m_kept;
};

} // namespace

PackedBatch packBatch(const CollectPlan& plan, const CollectRequest& request,
                      const PlannedTask& task, const std::vector<std::size_t>& batch,
                      const BatchCapture& capture, RoundingLoss& loss) {
    return Packer(plan, request, task, batch).pack(capture, loss);
}

} // namespace qkov::collect
