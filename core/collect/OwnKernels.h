// SPDX-License-Identifier: GPL-3.0-or-later
// Whether our own CUDA kernels can take a tensor. Torch.
#pragma once

#include <ATen/ATen.h>

#if QKOV_HOPPER_KERNELS
#include "collect/cuda/Kernels.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace qkov::collect {

/// True where they run on the device and can be started in the order of Torch's own work.
inline bool ownKernels(at::Device device, cuda::Queue& queue) {
    if (!device.is_cuda()) {
        return false;
    }
    queue.device = device.index();
    // Other streams than the default can't be had in every version.
    return cuda::usable(queue.device) &&
           c10::impl::VirtualGuardImpl(device.type()).getStream(device).id() == 0;
}

} // namespace qkov::collect
#endif
