// SPDX-License-Identifier: GPL-3.0-or-later
// Hopper's asynchronous copies and barriers (sm_90), as small functions over PTX.
#pragma once

#include <cstdint>
#include <cuda.h>

namespace qkov::engine::cuda {

__device__ __forceinline__ std::uint32_t sharedAddress(const void* p) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void barrierInit(std::uint32_t barrier, std::uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

__device__ __forceinline__ void barrierArrive(std::uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void barrierExpect(std::uint32_t barrier, std::uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}

/// Waits until the phase with this parity is over.
__device__ __forceinline__ void barrierWait(std::uint32_t barrier, std::uint32_t parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

/// Copies the box at (x, y, z) of a 3-D tensor map to shared memory; its bytes count on `barrier`.
/// What lies outside the tensor arrives as zeros.
__device__ __forceinline__ void copyBox(std::uint32_t target, const CUtensorMap* map, int x, int y,
                                        int z, std::uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(target),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) to shared memory.
__device__ __forceinline__ void copyBulk(std::uint32_t target, const void* source,
                                         std::uint32_t bytes, std::uint32_t barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(target),
                 "l"(__cvta_generic_to_global(source)), "r"(bytes), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void prefetchMap(const CUtensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// Ordinary shared-memory writes before it are seen by the tensor cores and the copy engine.
__device__ __forceinline__ void fenceAsync() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void wgmmaFence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmmaCommit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmmaWaitAll() {
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

/// Four 8×8 matrices of 16-bit elements from shared memory, in the layout of a product's A operand.
__device__ __forceinline__ void loadMatrix4(std::uint32_t (&r)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ float2 loadShared2(std::uint32_t address) {
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address));
    return v;
}

/// Descriptor of a [N, 64] 16-bit tile, k fastest, 128-byte swizzle, at a multiple of 1024 bytes.
__device__ __forceinline__ std::uint64_t tileDescriptor(std::uint32_t address) {
    return (std::uint64_t(1) << 62) | (std::uint64_t(1024 >> 4) << 32) | (std::uint64_t(1) << 16) |
           ((address & 0x3FFFF) >> 4);
}

} // namespace qkov::engine::cuda
