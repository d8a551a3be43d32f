// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace qkov {

/// A file that appears under its name only when it is whole: written beside it under a temporary
/// name, synced, then renamed. Destroyed without commit(): the temporary is removed and a file
/// that was there before is untouched.
class AtomicFile {
  public:
    /// @throws InputError if the folder is missing or can't be written, or `target` is a folder or
    ///         a device
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    /// Where to write. Exists and is empty; the caller opens, writes and closes it.
    const std::filesystem::path& temporary() const { return m_temporary; }
    const std::filesystem::path& target() const { return m_target; }
    /// Brings what was written to the disk piece by piece, with `between` called before each: it
    /// may throw. commit() then has little left to wait for. @throws InputError (e.g. disk full)
    void flush(const std::function<void()>& between) const;
    /// Sync and rename. @throws InputError (e.g. disk full)
    void commit();
    /// Lets the system start bringing to the disk what is written so far: commit() then waits less.
    void startWriting() const;

  private:
    std::filesystem::path m_target;
    std::filesystem::path m_temporary;
};

/// Writes `text` atomically. @throws InputError
void writeTextFile(const std::filesystem::path& target, std::string_view text);

} // namespace qkov
