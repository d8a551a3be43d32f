// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/CudaLoader.h"

#include "base/Error.h"

#include <dlfcn.h>
#include <filesystem>
#include <string>

namespace qkov::engine {
namespace {

constexpr int abi = 2;
constexpr const char* libraryName = "libqkov_cuda.so";

struct Library {
    int (*devices)(std::string* why) = nullptr;
    Backend* (*backend)(int device, bool fast) = nullptr;
    bool (*memory)(int device, std::int64_t* available, std::int64_t* total) = nullptr;
    std::string problem; ///< why it can't be used; empty when it can
};

/// Beside the library that holds this function; where that is unknown, where the system looks.
void* open() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<void*>(&cudaUsable), &info) != 0 && info.dli_fname != nullptr) {
        const auto beside = std::filesystem::path(info.dli_fname).parent_path() / libraryName;
        if (void* handle = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL)) {
            return handle;
        }
        std::error_code ignored;
        if (std::filesystem::exists(beside, ignored)) {
            return nullptr; // dlerror() says what is wrong with it
        }
    }
    return dlopen(libraryName, RTLD_NOW | RTLD_LOCAL);
}

const Library& library() {
    static const Library loaded = [] {
        Library l;
        void* handle = open();
        if (handle == nullptr) {
            const char* why = dlerror();
            l.problem = why != nullptr ? why : libraryName;
            return l;
        }
        const auto version = reinterpret_cast<int (*)()>(dlsym(handle, "qkov_cuda_abi"));
        if (version == nullptr || version() != abi) {
            l.problem = std::string(libraryName) + " belongs to another version";
            return l;
        }
        l.devices = reinterpret_cast<int (*)(std::string*)>(dlsym(handle, "qkov_cuda_devices"));
        l.backend = reinterpret_cast<Backend* (*)(int, bool)>(dlsym(handle, "qkov_cuda_backend"));
        l.memory = reinterpret_cast<bool (*)(int, std::int64_t*, std::int64_t*)>(
            dlsym(handle, "qkov_cuda_memory"));
        if (l.devices == nullptr || l.backend == nullptr || l.memory == nullptr) {
            l.problem = std::string(libraryName) + " is incomplete";
        }
        return l;
    }();
    return loaded;
}

} // namespace

bool cudaUsable() {
    const Library& l = library();
    std::string why;
    return l.problem.empty() && l.devices(&why) > 0;
}

std::unique_ptr<Backend> makeCudaBackend(int device, Precision precision) {
    const Library& l = library();
    if (!l.problem.empty()) {
        throw UsageError("this installation can't use CUDA (" + l.problem + "); use --device cpu");
    }
    std::string why = "none found";
    const int count = l.devices(&why);
    if (count == 0) {
        throw UsageError("no CUDA device can be used here (" + why + "); use --device cpu");
    }
    if (device < 0 || device >= count) {
        throw UsageError(
            "there is no device cuda:" + std::to_string(device) + "; this machine has " +
            (count == 1 ? "cuda:0 only" : "cuda:0 to cuda:" + std::to_string(count - 1)));
    }
    return std::unique_ptr<Backend>(l.backend(device, precision == Precision::fast));
}

void cudaMemory(int device, std::int64_t& available, std::int64_t& total) {
    const Library& l = library();
    available = 0;
    total = 0;
    if (device >= 0 && l.problem.empty() && !l.memory(device, &available, &total)) {
        available = 0;
        total = 0;
    }
}

} // namespace qkov::engine
