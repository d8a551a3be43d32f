// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/Normalizer.h"

#include "text/Utf8.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>

namespace qkov::text {

namespace {
const icu::Normalizer2* unicodeForm(const std::string& type) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* form = nullptr;
    if (type == "NFC")
        form = icu::Normalizer2::getNFCInstance(status);
    else if (type == "NFD")
        form = icu::Normalizer2::getNFDInstance(status);
    else if (type == "NFKC")
        form = icu::Normalizer2::getNFKCInstance(status);
    else if (type == "NFKD")
        form = icu::Normalizer2::getNFKDInstance(status);
    if (U_FAILURE(status))
        throw Error(std::string("Unicode normalisation isn't available: ") + u_errorName(status));
    return form;
}

std::string normalized(const icu::Normalizer2& form, const std::string& text) {
    const bool ascii =
        std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
    if (ascii) // every form leaves ASCII alone
        return text;
    UErrorCode status = U_ZERO_ERROR;
    std::string out;
    icu::StringByteSink<std::string> sink(&out, static_cast<int32_t>(text.size()));
    form.normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink,
                       nullptr, status);
    if (U_FAILURE(status))
        throw Error(std::string("Unicode normalisation failed: ") + u_errorName(status));
    return out;
}

std::string lowercase(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t c = nextCharacter(text, at);
        if (c == 0x130) // the one letter whose lower case is two characters
            out += "i\u0307";
        else
            appendUtf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
    }
    return out;
}

std::string withoutMarks(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t c = nextCharacter(text, at);
        if (!isNonspacingMark(c))
            appendUtf8(out, c);
    }
    return out;
}

std::string stripped(const std::string& text, bool left, bool right) {
    std::size_t first = 0, last = text.size();
    while (left && first < last) {
        std::size_t next = first;
        if (!isWhitespace(nextCharacter(text, next)))
            break;
        first = next;
    }
    while (right && last > first && isWhitespace(characterBefore(text, last))) {
        do {
            --last;
        } while ((static_cast<unsigned char>(text[last]) & 0xC0) == 0x80);
    }
    return text.substr(first, last - first);
}

std::string replaced(const Pattern& pattern, const std::string& content, const std::string& text) {
    std::string out;
    std::size_t at = 0;
    for (const Match& m : pattern.findAll(text)) {
        out.append(text, at, m.start - at);
        out += content;
        at = m.end;
    }
    return out.append(text, at);
}
} // namespace

Pattern::Pattern(const JsonPart& part) {
    if (part.has("String")) {
        m_literal = part.at("String").string();
    } else if (part.has("Regex")) {
        try {
            m_regex = std::make_shared<const Regex>(part.at("Regex").string());
        } catch (const std::invalid_argument& error) {
            part.unknown(std::string("has a pattern that can't be used: ") + error.what());
        }
    } else {
        part.fail("has neither String nor Regex");
    }
}

std::vector<Match> Pattern::findAll(std::string_view text) const {
    if (m_regex)
        return m_regex->findAll(text);
    std::vector<Match> out;
    if (m_literal.empty())
        return out;
    for (std::size_t at = 0; (at = text.find(m_literal, at)) != std::string_view::npos;) {
        out.push_back({at, at + m_literal.size()});
        at += m_literal.size();
    }
    return out;
}

Normalizer::Normalizer(const JsonPart& part) {
    if (!part.isNull())
        add(part);
}

void Normalizer::add(const JsonPart& part) {
    const std::string type = part.type();
    if (type == "Sequence") {
        const JsonPart steps = part.at("normalizers");
        for (std::size_t i = 0; i < steps.arraySize(); ++i)
            add(steps.at(i));
    } else if (const icu::Normalizer2* form = unicodeForm(type)) {
        m_steps.push_back([form](const std::string& text) { return normalized(*form, text); });
    } else if (type == "Lowercase") {
        m_steps.push_back(lowercase);
    } else if (type == "StripAccents") {
        m_steps.push_back(withoutMarks);
    } else if (type == "Strip") {
        const bool left = part.booleanOr("strip_left", true),
                   right = part.booleanOr("strip_right", true);
        m_steps.push_back(
            [left, right](const std::string& text) { return stripped(text, left, right); });
    } else if (type == "Prepend") {
        const std::string prefix = part.at("prepend").string();
        m_steps.push_back(
            [prefix](const std::string& text) { return text.empty() ? text : prefix + text; });
    } else if (type == "Replace") {
        const Pattern pattern(part.at("pattern"));
        const std::string content = part.at("content").string();
        m_steps.push_back([pattern, content](const std::string& text) {
            return replaced(pattern, content, text);
        });
    } else {
        part.unknown("the normalizer '" + type + "' is not known here");
    }
}

std::string Normalizer::apply(std::string text) const {
    for (const auto& step : m_steps)
        text = step(std::move(text));
    return text;
}

} // namespace qkov::text
