// SPDX-License-Identifier: GPL-3.0-or-later
// Which rows or columns of which weight matrix belong to which head.
#pragma once

#include "base/Index.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qkov::model {

/// What is needed of a model to find its heads. Read from config.json or from a dump's /model.
struct ModelShape {
    std::string name;
    std::string architecture; ///< model_type, e.g. "gpt2"
    std::int64_t numLayers = 0;
    std::int64_t numHeads = 0;
    std::int64_t numKvHeads = 0;
    std::int64_t headDim = 0;  ///< d_k of Q and K
    std::int64_t vHeadDim = 0; ///< d_v of V and O
    std::int64_t hiddenDim = 0;
    std::string configJson; ///< the model's own config.json, verbatim
    std::string layoutJson; ///< a user's layout, empty when the registry knows the architecture

    std::int64_t queriesPerKv() const { return numHeads / numKvHeads; }
    /// The kv head that query head `h` reads.
    std::int64_t kvHead(std::int64_t h) const { return h / queriesPerKv(); }
    /// Throws InputError naming the quantity: non-positive sizes, H not a multiple of G, absurd
    /// sizes (more than 2^20 layers or heads, 2^24 wide).
    void check(const std::string& file, const std::string& where) const;
};

/// Axis of the stored matrix along which heads lie.
enum class Axis : std::uint8_t { rows, columns }; // dim 0, dim 1

/// `length` consecutive rows or columns of `parameter`, the other axis whole.
struct HeadSlice {
    std::string parameter; ///< canonical name, without optional prefix resolution
    Axis axis = Axis::rows;
    std::int64_t start = 0;
    std::int64_t length = 0;
    friend bool operator==(const HeadSlice&, const HeadSlice&) = default;
};

/// One attention weight matrix of one layer.
struct ParameterInfo {
    std::string name;   ///< as found in the file (prefix included)
    std::string bias;   ///< name of its bias if the file has it, else empty
    LayerIndex layer;
    std::vector<Block> blocks; ///< one for separate projections, {Q,K,V} for fused
    bool inOut = false; ///< stored [in, out] (GPT-2's Conv1D) rather than [out, in]
    /// Expected length of the head axis, and of the other axis (0: free).
    std::int64_t headAxisLength = 0;
    std::int64_t otherAxisLength = 0;
    Axis headAxis = Axis::rows;
};

/// The layout of one model, over the parameter names a file really has. Immutable; cheap to copy.
class HeadLayout {
  public:
    /// @param shape validated model shape; its layoutJson, if not empty, wins over the registry
    /// @param names every parameter name the file has (any order; others are ignored)
    /// @throws InputError unknown architecture (lists the known ones), broken layout JSON
    HeadLayout(const ModelShape& shape, const std::vector<std::string>& names);

    const ModelShape& shape() const;
    /// All attention matrices found, by layer then block.
    const std::vector<ParameterInfo>& parameters() const;
    /// The weight with this name, or the one that holds `block` of `layer`; nullptr if absent.
    const ParameterInfo* find(const std::string& name) const;
    const ParameterInfo* find(Block block, LayerIndex layer) const;
    /// The weight whose bias has this name; nullptr if none.
    const ParameterInfo* findByBias(const std::string& biasName) const;
    /// Names that match the layout but with a layer the model doesn't have.
    const std::vector<std::string>& beyondLayers() const;
    /// The part of block B that belongs to query head h (for K and V: to its kv head).
    /// Empty when the file lacks that parameter.
    std::optional<HeadSlice> slice(Block block, LayerIndex layer, HeadIndex head) const;
    /// The same head's part of the bias vector (axis rows), if the file has one. Never for O.
    std::optional<HeadSlice> biasSlice(Block block, LayerIndex layer, HeadIndex head) const;
    /// The shape the layout derives for a weight or bias, 0 where the axis is free. Empty: a name
    /// that belongs to no head.
    std::vector<std::int64_t> expectedShape(const std::string& name) const;
    /// Throws InputError naming both shapes when `dims` isn't what the layout derives for `name`.
    void checkShape(const std::string& name, const std::vector<std::int64_t>& dims,
                    const std::string& file) const;

  private:
    struct Data;
    std::shared_ptr<const Data> m_data;
};

/// Architectures the registry knows, sorted.
std::vector<std::string> knownArchitectures();

} // namespace qkov::model
