// SPDX-License-Identifier: GPL-3.0-or-later
// Packed batches on their way from a GPU to host memory, beside the next batch's work. Torch.
#pragma once

#include "collect/Payload.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <memory>

namespace qkov::collect {

/// A batch as stored: in host memory, or still in a GPU's.
struct PackedBatch {
    Payload payload;
    at::Tensor image;                 ///< bytes on the GPU, instead of the payload
    std::shared_ptr<c10::Event> made; ///< when the image is complete
};

/// The batch in host memory; any thread may fetch it, at the link's speed.
Payload fetch(PackedBatch packed);

} // namespace qkov::collect
