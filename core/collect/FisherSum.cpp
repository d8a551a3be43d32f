// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/FisherSum.h"

#include "base/Threads.h"

#include <algorithm>
#include <c10/core/GradMode.h>

namespace qkov::collect {
namespace {

// What one thread multiplies at a time.
constexpr std::int64_t gradientsAtOnce = std::int64_t(1) << 16;

void checkCancelled(const CancelToken& token) {
    if (token.cancelled()) {
        throw Cancelled();
    }
}

} // namespace

FisherSum::FisherSum(const RecordedParameter& parameter, const std::vector<double>& weights,
                     at::Device device, int threads)
    : m_parameter(parameter)
    , m_weights(weights)
    , m_device(device)
    , m_threads(threads)
    , m_host(device.is_cuda() ? 0 : static_cast<std::size_t>(rows() * columns())) {
    if (device.is_cuda()) {
        m_sum = at::zeros({rows() * columns()}, at::TensorOptions(at::kDouble).device(device));
    }
}

void FisherSum::add(const std::vector<SampleGradient>& samples, const CancelToken& token) {
    if (m_device.is_cuda()) {
        for (const SampleGradient& s : samples) {
            checkCancelled(token);
            const at::Tensor g = gradient(s, 0, rows()).flatten().to(at::kDouble);
            m_sum.addcmul_(g, g, m_weights[s.sample]);
        }
        return;
    }
    // Each thread takes some rows of all samples, so the sum's order never changes.
    const std::int64_t step = std::max<std::int64_t>(1, gradientsAtOnce / columns());
    const std::int64_t parts = (rows() + step - 1) / step;
    parallelFor(static_cast<std::size_t>(parts), m_threads, [&](std::size_t part, int) {
        const c10::NoGradGuard noGrad;
        const std::int64_t begin = static_cast<std::int64_t>(part) * step;
        const std::int64_t end = std::min(rows(), begin + step);
        for (const SampleGradient& s : samples) {
            checkCancelled(token);
            const at::Tensor g = gradient(s, begin, end).contiguous();
            m_host.addPart(static_cast<std::size_t>(begin * columns()),
                           static_cast<std::size_t>(g.numel()), g.data_ptr<float>(),
                           m_weights[s.sample]);
        }
    });
}

std::vector<double> FisherSum::values() const {
    if (!m_device.is_cuda()) {
        return {m_host.fisher().begin(), m_host.fisher().end()};
    }
    const at::Tensor host = m_sum.to(at::kCPU);
    return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

at::Tensor FisherSum::gradient(const SampleGradient& s, std::int64_t begin,
                               std::int64_t end) const {
    if (s.gradient.defined()) {
        return s.gradient.slice(0, begin, end).to(m_device);
    }
    const at::Tensor x = s.input.to(m_device).to(at::kFloat);
    const at::Tensor g = s.gradOutput.to(m_device).to(at::kFloat);
    return m_parameter.inOut ? at::mm(x.slice(1, begin, end).t(), g)
                             : at::mm(g.slice(1, begin, end).t(), x);
}

} // namespace qkov::collect
