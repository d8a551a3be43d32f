// SPDX-License-Identifier: GPL-3.0-or-later
// The registry of architectures and users' layout files, parsed. Private to core/model.
#pragma once

#include "base/Index.h"
#include "model/LayoutDraft.h"
#include "model/Pattern.h"

#include <map>
#include <string>
#include <vector>

namespace qkov::model {

/// One attention matrix of an architecture. A separate projection is a fused one with one block.
struct ProjectionRule {
    std::vector<Block> blocks;
    LayerPattern parameter;
    LayerPattern bias; ///< empty: no bias
    FusedOrder order = FusedOrder::concatenated;
    bool inOut = false;
    std::string keySize; ///< config key with K's size where it isn't the head size (MLA)
    std::string input;   ///< config key with the size of the other axis, else the hidden size
};

struct LayoutRules {
    std::vector<std::string> names;
    std::vector<ProjectionRule> projections;
    std::map<std::string, std::int64_t> defaults; ///< config values that may be left out
    bool multiQuery = false; ///< `multi_query`, `new_decoder_architecture` decide the kv heads
    bool mla = false;        ///< head sizes are qk_nope_head_dim + qk_rope_head_dim, v_head_dim
    bool user = false;       ///< from a layout file: the other axis is free
};

/// nullptr if the registry doesn't know it.
const LayoutRules* registryRules(const std::string& architecture);
/// A layout file's text. @throws InputError without a file: says which key is wrong
LayoutRules parseLayout(const std::string& json);

} // namespace qkov::model
