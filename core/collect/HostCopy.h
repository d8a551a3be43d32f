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
    Payload payload;                  ///< beside an image: room for it, if it has been made
    at::Tensor image;                 ///< bytes on the GPU
    std::shared_ptr<c10::Event> made; ///< when the image is complete
};

/// Memory that is already there when it is written to: taking new pages from the system costs more
/// than copying into them, and can be done while a GPU works.
Payload roomFor(std::size_t bytes);

/// The batch in host memory; any thread may fetch it, at the link's speed.
Payload fetch(PackedBatch packed);

} // namespace qkov::collect
