// SPDX-License-Identifier: GPL-3.0-or-later
#include "fisher/HeadReduction.h"

#include "base/Error.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace qkov::fisher {
namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

struct Place {
    const model::ParameterInfo* info = nullptr;
    bool bias = false;
};

Place placeOf(const model::HeadLayout& layout, const std::string& parameter) {
    if (const auto* weight = layout.find(parameter)) {
        return {weight, false};
    }
    if (const auto* owner = layout.findByBias(parameter)) {
        return {owner, true};
    }
    throw InputError(parameter + " belongs to no head");
}

struct Part {
    double sum = 0;
    double count = 0;
};

Part partOf(const model::HeadSlice& slice, const std::vector<std::int64_t>& shape,
            std::span<const double> values) {
    const std::int64_t rows = shape[0];
    const std::int64_t columns = shape.size() > 1 ? shape[1] : 1;
    const bool byRows = slice.axis == model::Axis::rows;
    if (slice.start < 0 || slice.length <= 0 ||
        slice.start + slice.length > (byRows ? rows : columns) ||
        rows * columns != static_cast<std::int64_t>(values.size())) {
        throw InputError("the Fisher of " + slice.parameter + " has another shape than its heads");
    }
    Part part;
    const std::int64_t r0 = byRows ? slice.start : 0, r1 = byRows ? r0 + slice.length : rows;
    const std::int64_t c0 = byRows ? 0 : slice.start, c1 = byRows ? columns : c0 + slice.length;
    for (std::int64_t r = r0; r < r1; ++r) {
        for (std::int64_t c = c0; c < c1; ++c) {
            part.sum += values[static_cast<std::size_t>(r * columns + c)];
        }
    }
    part.count = static_cast<double>((r1 - r0) * (c1 - c0));
    return part;
}

std::optional<model::HeadSlice> sliceOf(const model::HeadLayout& layout, const Place& place,
                                        Block block, std::int64_t head) {
    return place.bias ? layout.biasSlice(block, place.info->layer, HeadIndex(head))
                      : layout.slice(block, place.info->layer, HeadIndex(head));
}

bool perKv(Block block) {
    return block == Block::K || block == Block::V;
}

} // namespace

Reduced reducePerHead(const model::HeadLayout& layout, const std::string& parameter,
                      const std::vector<std::int64_t>& shape, std::span<const double> values) {
    const Place place = placeOf(layout, parameter);
    const model::ModelShape& model = layout.shape();
    const bool fused = place.info->blocks.size() > 1;
    Reduced result;
    for (const Block block : place.info->blocks) {
        const std::int64_t distinct = perKv(block) ? model.numKvHeads : model.numHeads;
        const std::int64_t step = perKv(block) ? model.queriesPerKv() : 1;
        const std::int64_t width = fused ? model.numHeads : distinct;
        for (std::int64_t i = 0; i < width; ++i) {
            double mean = missing;
            if (i < distinct) {
                if (const auto slice = sliceOf(layout, place, block, i * step)) {
                    const Part part = partOf(*slice, shape, values);
                    mean = part.sum / part.count;
                }
            }
            result.values.push_back(mean);
        }
        result.shape = fused ? std::vector<std::int64_t>{3, width} : std::vector{width};
    }
    return result;
}

Reduced reducePerType(const model::HeadLayout& layout, const std::string& parameter,
                      const std::vector<std::int64_t>& shape, std::span<const double> values,
                      const dump::HeadTypes& types) {
    const Place place = placeOf(layout, parameter);
    const model::ModelShape& model = layout.shape();
    const std::size_t n = types.names.size();
    const auto mixed = static_cast<std::size_t>(
        std::find(types.names.begin(), types.names.end(), "mixed") - types.names.begin());
    const auto typeOf = [&](std::int64_t head) {
        return std::size_t(types.type.at(
            static_cast<std::size_t>(place.info->layer.value * model.numHeads + head)));
    };
    Reduced result;
    for (const Block block : place.info->blocks) {
        std::vector<Part> parts(n);
        const std::int64_t step = perKv(block) ? model.queriesPerKv() : 1;
        for (std::int64_t h = 0; h < model.numHeads; h += step) {
            std::size_t type = typeOf(h);
            for (std::int64_t other = h + 1; other < h + step; ++other) {
                type = typeOf(other) == type ? type : mixed;
            }
            const auto slice = sliceOf(layout, place, block, h);
            if (slice && type < n) {
                const Part part = partOf(*slice, shape, values);
                parts[type].sum += part.sum;
                parts[type].count += part.count;
            }
        }
        for (const Part& part : parts) {
            result.values.push_back(part.count > 0 ? part.sum / part.count : missing);
        }
    }
    const auto width = static_cast<std::int64_t>(n);
    result.shape =
        place.info->blocks.size() > 1 ? std::vector<std::int64_t>{3, width} : std::vector{width};
    return result;
}

} // namespace qkov::fisher
