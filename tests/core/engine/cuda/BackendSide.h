// SPDX-License-Identifier: GPL-3.0-or-later
// Random tiles for BackendCheck, and what they hold exactly.
#pragma once

#include "base/DType.h"
#include "engine/Backend.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

namespace qkov::test {

using Random = std::mt19937_64;

inline std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}
template <class T>
T oneOf(Random& random, std::initializer_list<T> values) {
    return values.begin()[pick(random, 0, std::ssize(values) - 1)];
}
double normal(Random& random);

/// Numbers as stored, and what they are exactly.
struct Numbers {
    DType dtype = DType::f32;
    std::vector<unsigned char> bytes;
    std::vector<double> exact;
};

Numbers stored(const std::vector<double>& values, DType dtype);

/// One side: a tile with what it holds.
struct Side {
    std::int64_t samples = 0, rows = 0, columns = 0;
    std::vector<double> exact; ///< [samples, rows, columns]
    Numbers dense, input, gradOutput;
    std::vector<std::int64_t> offsets;
    std::unique_ptr<engine::Tile> tile;
    bool factored = false;
    double at(std::int64_t s, std::int64_t r, std::int64_t c) const {
        return exact[static_cast<std::size_t>((s * rows + r) * columns + c)];
    }
};

/// Dense or factored, of a random type and size.
/// @param positive as contributions are
Side makeSide(engine::Backend& backend, Random& random, std::int64_t samples, std::int64_t rows,
              std::int64_t columns, bool positive);

} // namespace qkov::test
