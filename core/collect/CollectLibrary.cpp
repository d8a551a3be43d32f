// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectLibrary.h"

#include "collect/CollectRun.h"
#include "collect/ScriptModel.h"

namespace qkov::collect {
namespace {

std::vector<ScriptParameter> scriptParameters(const std::filesystem::path& file) {
    return ScriptModel(file, at::kFloat, at::kCPU).parameters();
}

} // namespace
} // namespace qkov::collect

extern "C" const qkov::collect::CollectLibrary* qkov_collect_library() {
    using namespace qkov::collect;
    static const CollectLibrary library{
        collectLibraryVersion, makePlan, runCollect, runCapture, measureRate, scriptParameters,
    };
    return &library;
}
