// SPDX-License-Identifier: GPL-3.0-or-later
// What a model or dump holds, for people: what is missing, and names and shapes where the
// architecture is unknown.
#pragma once

#include "dump/DumpReader.h"
#include "model/LayoutDraft.h"

#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::dump {

/// One task's attention gradients on the map.
struct TaskContents {
    std::string task;
    /// [layer][block]: the task has gradients (or contributions) of it.
    std::vector<std::array<bool, 4>> present;
    /// [layer][block]: also of its bias.
    std::vector<std::array<bool, 4>> biases;
    /// One line per gap: "layers 3-5: no K, V".
    std::vector<std::string> missing;
};
TaskContents contentsOf(const DumpReader& dump, const TaskInfo& task);

/// Everything a layout needs to be found for: sizes, names, shapes. Needs no known architecture.
using model::NamedShape;
struct ParameterList {
    model::ModelShape model;
    std::vector<NamedShape> parameters; ///< by name, each once
};
/// @param path a dump, or a model's folder
/// @throws InputError what can't be read at all
ParameterList listParameters(const std::filesystem::path& path);

} // namespace qkov::dump
