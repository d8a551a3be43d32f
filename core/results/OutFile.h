// SPDX-License-Identifier: GPL-3.0-or-later
// A stream of bytes into an atomic file. Private to core/results.
#pragma once

#include "base/AtomicFile.h"
#include "base/Error.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace qkov::results {

class OutFile {
  public:
    explicit OutFile(const std::filesystem::path& target)
        : m_atomic(target)
        , m_file(std::fopen(m_atomic.temporary().c_str(), "wb")) {
        if (!m_file) {
            fail();
        }
    }

    void write(const void* bytes, std::size_t count) {
        if (count > 0 && std::fwrite(bytes, 1, count, m_file.get()) != count) {
            fail();
        }
        m_position += count;
    }
    void write(std::string_view text) { write(text.data(), text.size()); }
    std::uint64_t position() const { return m_position; }

    void commit() {
        if (std::fclose(m_file.release()) != 0) {
            fail();
        }
        m_atomic.commit();
    }

  private:
    [[noreturn]] void fail() const {
        throw InputError(std::string("can't be written: ") + std::strerror(errno),
                         m_atomic.target(), {}, "free some space or choose another place");
    }
    struct Close {
        void operator()(std::FILE* f) const { std::fclose(f); }
    };

    AtomicFile m_atomic;
    std::unique_ptr<std::FILE, Close> m_file;
    std::uint64_t m_position = 0;
};

} // namespace qkov::results
