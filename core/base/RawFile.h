// SPDX-License-Identifier: GPL-3.0-or-later
// Files of strangers, read as they are: sizes are looked at before anything is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace qkov {

/// A regular file, or a link to one, whose byte ranges are read where they lie.
class RawFile {
  public:
    /// @throws InputError if it is missing, something else (a folder, a pipe), or can't be opened
    explicit RawFile(const std::filesystem::path& file);
    ~RawFile();
    RawFile(RawFile&& other) noexcept;
    RawFile& operator=(RawFile&&) = delete;
    std::uint64_t bytes() const { return m_bytes; }
    const std::filesystem::path& file() const { return m_file; }
    /// @throws InputError if the range is not whole
    void read(std::uint64_t offset, std::size_t count, void* target) const;

  private:
    std::filesystem::path m_file;
    int m_fd = -1;
    std::uint64_t m_bytes = 0;
};

/// All of a file of at most `limit` bytes: configurations, indices, tokenizers.
/// @throws InputError
std::string readText(const std::filesystem::path& file, std::uint64_t limit);
/// Far more than any of them takes.
inline constexpr std::uint64_t largestText = std::uint64_t(256) << 20;

/// Whether there is something of that name; false where it can't be looked at.
bool isThere(const std::filesystem::path& file);

} // namespace qkov
