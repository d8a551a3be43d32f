// SPDX-License-Identifier: GPL-3.0-or-later
// A layout file in the making: patterns as people write them, a first guess from names and shapes,
// and what they match. For models whose architecture the registry lacks.
#pragma once

#include "model/HeadLayout.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace qkov::model {

/// How the heads of several blocks lie along the head axis of one fused matrix.
enum class FusedOrder : std::uint8_t {
    concatenated, ///< all of Q, then all of K, then all of V
    perHead,      ///< q, k, v of head 0, then of head 1, …
    perKvGroup,   ///< the queries of kv head 0, its k, its v, then kv head 1, …
};

/// A parameter of a model: name and shape, nothing of its numbers.
struct NamedShape {
    std::string name;
    std::vector<std::int64_t> shape;
};

/// One matrix per layer. A pattern is a parameter's name with {layer} for the layer's number and *
/// for anything; one that begins with ^ is a regular expression with one group, the layer.
struct LayoutPart {
    std::string pattern; ///< empty: the model has no such matrix
    std::string bias;    ///< the same of its bias; empty: none
    bool inOut = false;  ///< stored [in, out] rather than [out, in]
    friend bool operator==(const LayoutPart&, const LayoutPart&) = default;
};

struct LayoutDraft {
    std::string name;
    std::vector<Block> fusedBlocks; ///< in one matrix, in this order of Q, K, V; empty: none
    FusedOrder order = FusedOrder::concatenated; ///< inside the fused matrix
    LayoutPart fused;
    std::array<LayoutPart, 4> parts; ///< Q, K, V, O; not used where fused
    std::string keySize;             ///< config key of K's size in the fused matrix, if its own

    bool isFused(Block block) const;
    /// The part that holds a block.
    const LayoutPart& partOf(Block block) const;
    friend bool operator==(const LayoutDraft&, const LayoutDraft&) = default;
};

/// The regular expression of a pattern. @throws InputError saying what is wrong with it
std::string patternExpression(const std::string& pattern);
/// A pattern that matches `name` and its fellows in other layers; the number taken for the layer
/// is the first that stands alone between dots, else the first. Empty: there is no number.
std::string patternOf(const std::string& name);

/// The text of a layout file, as readLayoutFile() reads it. Parts without a pattern are left out.
/// @throws InputError a pattern is not valid, or there is none
std::string toLayoutJson(const LayoutDraft& draft);
/// @throws InputError not a layout
LayoutDraft draftOf(const std::string& layoutJson);

/// A layout told from names and shapes; parts that can't be told are left empty. Where shapes
/// can't tell orientation or order, names decide, else the most common case.
LayoutDraft guessLayout(const ModelShape& shape, const std::vector<NamedShape>& parameters);

/// Whether a matrix of these blocks ({O}, or of Q, K, V) with this shape is stored [in, out]; none
/// where the shape can't tell, or has no axis of the heads' length.
std::optional<bool> inOutByShape(const ModelShape& shape, const std::vector<Block>& blocks,
                                 const std::vector<std::int64_t>& dims);

/// What a draft matches in a model.
struct LayoutCheck {
    struct Match {
        std::size_t parameter = 0; ///< index
        std::vector<Block> blocks;
        LayerIndex layer;
        bool bias = false;
        std::vector<std::int64_t> expected; ///< 0: any length
        bool fits = false;
    };
    struct Part {
        std::size_t matrices = 0, biases = 0;
        std::size_t wrong = 0; ///< of both, with another shape than expected
        std::string problem;   ///< what has to be mended; empty: nothing
    };
    std::vector<Match> matches; ///< by parameter
    std::array<Part, 4> parts;  ///< of Q, K, V, O, where not fused
    Part fused;
    std::vector<std::string> gaps; ///< "layers 3-5: no K, V"
    /// What has to be mended before the layout can be used, one line each; parts' problems included
    std::vector<std::string> problems;
    bool usable() const { return problems.empty(); }
    bool complete() const { return gaps.empty(); }
};
/// Throws nothing for whatever a user typed.
LayoutCheck checkLayout(const LayoutDraft& draft, const ModelShape& shape,
                        const std::vector<NamedShape>& parameters);

/// Why the layout in force (shape.layoutJson, else the registry's) doesn't serve these parameters;
/// empty: it does. @param whole every layer must have all four blocks
std::string layoutProblem(const ModelShape& shape, const std::vector<NamedShape>& parameters,
                          bool whole);

/// "[3, any]": 0 stands for any length.
std::string shapeText(const std::vector<std::int64_t>& shape);

} // namespace qkov::model
