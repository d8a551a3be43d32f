// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"

namespace qkov {
namespace {

std::string oneLine(const std::string& problem, const std::filesystem::path& file,
                    const std::string& innerPath, const std::string& advice) {
    std::string line = file.empty() ? std::string() : file.string() + ": ";
    if (!innerPath.empty()) {
        line += innerPath + ": ";
    }
    line += problem;
    if (!advice.empty()) {
        line += "; " + advice;
    }
    // Names come from strangers' files: one message stays one line.
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = ' ';
        }
    }
    return line;
}

} // namespace

InputError::InputError(std::string problem, std::filesystem::path file, std::string innerPath,
                       std::string advice)
    : Error(oneLine(problem, file, innerPath, advice))
    , m_problem(std::move(problem))
    , m_file(std::move(file))
    , m_innerPath(std::move(innerPath))
    , m_advice(std::move(advice)) {}

InputError::InputError(std::string problem)
    : InputError(std::move(problem), {}, {}, {}) {}

} // namespace qkov
