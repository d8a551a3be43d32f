// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Contents.h"

#include "dump/DumpImpl.h"
#include "dump/Probe.h"
#include "model/Checkpoint.h"

namespace qkov::dump {
namespace {

std::string lacking(const std::array<bool, 4>& present) {
    std::string s;
    for (const Block block : allBlocks) {
        if (!present[blockIndex(block)]) {
            s += (s.empty() ? "" : ", ") + std::string(1, blockName(block));
        }
    }
    return s;
}

} // namespace

TaskContents contentsOf(const DumpReader& dump, const TaskInfo& task) {
    TaskContents c;
    c.task = task.name;
    const std::int64_t layers = dump.info().model.numLayers;
    c.present.resize(static_cast<std::size_t>(layers));
    c.biases.resize(static_cast<std::size_t>(layers));
    for (const model::ParameterInfo& info : dump.layout().parameters()) {
        const auto l = static_cast<std::size_t>(info.layer.value);
        for (const Block block : info.blocks) {
            c.present[l][blockIndex(block)] = task.parameters.contains(info.name);
            c.biases[l][blockIndex(block)] = task.parameters.contains(info.bias);
        }
    }
    for (std::size_t l = 0; l < c.present.size();) {
        std::size_t end = l + 1;
        while (end < c.present.size() && c.present[end] == c.present[l]) {
            ++end;
        }
        const std::string blocks = lacking(c.present[l]);
        if (!blocks.empty()) {
            c.missing.push_back(
                (end - l == 1 ? "layer " + std::to_string(l)
                              : "layers " + std::to_string(l) + "-" + std::to_string(end - 1)) +
                ": no " + blocks);
        }
        l = end;
    }
    return c;
}

ParameterList listParameters(const std::filesystem::path& path) {
    ParameterList list;
    if (detectFileKind(path) == FileKind::modelDirectory) {
        const auto entries = model::Checkpoint::list(path, &list.model);
        for (const auto& [name, shape] : entries) {
            list.parameters.push_back({name, shape});
        }
        return list;
    }
    probe(path, [&] {
        model::ModelShape lost;
        listDump(path, lost);
    });
    for (const auto& [name, shape] : listDump(path, list.model)) {
        list.parameters.push_back({name, shape});
    }
    return list;
}

} // namespace qkov::dump
