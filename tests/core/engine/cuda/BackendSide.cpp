// SPDX-License-Identifier: GPL-3.0-or-later
#include "BackendSide.h"

#include <cmath>

namespace qkov::test {

using namespace qkov::engine;

double normal(Random& random) {
    return std::normal_distribution<double>()(random);
}

Numbers stored(const std::vector<double>& values, DType dtype) {
    Numbers n;
    n.dtype = dtype;
    n.bytes.resize(values.size() * dtypeSize(dtype));
    n.exact.resize(values.size());
    if (dtype == DType::f64) {
        __builtin_memcpy(n.bytes.data(), values.data(), n.bytes.size());
        n.exact = values;
        return n;
    }
    const std::vector<float> narrow(values.begin(), values.end());
    convertFromFloat(narrow.data(), narrow.size(), dtype, n.bytes.data());
    convertToDouble(n.bytes.data(), dtype, n.exact.size(), n.exact.data());
    return n;
}

Side makeSide(Backend& backend, Random& random, std::int64_t samples, std::int64_t rows,
              std::int64_t columns, bool positive) {
    Side side;
    side.samples = samples;
    side.rows = rows;
    side.columns = columns;
    const DType dtype =
        oneOf(random, {DType::f16, DType::f16, DType::bf16, DType::f32, DType::f64});
    // float16 reaches down to 1e-7 only.
    const double size = std::pow(10.0, dtype == DType::f16   ? pick(random, -3, 0)
                                       : dtype == DType::f64 ? pick(random, -60, 20)
                                                             : pick(random, -12, 3));
    side.factored = !positive && pick(random, 0, 3) == 0;
    const Job job;
    if (side.factored) {
        const bool inOut = pick(random, 0, 1) == 1;
        side.offsets.push_back(0);
        for (std::int64_t s = 0; s < samples; ++s) {
            side.offsets.push_back(side.offsets.back() + pick(random, 0, 40));
        }
        const std::int64_t tokens = side.offsets.back();
        const std::int64_t inputs = inOut ? rows : columns;
        const std::int64_t outputs = inOut ? columns : rows;
        const auto fill = [&](std::int64_t width, double scale, DType type) {
            std::vector<double> values(static_cast<std::size_t>(tokens * width));
            for (double& v : values) {
                v = scale * normal(random);
            }
            return stored(values, type);
        };
        const DType other = pick(random, 0, 2) == 0 ? DType::f32
                            : dtype == DType::f64   ? DType::f32
                                                    : dtype;
        side.input = fill(inputs, 1, other);
        side.gradOutput = fill(outputs, 1e-3, dtype == DType::f64 ? DType::f32 : dtype);
        side.exact.assign(static_cast<std::size_t>(samples * rows * columns), 0);
        for (std::int64_t s = 0; s < samples; ++s) {
            for (std::int64_t t = side.offsets[static_cast<std::size_t>(s)];
                 t < side.offsets[static_cast<std::size_t>(s) + 1]; ++t) {
                for (std::int64_t r = 0; r < rows; ++r) {
                    for (std::int64_t c = 0; c < columns; ++c) {
                        const double in =
                            side.input
                                .exact[static_cast<std::size_t>(t * inputs + (inOut ? r : c))];
                        const double out =
                            side.gradOutput
                                .exact[static_cast<std::size_t>(t * outputs + (inOut ? c : r))];
                        side.exact[static_cast<std::size_t>((s * rows + r) * columns + c)] +=
                            in * out;
                    }
                }
            }
        }
        FactorData data;
        data.inputDtype = side.input.dtype;
        data.gradOutputDtype = side.gradOutput.dtype;
        data.input = side.input.bytes.data();
        data.gradOutput = side.gradOutput.bytes.data();
        data.offsets = side.offsets.data();
        data.samples = samples;
        data.rows = rows;
        data.columns = columns;
        data.inOut = inOut;
        side.tile = backend.load(data, job);
        return side;
    }
    std::vector<double> values(static_cast<std::size_t>(samples * rows * columns));
    std::vector<double> loud(static_cast<std::size_t>(rows * columns));
    for (double& v : loud) {
        v = std::exp(normal(random));
    }
    for (std::int64_t s = 0; s < samples; ++s) {
        const double own = size * std::exp2(static_cast<double>(pick(random, -3, 3)));
        for (std::size_t k = 0; k < loud.size(); ++k) {
            const double v = own * loud[k] * normal(random);
            values[static_cast<std::size_t>(s) * loud.size() + k] = pick(random, 0, 9) == 0 ? 0
                                                                    : positive ? std::abs(v)
                                                                               : v;
        }
    }
    side.dense = stored(values, dtype);
    side.exact = side.dense.exact;
    side.tile =
        backend.load(DenseData{dtype, side.dense.bytes.data(), samples, rows, columns}, job);
    return side;
}

} // namespace qkov::test
