// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/Pattern.h"

#include "base/Error.h"

#include <charconv>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace qkov::model {
namespace {

constexpr std::size_t longestName = 4096;
constexpr std::size_t longestPattern = 16384;
constexpr std::uint32_t matchLimit = 200000;
constexpr std::uint32_t depthLimit = 10000;

const pcre2_code* code(const std::shared_ptr<const void>& p) {
    return static_cast<const pcre2_code*>(p.get());
}

} // namespace

LayerPattern::LayerPattern(const std::string& expression) {
    if (expression.size() > longestPattern) {
        throw InputError("a pattern is longer than 16384 characters");
    }
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_code* compiled =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                      PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
    if (!compiled) {
        PCRE2_UCHAR text[256] = {};
        pcre2_get_error_message(error, text, sizeof text);
        throw InputError("pattern \"" + expression + "\" is not valid at character " +
                         std::to_string(at) + ": " + reinterpret_cast<const char*>(text));
    }
    m_code = std::shared_ptr<pcre2_code>(compiled, pcre2_code_free);
    std::uint32_t groups = 0;
    pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups != 1) {
        throw InputError("pattern \"" + expression + "\" has " + std::to_string(groups) +
                         " capture groups, expected one: the layer, (\\d+)");
    }
}

std::optional<std::int64_t> LayerPattern::layerOf(const std::string& name) const {
    if (!m_code || name.size() > longestName) {
        return std::nullopt;
    }
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
        pcre2_match_data_create(2, nullptr), pcre2_match_data_free);
    const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
        pcre2_match_context_create(nullptr), pcre2_match_context_free);
    if (!data || !context) {
        return std::nullopt;
    }
    pcre2_set_match_limit(context.get(), matchLimit);
    pcre2_set_depth_limit(context.get(), depthLimit);
    const int found = pcre2_match(code(m_code), reinterpret_cast<PCRE2_SPTR>(name.data()),
                                  name.size(), 0, 0, data.get(), context.get());
    if (found < 2) {
        return std::nullopt;
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    const PCRE2_SIZE begin = range[2];
    const PCRE2_SIZE end = range[3];
    if (begin == PCRE2_UNSET || begin >= end || end > name.size()) {
        return std::nullopt;
    }
    std::int64_t layer = -1;
    const auto [last, status] = std::from_chars(name.data() + begin, name.data() + end, layer);
    if (status != std::errc() || last != name.data() + end || layer < 0) {
        return std::nullopt;
    }
    return layer;
}

} // namespace qkov::model
