// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Products.h"

#include "base/Error.h"
#include "collect/OwnKernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/version.h>

// torch.mm with out_dtype
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 8)
#define QKOV_HALF_PRODUCTS 1
#else
#define QKOV_HALF_PRODUCTS 0
#endif

namespace qkov::collect {
namespace {

#if QKOV_HALF_PRODUCTS

constexpr double top =
    16384; ///< what the largest numbers are brought to, half of float16's largest
/// Tensor cores drop bits when they accumulate: sums longer than this are cut and added in float32.
constexpr std::int64_t longestSum = 1024;
/// Products with fewer weights take less time than splitting their operands.
constexpr std::int64_t worthwhile = std::int64_t(1) << 18;

/// x [R, K] row by row as (high + low) · back
struct SplitRows {
    at::Tensor high, low; ///< float16
    at::Tensor back;      ///< float32 [R, 1], powers of two
};

/// `scaled` are numbers times 1/back, at most 2 · top.
SplitRows split(const at::Tensor& scaled, const at::Tensor& back) {
    SplitRows rows;
    rows.back = back;
    rows.high = scaled.to(at::kHalf);
    rows.low = at::empty_like(rows.high);
    at::sub_out(rows.low, scaled, rows.high);
    return rows;
}

SplitRows split(const at::Tensor& x) {
    const at::Tensor largest =
        at::linalg_vector_norm(x, std::numeric_limits<double>::infinity(), {1}, true);
    // Only the exponent's bits: a power of two. NaN and infinity make the row NaN.
    constexpr std::int64_t exponentBits = 0x7f800000;
    const at::Tensor power =
        at::clamp_min(at::bitwise_and(largest.view(at::kInt), exponentBits).view(at::kFloat),
                      std::ldexp(1.0, -100));
    const at::Tensor back = power / top;
    return split(x / back, back);
}

/// rows [R, K] · w [K, M], plus bias [M]
at::Tensor product(const SplitRows& rows, const at::Tensor& high, const at::Tensor& low,
                   double scale, const at::Tensor& bias) {
    at::Tensor y;
    const auto add = [&](const at::Tensor& a, const at::Tensor& b) {
        if (y.defined()) {
            at::addmm_out(y, y, a, b, at::kFloat);
        } else {
            y = at::mm(a, b, at::kFloat);
        }
    };
    const std::int64_t length = rows.high.size(1);
    for (std::int64_t k = 0; k < length; k += longestSum) {
        const std::int64_t n = std::min(longestSum, length - k);
        const at::Tensor xHigh = rows.high.narrow(1, k, n);
        // Small terms first.
        if (low.defined()) {
            add(rows.low.narrow(1, k, n), low.narrow(0, k, n));
        }
        add(rows.low.narrow(1, k, n), high.narrow(0, k, n));
        if (low.defined()) {
            add(xHigh, low.narrow(0, k, n));
        }
        add(xHigh, high.narrow(0, k, n));
    }
    const at::Tensor back = scale == 1 ? rows.back : rows.back / scale;
    return bias.defined() ? at::addcmul(bias, y, back) : y.mul_(back);
}

#if QKOV_HOPPER_KERNELS

/// rows x [R, K] · w [K, M], plus bias [M], by one kernel; undefined where there is none for it.
/// @param scale, back [R]; undefined: found from x
at::Tensor fusedProduct(const at::Tensor& x, const at::Tensor& high, const at::Tensor& low,
                        double weightScale, const at::Tensor& bias, at::Tensor scale = {},
                        at::Tensor back = {}) {
    cuda::Queue queue;
    if (x.scalar_type() != at::kFloat || x.stride(1) != 1 || !ownKernels(x.device(), queue)) {
        return {};
    }
    cuda::SplitProduct p;
    p.x = x.data_ptr<float>();
    p.rows = x.size(0);
    p.depth = x.size(1);
    p.xStride = p.rows == 1 ? (p.depth + 3) / 4 * 4 : x.stride(0);
    p.high = high.data_ptr();
    p.low = low.defined() ? low.data_ptr() : nullptr;
    p.columns = high.size(1);
    p.wDepthStride = high.stride(0);
    p.wColumnStride = high.stride(1);
    p.factor = static_cast<float>(1 / weightScale);
    p.bias = bias.defined() ? bias.data_ptr<float>() : nullptr;
    // Rows that a kernel can read again in fours.
    p.outStride = (p.columns + 3) / 4 * 4;
    const at::Tensor whole = at::empty({p.rows, p.outStride}, x.options());
    p.out = whole.data_ptr<float>();
    if (!cuda::fits(p)) {
        return {};
    }
    if (!scale.defined()) {
        const at::Tensor both = at::empty({2, p.rows}, x.options());
        scale = both[0];
        back = both[1];
        cuda::rowScales(p.x, p.rows, p.depth, p.xStride, scale.data_ptr<float>(),
                        back.data_ptr<float>(), queue);
    }
    p.scale = scale.data_ptr<float>();
    p.back = back.data_ptr<float>();
    at::Tensor workspace;
    if (const std::int64_t numbers = cuda::workspaceNumbers(p, queue.device)) {
        workspace = at::empty({numbers}, x.options());
        p.workspace = workspace.data_ptr<float>();
    }
    cuda::splitProduct(p, queue);
    return p.outStride == p.columns ? whole : whole.narrow(1, 0, p.columns);
}

#else

at::Tensor fusedProduct(const at::Tensor&, const at::Tensor&, const at::Tensor&, double,
                        const at::Tensor&, const at::Tensor& = {}, const at::Tensor& = {}) {
    return {};
}

#endif

at::Tensor product(const at::Tensor& x, const at::Tensor& high, const at::Tensor& low,
                   double weightScale, const at::Tensor& bias) {
    const at::Tensor fused = fusedProduct(x, high, low, weightScale, bias);
    return fused.defined() ? fused : product(split(x), high, low, weightScale, bias);
}

class HalfLinear : public torch::autograd::Function<HalfLinear> {
  public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                              const HalfWeight* weight, const at::Tensor* bias) {
        // Constants: only x has a gradient.
        context->saved_data["high"] = weight->high;
        if (weight->low.defined()) {
            context->saved_data["low"] = weight->low;
        }
        context->saved_data["scale"] = weight->scale;
        return product(x, weight->high.t(), weight->low.defined() ? weight->low.t() : at::Tensor(),
                       weight->scale, *bias);
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list gradients) {
        auto& saved = context->saved_data;
        const auto low = saved.find("low");
        return {product(gradients[0].contiguous(), saved["high"].toTensor(),
                        low == saved.end() ? at::Tensor() : low->second.toTensor(),
                        saved["scale"].toDouble(), {}),
                {},
                {}};
    }
};

#endif

} // namespace

