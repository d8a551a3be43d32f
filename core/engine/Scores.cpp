// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Scores.h"

#include <limits>

namespace qkov::engine {

std::size_t ScoreHeader::representative(Block block, std::size_t headColumn) const {
    if (block != Block::K && block != Block::V) {
        return headColumn;
    }
    const std::int64_t kv = model.kvHead(heads[headColumn]);
    for (std::size_t column = 0; column < headColumn; ++column) {
        if (model.kvHead(heads[column]) == kv) {
            return column;
        }
    }
    return headColumn;
}

bool Scores::complete() const {
    for (std::size_t row = 0; row < header().layers.size(); ++row) {
        if (!computed(row)) {
            return false;
        }
    }
    return true;
}

ScoreTensor::ScoreTensor(std::shared_ptr<const ScoreHeader> header,
                         std::vector<std::shared_ptr<const LayerScores>> layers)
    : m_header(std::move(header))
    , m_layers(std::move(layers)) {
    m_layers.resize(m_header->layers.size());
}

double ScoreTensor::mean(Block block, std::size_t layerRow, std::size_t headColumn) const {
    const auto& layer = m_layers[layerRow];
    if (!layer || layer->means[blockIndex(block)].empty()) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    return layer->means[blockIndex(block)][headColumn];
}

CellHealth ScoreTensor::health(Block block, std::size_t layerRow, std::size_t headColumn) const {
    const auto& layer = m_layers[layerRow];
    if (!layer || layer->health[blockIndex(block)].empty()) {
        constexpr double none = std::numeric_limits<double>::quiet_NaN();
        return {none, none, none, none, none};
    }
    return layer->health[blockIndex(block)][headColumn];
}

std::vector<float> ScoreTensor::pairs(Block block, std::size_t layerRow,
                                      std::size_t headColumn) const {
    const auto& layer = m_layers[layerRow];
    if (!layer || layer->pairs[blockIndex(block)].empty()) {
        return {};
    }
    const auto& all = layer->pairs[blockIndex(block)];
    const std::size_t size = m_header->nA() * m_header->nB();
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(headColumn * size);
    std::vector<float> cell(begin, begin + static_cast<std::ptrdiff_t>(size));
    // A missing cell is NaN all over; single missing samples (profile) leave the others.
    for (const float v : cell) {
        if (v == v) {
            return cell;
        }
    }
    return {};
}

} // namespace qkov::engine
