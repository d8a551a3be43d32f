// SPDX-License-Identifier: GPL-3.0-or-later
// How numbers are shown to people. For files, use full precision.
#pragma once

#include <cstdint>
#include <string>

namespace qkov {

/// 3 significant digits: "0.412", "1.23e-07", "1 230"; "–" for NaN.
std::string formatNumber(double value, int significant = 3);
/// Thin-space thousands: "12 345".
std::string formatCount(std::int64_t value);
/// "1.2 GB", "340 MB", "12 bytes" (powers of 1000).
std::string formatBytes(double bytes);
/// "3 s", "2 min 10 s", "1 h 5 min".
std::string formatDuration(double seconds);

/// Parses "2G", "512M", "64k", "123" (powers of 1024). @throws UsageError
std::int64_t parseBytes(const std::string& text);

} // namespace qkov
