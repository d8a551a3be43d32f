// SPDX-License-Identifier: GPL-3.0-or-later
// Rules by which captured numbers are rounded to what is stored, and what is refused.
#pragma once

#include "collect/CollectRun.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace qkov::collect {

inline constexpr double largestHalf = 65504;
inline constexpr double largestShift = 60;

/// Power of two s such that input/s and gradOutput·s have about the same largest magnitude: small
/// gradients survive float16, and the product is unchanged.
double balance(double input, double gradOutput);
/// The same for each sample of a batch where its numbers are, float64 [B].
at::Tensor balances(const at::Tensor& input, const at::Tensor& gradOutput);
/// Largest magnitude per sample of [B, T, d], float64 [B]; NaN stays NaN.
at::Tensor largestPerSample(const at::Tensor& values);

/// Says which sample of a batch can't be stored, and why.
struct BatchNames {
    const CollectRequest& request;
    const PlannedTask& task;
    const std::vector<std::size_t>& batch;

    [[noreturn]] void notFinite(const std::string& what, std::size_t inBatch) const;
    /// @throws InputError
    void checkLosses(const std::vector<double>& losses) const;
    void checkRange(double largest, const std::string& parameter, std::size_t inBatch) const;
    /// Of factors' largest magnitudes; @param half stored as float16, after balance()
    void checkFactors(double input, double gradOutput, bool half, const std::string& parameter,
                      std::size_t inBatch) const;
};

} // namespace qkov::collect
