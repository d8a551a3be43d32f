// SPDX-License-Identifier: GPL-3.0-or-later
// The result of an analysis: interference of every sample pair for every block, layer and head.
#pragma once

#include "base/Index.h"
#include "dump/DumpInfo.h"
#include "engine/ScoreRequest.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace qkov::engine {

struct CellHealth {
    double min, median, max;
    double shareBelow; ///< share of the slice's parameters with F < max(ε, λ)
    double lambda;     ///< the λ applied
};

/// Where the computing time went.
struct StageSeconds {
    double prepare = 0; ///< numbers to the backend, extremes, Fisher sums
    double weights = 0, products = 0;
};

struct ScoreHeader {
    model::ModelShape model;
    std::string dumpName;
    std::string dumpFingerprint;
    std::string taskA, taskB;
    std::string device;
    std::string createdBy, createdAt;
    ScoreRequest request;             ///< as resolved: mode and estimator are set
    std::string configJson;           ///< the same as JSON text
    std::vector<std::int32_t> layers; ///< model's layer numbers, one per map row
    std::vector<std::int32_t> heads;  ///< model's query-head numbers, one per map column
    std::vector<dump::SampleInfo> samplesA, samplesB;
    std::array<bool, 4> blocks{};     ///< asked for
    dump::HeadTypes headTypes;        ///< empty when unknown
    std::vector<std::string> missing; ///< what the dump lacks, one line each
    std::vector<std::string> notes;   ///< choices and warnings the reader must see
    double readSeconds = 0, computeSeconds = 0, totalSeconds = 0;
    StageSeconds stages; ///< of computeSeconds; not kept in results files

    std::size_t nA() const { return samplesA.size(); }
    std::size_t nB() const { return samplesB.size(); }
    /// Column of the first selected query head that shares column h's kv head (h itself for Q, O).
    std::size_t representative(Block block, std::size_t headColumn) const;
    /// True where the cell is its slice's first: sums and tops count each kv slice once.
    bool distinct(Block block, std::size_t headColumn) const {
        return representative(block, headColumn) == headColumn;
    }
};

/// Immutable, shared as shared_ptr<const Scores>. Positions are rows and columns of the map
/// (indices into header().layers / heads). NaN: missing or not computed.
class Scores {
  public:
    virtual ~Scores() = default;
    virtual const ScoreHeader& header() const = 0;
    /// False for layers a cancelled or running computation has not reached.
    virtual bool computed(std::size_t layerRow) const = 0;
    bool complete() const;
    /// Mean over pairs; float64 accumulated.
    virtual double mean(Block block, std::size_t layerRow, std::size_t headColumn) const = 0;
    virtual CellHealth health(Block block, std::size_t layerRow, std::size_t headColumn) const = 0;
    /// Row-major [nA, nB]. Empty when the cell is missing or not computed. May read from a file.
    virtual std::vector<float> pairs(Block block, std::size_t layerRow,
                                     std::size_t headColumn) const = 0;
};

/// The scores of one layer, all selected heads. Blocks not asked for or missing: empty vectors.
struct LayerScores {
    std::array<std::vector<float>, 4> pairs;       ///< [nh, nA, nB]
    std::array<std::vector<double>, 4> means;      ///< [nh]
    std::array<std::vector<CellHealth>, 4> health; ///< [nh]
};

/// In memory; layers arrive one by one and are shared between snapshots.
class ScoreTensor final : public Scores {
  public:
    ScoreTensor(std::shared_ptr<const ScoreHeader> header,
                std::vector<std::shared_ptr<const LayerScores>> layers);
    const ScoreHeader& header() const override { return *m_header; }
    bool computed(std::size_t layerRow) const override { return m_layers[layerRow] != nullptr; }
    double mean(Block, std::size_t layerRow, std::size_t headColumn) const override;
    CellHealth health(Block, std::size_t layerRow, std::size_t headColumn) const override;
    std::vector<float> pairs(Block, std::size_t layerRow, std::size_t headColumn) const override;

  private:
    std::shared_ptr<const ScoreHeader> m_header;
    std::vector<std::shared_ptr<const LayerScores>> m_layers; ///< [nl], null: not computed
};

} // namespace qkov::engine
