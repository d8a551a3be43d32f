// SPDX-License-Identifier: GPL-3.0-or-later
// Matrix products of float32 activations with constant weights at float32's accuracy on the tensor
// cores of a GPU. Torch.
//
// A float32 number times a power of two is the sum of two float16 numbers up to 2^-23 of itself (or
// 2^-40 of the largest number beside it), so x·W is two products of float16 numbers that are added
// in float32: several times faster than float32's own. Weights stored as float16 or bfloat16 are
// one float16 number each; others are two, which makes four products.
#pragma once

#include <ATen/ATen.h>

namespace qkov::collect {

/// A weight matrix [out, in] as (high + low) / scale.
struct HalfWeight {
    at::Tensor high, low; ///< float16; low undefined: high is all
    double scale = 1;     ///< a power of two
    explicit operator bool() const { return high.defined(); }
};

/// Whether this Torch can do it on that device: products of float16 numbers that end in float32.
bool hasHalfProducts(at::Device device);
/// Whether a matrix is large enough for its products to be quicker that way.
bool halvesPay(const at::Tensor& weight);
/// @param weight [out, in] on a GPU; its strides are kept
HalfWeight halfWeight(const at::Tensor& weight);
/// x Wᵀ + bias, [.., in] → [.., out]; with a gradient for x only.
at::Tensor halfLinear(const at::Tensor& x, const HalfWeight& weight, const at::Tensor& bias);
/// Row by row rowFactors [R, 1] · x W without a gradient, [R, out] → [R, in], of numbers that are
/// at most 2. x is overwritten.
at::Tensor halfProduct(at::Tensor x, const HalfWeight& weight, const at::Tensor& rowFactors);

/// Cross entropy of logits in one pass over them, where there is a kernel for it.
/// @param logits [R, V], z = cap · tanh(scale · logit / cap) (cap 0: scale · logit); become the
///        loss's gradient with respect to them, to be multiplied by `scale`, if `gradient`
/// @param target int64 [R]
/// @return −log p of the targets [R]; undefined: nothing was done
at::Tensor fusedCrossEntropy(at::Tensor& logits, const at::Tensor& target, double scale, double cap,
                             bool gradient);

} // namespace qkov::collect
