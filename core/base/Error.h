// SPDX-License-Identifier: GPL-3.0-or-later
// The one hierarchy of errors inside core. Turned into one line at the edge (CLI, message bar).
#pragma once

#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace qkov {

/// Something failed while running (exit code 1).
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A file or its content can't be used (exit code 3); also an output that can't be written.
/// what() is one line: what is wrong, where (file and the path inside it), what to do.
class InputError : public Error {
  public:
    /// @param problem what is wrong, e.g. "has shape [3, 4], expected [4, 4]"
    /// @param file the file on disk
    /// @param innerPath the dataset, tensor, JSON key or line inside it; may be empty
    /// @param advice what to do; may be empty
    InputError(std::string problem, std::filesystem::path file, std::string innerPath = {},
               std::string advice = {});
    /// A request that the data can't serve, with no file to blame.
    explicit InputError(std::string problem);

    const std::string& problem() const { return m_problem; }
    const std::filesystem::path& file() const { return m_file; }
    const std::string& innerPath() const { return m_innerPath; }
    const std::string& advice() const { return m_advice; }

  private:
    std::string m_problem;
    std::filesystem::path m_file;
    std::string m_innerPath;
    std::string m_advice;
};

/// The command was used wrongly (exit code 2): unknown task, layer out of range in an option...
class UsageError : public Error {
  public:
    using Error::Error;
};

/// The user asked to stop (exit code 130). Not an error, so not derived from Error.
class Cancelled : public std::exception {
  public:
    const char* what() const noexcept override { return "cancelled"; }
};

} // namespace qkov
