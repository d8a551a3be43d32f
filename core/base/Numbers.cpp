// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Numbers.h"

#include "base/Error.h"

#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>

namespace qkov {
namespace {

const char* const thinSpace = "\u2009";

std::string printed(const char* format, int precision, double value) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, precision, value);
    return buffer.data();
}

} // namespace

std::string formatNumber(double value, int significant) {
    if (std::isnan(value)) {
        return "–";
    }
    if (std::isinf(value)) {
        return value > 0 ? "∞" : "−∞";
    }
    if (value == 0) {
        return "0";
    }
    const double a = std::abs(value);
    std::string text;
    if (a >= 1e-3 && a < 1e6) {
        // Digits behind the point, after rounding to the significant ones (0.9996 is 1.00).
        const double rounded = std::stod(printed("%.*e", significant - 1, a));
        const int exponent = static_cast<int>(std::floor(std::log10(rounded)));
        const int decimals = std::max(0, significant - 1 - exponent);
        if (decimals == 0) {
            return (value < 0 ? "−" : "") + formatCount(std::llround(rounded));
        }
        text = printed("%.*f", decimals, rounded);
    } else {
        text = printed("%.*e", significant - 1, a);
    }
    return (value < 0 ? "−" : "") + text;
}

std::string formatCount(std::int64_t value) {
    std::string digits = std::to_string(value < 0 ? -value : value);
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) {
            out += thinSpace;
        }
        out += digits[i];
    }
    return (value < 0 ? "−" : "") + out;
}

std::string formatBytes(double bytes) {
    const std::array<const char*, 6> units{"bytes", "kB", "MB", "GB", "TB", "PB"};
    std::size_t u = 0;
    while (bytes >= 999.5 && u + 1 < units.size()) {
        bytes /= 1000;
        ++u;
    }
    return printed(bytes < 10 && u > 0 ? "%.*f" : "%.*f", bytes < 10 && u > 0 ? 1 : 0, bytes) + " " +
           units[u];
}

std::string formatDuration(double seconds) {
    if (!(seconds >= 0)) {
        return "–";
    }
    if (seconds < 10) {
        return printed("%.*f", seconds < 1 ? 2 : 1, seconds) + " s";
    }
    const auto s = static_cast<std::int64_t>(std::llround(seconds));
    if (s < 60) {
        return std::to_string(s) + " s";
    }
    if (s < 3600) {
        return std::to_string(s / 60) + " min " + std::to_string(s % 60) + " s";
    }
    return std::to_string(s / 3600) + " h " + std::to_string(s % 3600 / 60) + " min";
}

std::int64_t parseBytes(const std::string& text) {
    std::size_t used = 0;
    double value = -1;
    try {
        value = std::stod(text, &used);
    } catch (const std::exception&) {
        value = -1;
    }
    std::string unit = text.substr(std::min(used, text.size()));
    double factor = 1;
    if (!unit.empty()) {
        switch (std::toupper(static_cast<unsigned char>(unit[0]))) {
        case 'K':
            factor = 1024.0;
            break;
        case 'M':
            factor = 1024.0 * 1024;
            break;
        case 'G':
            factor = 1024.0 * 1024 * 1024;
            break;
        case 'T':
            factor = 1024.0 * 1024 * 1024 * 1024;
            break;
        case 'B':
            break;
        default:
            value = -1;
        }
        const std::string rest = unit.substr(1);
        if (!(rest.empty() || rest == "B" || rest == "iB" || rest == "b")) {
            value = -1;
        }
    }
    if (!(value > 0) || value * factor > 9e18) {
        throw UsageError("'" + text + "' is not a size; write for example 2G or 512M");
    }
    return static_cast<std::int64_t>(value * factor);
}

} // namespace qkov
