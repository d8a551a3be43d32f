// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpImpl.h"

#include <cstring>
#include <set>
#include <sys/stat.h>

namespace qkov::dump {
namespace {

/// Two FNV-1a hashes over the same bytes, started differently. Names caches; not a signature.
class Hash {
  public:
    void add(const void* data, std::size_t n) {
        const auto* p = static_cast<const unsigned char*>(data);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::uint64_t& h : m_state) {
                h = (h ^ p[i]) * 0x100000001b3ull;
            }
            m_state[1] ^= m_state[1] >> 29;
        }
    }
    void add(std::int64_t value) { add(&value, sizeof value); }
    void add(const std::string& text) {
        add(static_cast<std::int64_t>(text.size()));
        add(text.data(), text.size());
    }
    std::string hex() const {
        static constexpr char digits[] = "0123456789abcdef";
        std::string s;
        for (const std::uint64_t h : m_state) {
            for (int shift = 60; shift >= 0; shift -= 4) {
                s += digits[(h >> shift) & 15u];
            }
        }
        return s;
    }

  private:
    std::uint64_t m_state[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
};

void addFile(Hash& hash, const std::filesystem::path& file) {
    struct stat info {};
    if (::stat(file.c_str(), &info) == 0) {
        hash.add(info.st_size);
        hash.add(info.st_mtim.tv_sec);
        hash.add(info.st_mtim.tv_nsec);
    }
}

} // namespace

std::string fingerprintOf(const DumpReader::Impl& dump) {
    Hash hash;
    addFile(hash, dump.file);
    const DumpInfo& info = dump.info;
    hash.add(info.createdBy);
    hash.add(info.createdAt);
    const model::ModelShape& m = info.model;
    for (const std::string& text : {m.name, m.architecture, m.configJson, m.layoutJson}) {
        hash.add(text);
    }
    for (const std::int64_t n :
         {m.numLayers, m.numHeads, m.numKvHeads, m.headDim, m.vHeadDim, m.hiddenDim}) {
        hash.add(n);
    }
    for (const std::string& name : info.headTypes.names) {
        hash.add(name);
    }
    hash.add(info.headTypes.type.data(), info.headTypes.type.size());
    std::set<std::filesystem::path> others;
    for (const TaskInfo& task : info.tasks) {
        hash.add(task.name);
        hash.add(task.lossReduction);
        for (const SampleInfo& s : task.samples) {
            hash.add(s.id);
            hash.add(s.text);
            hash.add(s.group);
            hash.add(std::int64_t(s.tokens));
            hash.add(&s.loss, sizeof s.loss);
        }
        for (const auto& [name, entry] : task.parameters) {
            hash.add(name);
            hash.add(static_cast<std::int64_t>(entry.storage));
            hash.add(static_cast<std::int64_t>(entry.dtype));
            for (const std::int64_t d : entry.shape) {
                hash.add(d);
            }
        }
        for (const auto& [name, set] : task.fisher) {
            hash.add(name);
            hash.add(set.estimator);
            hash.add(set.samples);
            for (const auto& entry : set.parameters) {
                hash.add(entry.first);
            }
        }
        for (const auto& [name, sources] : dump.tasks.at(task.name).parameters) {
            for (const auto* part : {&sources.gradients, &sources.contributions, &sources.input,
                                     &sources.gradOutput}) {
                if (*part) {
                    others.insert((*part)->otherFiles().begin(), (*part)->otherFiles().end());
                }
            }
        }
    }
    for (const auto& file : others) {
        addFile(hash, file);
    }
    return hash.hex();
}

} // namespace qkov::dump