#if QKOV_HALF_PRODUCTS

bool hasHalfProducts(at::Device device) {
    return device.is_cuda();
}

bool halvesPay(const at::Tensor& weight) {
    return weight.numel() >= worthwhile;
}

HalfWeight halfWeight(const at::Tensor& weight) {
    HalfWeight result;
    if (weight.scalar_type() == at::kHalf) {
        result.high = weight;
        return result;
    }
    const double largest = weight.abs().max().item().toDouble();
    if (largest > 0 && std::isfinite(largest)) {
        result.scale = std::ldexp(1.0, 14 - std::ilogb(largest));
    }
    if (weight.scalar_type() == at::kBFloat16) { // its eight digits fit
        result.high = at::mul(weight, result.scale).to(at::kHalf);
        return result;
    }
    const at::Tensor scaled = weight * result.scale;
    result.high = scaled.to(at::kHalf);
    result.low = (scaled - result.high).to(at::kHalf);
    return result;
}

at::Tensor halfLinear(const at::Tensor& x, const HalfWeight& weight, const at::Tensor& bias) {
    std::vector<std::int64_t> shape = x.sizes().vec();
    const at::Tensor y = HalfLinear::apply(x.reshape({-1, x.size(-1)}), &weight, &bias);
    shape.back() = y.size(1);
    return y.reshape(shape);
}

at::Tensor halfProduct(at::Tensor x, const HalfWeight& weight, const at::Tensor& rowFactors) {
    const at::Tensor back = rowFactors.flatten() / top;
    const at::Tensor fused =
        fusedProduct(x, weight.high, weight.low, weight.scale, {}, at::full_like(back, top), back);
    if (fused.defined()) {
        return fused;
    }
    return product(split(x.mul_(top), rowFactors / top), weight.high, weight.low, weight.scale, {});
}

at::Tensor fusedCrossEntropy(at::Tensor& logits, const at::Tensor& target, double scale, double cap,
                             bool gradient) {
#if QKOV_HOPPER_KERNELS
    cuda::Queue queue;
    if (logits.scalar_type() == at::kFloat && logits.stride(1) == 1 && logits.stride(0) % 4 == 0 &&
        reinterpret_cast<std::uintptr_t>(logits.data_ptr()) % 16 == 0 &&
        ownKernels(logits.device(), queue)) {
        const at::Tensor loss = at::empty({logits.size(0)}, logits.options());
        const at::Tensor targets = target.contiguous();
        cuda::CrossEntropy work;
        work.logits = logits.data_ptr<float>();
        work.rows = logits.size(0);
        work.columns = logits.size(1);
        work.stride = logits.stride(0);
        work.target = targets.data_ptr<std::int64_t>();
        work.scale = static_cast<float>(scale);
        work.cap = static_cast<float>(cap);
        work.gradient = gradient;
        work.loss = loss.data_ptr<float>();
        cuda::crossEntropy(work, queue);
        return loss;
    }
#endif
    (void)logits, (void)target, (void)scale, (void)cap, (void)gradient;
    return {};
}

#else

bool hasHalfProducts(at::Device) {
    return false;
}

bool halvesPay(const at::Tensor&) {
    return false;
}

namespace {
[[noreturn]] void lacking() {
    throw Error("this Torch has no products of float16 numbers in float32");
}
} // namespace

HalfWeight halfWeight(const at::Tensor&) {
    lacking();
}

at::Tensor halfLinear(const at::Tensor&, const HalfWeight&, const at::Tensor&) {
    lacking();
}

at::Tensor halfProduct(at::Tensor, const HalfWeight&, const at::Tensor&) {
    lacking();
}

at::Tensor fusedCrossEntropy(at::Tensor&, const at::Tensor&, double, double, bool) {
    return {};
}

#endif

} // namespace qkov::collect
