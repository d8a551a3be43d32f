// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectPlan.h"
#include "collect/Hash.h"

#include <set>
#include <sys/stat.h>

namespace qkov::collect {

std::string planFingerprint(const CollectRequest& request, const CollectPlan& plan) {
    Hash hash;
    hash.add(plan.shape.configJson);
    hash.add(plan.shape.layoutJson);
    std::set<std::filesystem::path> files;
    if (plan.checkpoint) {
        for (const auto& [name, entry] : plan.checkpoint->tensors()) {
            hash.add(name);
            files.insert(entry.file);
        }
    } else {
        files.insert(request.model);
    }
    for (const auto& file : files) {
        struct stat info {};
        ::stat(file.c_str(), &info);
        hash.add(file.string());
        hash.add(static_cast<std::int64_t>(info.st_size));
        hash.add(static_cast<std::int64_t>(info.st_mtim.tv_sec));
        hash.add(static_cast<std::int64_t>(info.st_mtim.tv_nsec));
    }
    for (const std::int64_t v : {std::int64_t(request.factored), std::int64_t(request.storage),
                                 std::int64_t(request.computeDouble), std::int64_t(request.loss),
                                 std::int64_t(request.biasGradients)}) {
        hash.add(v);
    }
    for (const PlannedTask& task : plan.tasks) {
        hash.add(task.name);
        for (const Sample& s : task.samples) {
            hash.add(s.id);
            hash.add(s.ids.data(), s.ids.size() * sizeof(s.ids[0]));
            hash.add(s.labels.data(), s.labels.size() * sizeof(s.labels[0]));
        }
        for (const auto& batch : task.batches) {
            hash.add(batch.data(), batch.size() * sizeof(batch[0]));
        }
    }
    return hash.text();
}

} // namespace qkov::collect
