// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cpu/Kernels.h"

namespace qkov::engine::cpu {

int kernelSets(const Kernels** out, int most) {
    int count = 0;
    const auto add = [&](const Kernels& k) {
        if (count < most) {
            out[count++] = &k;
        }
    };
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        add(avx512Kernels());
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c")) {
        add(avx2Kernels());
    }
#endif
    add(baselineKernels());
    return count;
}

const Kernels& kernels() {
    static const Kernels& best = []() -> const Kernels& {
        const Kernels* sets[3];
        kernelSets(sets, 3);
        return *sets[0];
    }();
    return best;
}

} // namespace qkov::engine::cpu
