// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/ScoreCache.h"

#include "base/Error.h"
#include "base/Job.h"
#include "results/ResultsFile.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

namespace qkov::engine {

namespace fs = std::filesystem;

namespace {

constexpr const char* suffix = ".qkov-scores";

/// FNV-1a over the text, from two starting points: 128 bits name a file well enough.
std::string hashed(const std::string& text) {
    const auto run = [&](std::uint64_t h) {
        for (const char c : text) {
            h ^= static_cast<unsigned char>(c);
            h *= 0x100000001b3ULL;
        }
        return h;
    };
    char out[33];
    std::snprintf(out, sizeof out, "%016llx%016llx",
                  static_cast<unsigned long long>(run(0xcbf29ce484222325ULL)),
                  static_cast<unsigned long long>(run(0x84222325cbf29ce4ULL)));
    return out;
}

std::uint64_t sizeOf(const Scores& scores) {
    const ScoreHeader& h = scores.header();
    const auto blocks =
        static_cast<std::uint64_t>(std::count(h.blocks.begin(), h.blocks.end(), true));
    return blocks * h.layers.size() * h.heads.size() * h.nA() * h.nB() * 4;
}

} // namespace

ScoreCache::ScoreCache(fs::path folder, std::uint64_t maxBytes)
    : m_folder(std::move(folder))
    , m_maxBytes(maxBytes) {}

fs::path ScoreCache::defaultFolder() {
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
        return fs::path(cache) / "qkov" / "scores";
    }
    const char* home = std::getenv("HOME");
    return fs::path(home != nullptr ? home : "/tmp") / ".cache" / "qkov" / "scores";
}

std::string ScoreCache::key(const std::string& dumpFingerprint, const ScoreRequest& request) {
    nlohmann::json options = toJson(request);
    for (const char* same : {"device", "threads", "memory_budget"}) {
        options.erase(same);
    }
    // A new version may compute differently.
    return hashed(std::string("1 ") + QKOV_VERSION + " " + dumpFingerprint + " " + options.dump());
}

std::shared_ptr<const Scores> ScoreCache::find(const std::string& dumpFingerprint,
                                               const ScoreRequest& request) const {
    if (dumpFingerprint.empty()) {
        return nullptr;
    }
    const fs::path file = m_folder / (key(dumpFingerprint, request) + suffix);
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
        return nullptr;
    }
    try {
        auto scores = results::openResults(file);
        if (scores->complete() && scores->header().dumpFingerprint == dumpFingerprint) {
            fs::last_write_time(file, fs::file_time_type::clock::now(), ignored); // just used
            return scores;
        }
    } catch (const std::exception&) {
        // Damaged or cut short: as if it were not there.
    }
    fs::remove(file, ignored);
    return nullptr;
}

void ScoreCache::store(const std::string& dumpFingerprint, const ScoreRequest& request,
                       const Scores& scores) const {
    if (dumpFingerprint.empty() || !scores.complete() || sizeOf(scores) > m_maxBytes / 2) {
        return;
    }
    try {
        fs::create_directories(m_folder);
        Job job;
        results::writeResults(m_folder / (key(dumpFingerprint, request) + suffix), scores, job);
        shrink();
    } catch (const std::exception&) {
        // A cache that can't be written is no reason to fail.
    }
}

void ScoreCache::shrink() const {
    struct File {
        fs::path path;
        std::uint64_t bytes;
        fs::file_time_type used;
    };
    std::vector<File> files;
    std::uint64_t total = 0;
    for (const auto& entry : fs::directory_iterator(m_folder)) {
        if (entry.path().extension() == suffix) {
            files.push_back({entry.path(), entry.file_size(), entry.last_write_time()});
            total += files.back().bytes;
        }
    }
    std::sort(files.begin(), files.end(),
              [](const File& a, const File& b) { return a.used < b.used; });
    std::error_code ignored;
    for (std::size_t k = 0; k + 1 < files.size() && total > m_maxBytes; ++k) {
        fs::remove(files[k].path, ignored);
        total -= files[k].bytes;
    }
}

void ScoreCache::clear() const {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(m_folder, ignored)) {
        if (entry.path().extension() == suffix) {
            fs::remove(entry.path(), ignored);
        }
    }
}

} // namespace qkov::engine
