// SPDX-License-Identifier: GPL-3.0-or-later
// A request made concrete against a source: which samples, layers, heads and slices, which numbers
// serve as operands, which Fisher applies. Internal to the engine.
#pragma once

#include "engine/GradientSource.h"
#include "engine/ScoreRequest.h"

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qkov::engine {

/// Samples (dump indices) dropped because of NaN or infinity, per task of the request.
using Excluded = std::array<std::set<std::int64_t>, 2>;

struct TaskSelection {
    const dump::TaskInfo* task = nullptr;
    std::vector<std::int64_t> selected; ///< dump indices in the result's order
    std::vector<std::int64_t> all;      ///< dump order, without the excluded: behind a Fisher
};

/// How a stored number becomes an operand of a product.
struct Operand {
    Quantity quantity = Quantity::gradients;
    Transform transform = Transform::identity;
    bool tokens = false; ///< a factor √tokens per sample is left over (C stored as g²/tokens)
};

/// One parameter of one task and of both: null where the task lacks it.
using Entries = std::array<const dump::ParameterEntry*, 2>;

struct UnitPart {
    std::size_t parameter = 0; ///< in Bundle::parameters
    dump::Region rect;
    std::int64_t offset = 0; ///< of its numbers in the unit's own order
    int fusedRow = 0;        ///< which of the parameter's blocks this is
};

/// One distinct head slice: the parameters of one block that one head (or kv head) owns.
struct Unit {
    Block block = Block::Q;
    std::int64_t head = 0;            ///< query head, or kv head for K and V
    std::vector<std::size_t> columns; ///< of the map; empty: needed for its Fisher only
    std::vector<UnitPart> parts;      ///< weight, then bias
    std::int64_t size = 0;            ///< K
    int type = -1;                    ///< behavioral type, −1 unknown
};

struct BundleParameter {
    std::string name;
    Entries entries{};
    std::int64_t rows = 0, columns = 0;
    std::size_t blocks = 1; ///< fused into it
};

/// The units that share a weight matrix (and its bias): read and scored together.
struct Bundle {
    std::size_t layerRow = 0;
    LayerIndex layer;
    std::vector<BundleParameter> parameters;
    std::vector<Unit> units;
};

/// Where the Fisher of one parameter and task comes from.
enum class FisherOrigin : std::uint8_t { elements, reduced, computed };

struct Context {
    const GradientSource* source = nullptr;
    ScoreRequest request; ///< as resolved
    std::vector<Mode> modes;
    Estimator estimator = Estimator::ema; ///< for the header, where the request leaves it open
    std::array<TaskSelection, 2> tasks;
    std::vector<std::int64_t> layers, heads;
    std::array<bool, 4> blocks{};
    std::vector<std::string> notes;
    std::vector<std::string> missing;

    bool profile() const { return request.variant == Variant::profile; }
    bool needsStructural() const; ///< element by element, for scoring
    bool needsBehavioral() const;
    /// Tasks whose Fisher counts: {0}, {1} or both.
    std::vector<int> fisherTasks() const;

    Operand left(const dump::ParameterEntry& entry) const;
    Operand right(const dump::ParameterEntry& entry) const;
    static Operand contributions(const dump::ParameterEntry& entry);

    FisherOrigin structuralOrigin(int task, const std::string& parameter) const;
    /// Set if every Fisher task stores a behavioral Fisher of this parameter.
    bool behavioralStored(const std::string& parameter) const;
    /// Share of `task`'s Fisher in the pooled one; `set` empty: computed here.
    double fisherShare(int task, const char* setName, const std::string& parameter) const;
    /// Samples behind that Fisher.
    double fisherSamples(int task, const char* setName, const std::string& parameter) const;
};

/// @throws UsageError, InputError as compute() documents
Context resolve(const GradientSource& source, const ScoreRequest& request,
                const std::vector<Mode>& modes, const Excluded& excluded);

/// All bundles of the selected layers in order; what tasks lack goes to context.missing.
std::vector<Bundle> makeBundles(Context& context);

/// Behavioral type of a slice: the head's, or that of a kv head's query heads when they agree, else
/// "mixed". −1 without head types.
int sliceType(const dump::DumpInfo& info, Block block, std::int64_t layer, std::int64_t head);

} // namespace qkov::engine
