// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Products.h"

#include "base/Error.h"

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
        return product(split(x), weight->high.t(),
                       weight->low.defined() ? weight->low.t() : at::Tensor(), weight->scale,
                       *bias);
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list gradients) {
        auto& saved = context->saved_data;
        const auto low = saved.find("low");
        return {product(split(gradients[0].contiguous()), saved["high"].toTensor(),
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
    return y.view(shape);
}

at::Tensor halfProduct(at::Tensor x, const HalfWeight& weight, const at::Tensor& rowFactors) {
    return product(split(x.mul_(top), rowFactors / top), weight.high, weight.low, weight.scale, {});
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

#endif

} // namespace qkov::collect
