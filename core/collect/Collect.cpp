// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Collect.h"

#include "base/Error.h"
#include "collect/Capture.h"
#include "collect/CollectLibrary.h"
#include "collect/CollectPlan.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <dlfcn.h>

namespace qkov::collect {
namespace {

/// The folder that this very library was loaded from.
std::filesystem::path ownFolder() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&ownFolder), &info) != 0 && info.dli_fname) {
        std::error_code ignored;
        return std::filesystem::absolute(info.dli_fname, ignored).parent_path();
    }
    return {};
}

/// Torch's threads sleep between pieces of work instead of spinning: beside other work spinning
/// made a collection six times slower. Set while the program loads, before there are threads; what
/// the user has set is kept. (Where Qt has loaded OpenMP already, only the environment decides.)
[[maybe_unused]] const int waitPolicy = ::setenv("OMP_WAIT_POLICY", "passive", 0);

// A run beside its matrix products: norms, activations, rounding; reading and writing. Measured.
constexpr double otherWork = 1.4;
constexpr double bytesPerSecond = 1e9;

const CollectLibrary& load() {
    constexpr const char* name = "libqkov_collect.so";
    // Already linked into the program (tests)?
    void* entry = ::dlsym(RTLD_DEFAULT, "qkov_collect_library");
    if (!entry) {
        void* library = ::dlopen((ownFolder() / name).c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
        }
        if (!library) {
            const char* why = ::dlerror();
            throw Error(std::string("models can't be run: ") + (why ? why : name));
        }
        entry = ::dlsym(library, "qkov_collect_library");
    }
    const auto get = reinterpret_cast<const CollectLibrary* (*)()>(entry);
    if (!get || get()->version != collectLibraryVersion) {
        throw Error(std::string("models can't be run: ") + name + " is of another version");
    }
    return *get();
}

/// The request, naming a folder's module itself.
CollectRequest resolved(CollectRequest request) {
    if (const auto script = scriptOf(request.model); !script.empty()) {
        request.model = script;
    }
    return request;
}

} // namespace

std::filesystem::path scriptOf(const std::filesystem::path& model) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(model, ignored)) {
        return model.extension() == ".pt" ? model : std::filesystem::path();
    }
    const auto script = model / "model.pt";
    if (!std::filesystem::is_regular_file(script, ignored)) {
        return {};
    }
    std::filesystem::directory_iterator it(model, ignored);
    for (const std::filesystem::directory_iterator end; !ignored && it != end;
         it.increment(ignored)) {
        if (it->path().extension() == ".safetensors") {
            return {};
        }
    }
    return script;
}

std::map<std::string, std::vector<std::int64_t>>
scriptParameters(const std::filesystem::path& file) {
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (ScriptParameter& p : collectLibrary().scriptParameters(file)) {
        shapes[p.name] = std::move(p.shape);
    }
    return shapes;
}

const CollectLibrary& collectLibrary() {
    static const CollectLibrary& library = load();
    return library;
}

CollectEstimate estimate(const CollectRequest& asked) {
    const CollectRequest request = resolved(asked);
    const CollectLibrary& library = collectLibrary();
    const CollectPlan plan = library.plan(request);
    CollectEstimate result;
    result.memoryBytes = plan.peakBytes;
    result.diskBytes = plan.diskBytes;
    result.peakDiskBytes = plan.diskBytes + plan.unfinishedBytes;
    result.seconds = otherWork * plan.flops / std::max(1.0, library.measureRate(request)) +
                     (plan.weightBytes + result.peakDiskBytes) / bytesPerSecond;
    for (const PlannedTask& task : plan.tasks) {
        result.samples += static_cast<std::int64_t>(task.samples.size());
        result.longestTokens = std::max(result.longestTokens, task.longest);
    }
    return result;
}

CollectSummary collect(const CollectRequest& request, Job& job) {
    return collectLibrary().collect(resolved(request), job);
}

std::unique_ptr<engine::GradientSource> capture(const CollectRequest& request, Job& job,
                                                CollectSummary* summary) {
    CollectSummary ours;
    CollectSummary& told = summary ? *summary : ours;
    const auto start = std::chrono::steady_clock::now();
    const CollectLibrary& library = collectLibrary();
    const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;
    auto source = library.capture(resolved(request), job, told);
    told.loadSeconds += loading.count();
    told.seconds += loading.count();
    return source;
}

} // namespace qkov::collect
