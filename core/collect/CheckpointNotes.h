// SPDX-License-Identifier: GPL-3.0-or-later
// What a checkpoint holds and the model that its config.json describes does not use. No Torch.
#pragma once

#include "model/Checkpoint.h"

#include <string>
#include <vector>

namespace qkov::collect {

struct DecoderSpec;

/// One sentence each; empty if there is nothing to say. Biases of matrices that have none by the
/// config are left out of the forward pass, as transformers does.
std::vector<std::string> checkpointNotes(const DecoderSpec& spec,
                                         const model::Checkpoint& checkpoint);
/// The same for any checkpoint; none where its architecture can't be run.
/// @throws InputError as decoderSpec() does
std::vector<std::string> checkpointNotes(const model::Checkpoint& checkpoint);

} // namespace qkov::collect
