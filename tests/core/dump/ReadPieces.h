// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "dump/PieceReader.h"

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace qkov::dump::test {

/// All pieces, by three threads at once.
inline void readAll(const PieceReader& reader, std::byte* buffer) {
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (std::size_t i = next++; i < reader.size(); i = next++) {
                reader.read(i, buffer);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace qkov::dump::test
