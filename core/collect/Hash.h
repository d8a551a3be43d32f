// SPDX-License-Identifier: GPL-3.0-or-later
// A 64-bit FNV-1a hash over words: tells finished work of one request from that of another, and a
// whole file from a torn one. Not against malice. Private to core/collect.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace qkov::collect {

class Hash {
  public:
    void add(const void* data, std::size_t bytes) {
        const auto* p = static_cast<const unsigned char*>(data);
        add(static_cast<std::int64_t>(bytes));
        for (; bytes >= 8; bytes -= 8, p += 8) {
            std::uint64_t word;
            std::memcpy(&word, p, 8);
            mix(word);
        }
        std::uint64_t rest = 0;
        std::memcpy(&rest, p, bytes);
        mix(rest);
    }
    void add(const std::string& text) { add(text.data(), text.size()); }
    void add(std::int64_t value) { mix(static_cast<std::uint64_t>(value)); }
    std::uint64_t value() const { return m_state; }
    std::string text() const {
        char buffer[17];
        std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(m_state));
        return buffer;
    }

  private:
    void mix(std::uint64_t word) {
        m_state = (m_state ^ word) * 0x100000001b3ULL;
        m_state ^= m_state >> 29;
    }
    std::uint64_t m_state = 0xcbf29ce484222325ULL;
};

} // namespace qkov::collect
